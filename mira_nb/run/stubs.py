"""Static signatures of the Python functions, ``mira_nb/api.pyi``, for editors and type checkers.

``python -m mira_nb.run.stubs`` rewrites the file in the repository; a test holds it equal.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from mira_nb.stages.base import Stage
from mira_nb.stages.registry import BUILT_IN, get_stage

PACKAGE: Final = Path(__file__).resolve().parents[1]

HEAD: Final = '''"""Signatures of the public functions, made by `python -m mira_nb.run.stubs`."""

from pathlib import Path
from typing import Literal

from anndata import AnnData
from mudata import MuData

from mira_nb.io.resources import Resources as Resources
from mira_nb.stages.base import Compute
from mira_nb.stages.result import Result
from mira_nb.stages.shared.model import Model
from mira_nb.typing import Progress

def read(
    *,
    rna: str | Path | None = None,
    atac: str | Path | None = None,
    mudata: str | Path | None = None,
    tenx: str | Path | None = None,
) -> MuData: ...
def pair(rna: AnnData, atac: AnnData) -> MuData: ...
def embedded_data(
    *, size: Literal["default", "small"] = "small", seed: int = 0, folder: str | Path | None = None
) -> tuple[MuData, Resources]: ...
def load_model(run: str | Path, modality: Literal["rna", "atac"]) -> Model: ...
'''


def api_stub() -> str:
    """Return the text of ``api.pyi``."""
    return HEAD + "".join(_function(get_stage(name)) for name in BUILT_IN)


def package_stub() -> str:
    """Return the text of ``__init__.pyi``: what ``import mira_nb`` gives."""
    names = ("Resources", "embedded_data", "load_model", "pair", "read", *BUILT_IN)
    lines = [
        '"""Public names of the package. Made by `python -m mira_nb.run.stubs`."""\n',
        *(f"from .api import {name} as {name}" for name in names),
        "from .version import __version__ as __version__",
    ]
    return "\n".join(lines) + "\n"


def _function(stage: Stage[Any]) -> str:
    lines = [f"def {stage.name}(", "    mdata: MuData,", "    *,"]
    lines += [
        f"    {item.name}: {annotation_source(item.annotation)} = {item.default!r}," for item in stage.Params.describe()
    ]
    lines += [
        "    seed: int = 0,",
        "    resources: Resources | None = None,",
        "    progress: Progress | None = None,",
        "    compute: Compute | None = None,",
        ") -> Result: ...",
    ]
    return "\n".join(lines) + "\n"


def annotation_source(annotation: Any) -> str:
    """Return an annotation as it is written in code, without bounds."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is types.NoneType:
        return "None"
    if origin is Annotated:
        return annotation_source(arguments[0])
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin in {Union, types.UnionType}:
        return " | ".join(dict.fromkeys(map(annotation_source, arguments)))
    if arguments:
        return f"{origin.__name__}[{', '.join(map(annotation_source, arguments))}]"
    return getattr(annotation, "__name__", str(annotation))


def write(folder: Path = PACKAGE) -> list[Path]:
    """Write both files; returns those that changed."""
    changed = []
    for name, text in (("api.pyi", api_stub()), ("__init__.pyi", package_stub())):
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    for file in write():
        sys.stdout.write(f"wrote {file.name}\n")

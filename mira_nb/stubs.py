"""Static signatures of the Python functions, ``mira_nb/api.pyi``, for editors and type checkers.

``python -m mira_nb.stubs`` rewrites the file in the repository; a test holds it equal.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from mira_nb import api
from mira_nb.stages.base import Stage
from mira_nb.stages.registry import BUILT_IN, get_stage

PACKAGE: Final = Path(__file__).resolve().parent

FUNCTIONS: Final = tuple(name for name in vars(api)["__all__"] if inspect.isfunction(getattr(api, name)))
"""Public functions that are not those of a stage."""

HEAD: Final = '''"""Signatures of the public functions, made by `python -m mira_nb.stubs`."""

from pathlib import Path
from typing import Literal

from anndata import AnnData
from mudata import MuData

from mira_nb.io.resources import Resources as Resources
from mira_nb.stages.base import Compute
from mira_nb.stages.result import Result
from mira_nb.stages.shared.model import Model
from mira_nb.typing import Progress

'''


def api_stub() -> str:
    """Return the text of ``api.pyi``."""
    functions = [_signature(getattr(api, name)) for name in FUNCTIONS]
    return HEAD + "".join([*functions, *(_function(get_stage(name)) for name in BUILT_IN)])


def package_stub() -> str:
    """Return the text of ``__init__.pyi``: what ``import mira_nb`` gives."""
    names = (*vars(api)["__all__"], *BUILT_IN)
    lines = [
        '"""Public names of the package. Made by `python -m mira_nb.stubs`."""\n',
        *(f"from .api import {name} as {name}" for name in names),
        "from .version import __version__ as __version__",
    ]
    return "\n".join(lines) + "\n"


def _signature(function: Callable[..., Any]) -> str:
    """Return the signature of a function as written in its module, where annotations are not evaluated."""
    signature = inspect.signature(function)
    parameters, lines, starred = signature.parameters.values(), [f"def {function.__name__}("], False
    for item in parameters:
        if item.kind is item.KEYWORD_ONLY and not starred:
            lines.append("    *,")
            starred = True
        default = "" if item.default is item.empty else f" = {item.default!r}"
        lines.append(f"    {item.name}: {item.annotation}{default},")
    lines.append(f") -> {signature.return_annotation}: ...")
    return "\n".join(lines) + "\n"


def signature(name: str) -> str:
    """Return the signature of a public function in one line, with types and defaults."""
    text = _signature(getattr(api, name)) if name in FUNCTIONS else _function(get_stage(name))
    _, *parameters, returned = text.splitlines()
    inside = " ".join(line.strip() for line in parameters).removesuffix(",")
    return f"({inside}{returned.removesuffix(': ...')}"


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

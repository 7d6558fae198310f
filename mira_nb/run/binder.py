"""A repository folder that Binder, or any repo2docker, turns into a page with one run's report and dashboard."""

from __future__ import annotations

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Final

from packaging.requirements import Requirement

from mira_nb.errors import ParameterError
from mira_nb.version import __version__

from .contents import result_files
from .files import replaced_folder, write_bytes, write_json
from .lock import locked
from .messages import message
from .notebooks import dashboard_notebook
from .pack import check_finished, portable_record
from .wheel import build_wheel

SOURCES: Final = Path(__file__).with_name("binder_files")
EXECUTABLE: Final = frozenset({"postBuild", "start"})
LARGEST_MB: Final = 100
"""Largest file that GitHub takes without Git LFS."""
FROM_CONDA: Final = ("torch", "triton", "nvidia-", "cuda-")
"""Packages that the environment takes from conda-forge: their wheels on PyPI hold CUDA."""


def pack_binder(root: Path, out: Path, *, inputs: bool = False) -> tuple[Path, list[str]]:
    """Write the repository folder of a run and return its path, with what the user should know.

    Parameters
    ----------
    root
        The run folder.
    out
        The folder, new or empty, or an earlier one of the same making.
    inputs
        Put input and resource files in, too, so that stages can be computed again.

    Raises
    ------
    ParameterError
        There is no run, it is being written to, or the folder holds something else.
    """
    root, out = Path(root), Path(out)
    check_finished(root)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "binder" / "pins.txt").exists())):
        raise ParameterError(f"--binder {out} holds something else", expected="a new folder")
    with locked(root), replaced_folder(out) as folder:
        record, files = portable_record(root, inputs=inputs)
        for relative, path in [*result_files(root), *files]:
            target = folder / "run" / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        write_json(folder / "run" / "run.json", record)
        shutil.copyfile(dashboard_notebook(), folder / "dashboard.ipynb")
        build_wheel(folder / "wheel")
        write_bytes(folder / "binder" / "pins.txt", pins().encode())
        values = {
            "title": _one_line(str(record.get("title") or root.resolve().name)),
            "version": __version__,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        }
        for name in ("README.md", "environment.yml", "postBuild", "start"):
            text = Template((SOURCES / name).read_text(encoding="utf-8")).safe_substitute(values)
            path = folder / name if name == "README.md" else folder / "binder" / name
            write_bytes(path, text.encode("utf-8"))
            path.chmod(0o755 if name in EXECUTABLE else 0o644)
        large = [
            message("large_file", file=path.relative_to(folder), size=path.stat().st_size, most=LARGEST_MB)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.stat().st_size > LARGEST_MB * 1e6
        ]
    return out, large


def pins() -> str:
    """Return the versions of the packages that mira_nb runs with here, one a line, but for those from conda-forge.

    Raises
    ------
    ParameterError
        mira_nb is not installed as a package.
    """
    found: dict[str, str] = {}
    waiting, seen = [("mira-nb", "")], set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name.startswith(FROM_CONDA):
            continue
        seen.add((name, extra))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name == "mira-nb":
                raise ParameterError("mira_nb is not installed as a package", remedy="install it with pip") from None
            continue  # an optional package that is not here
        found[name] = distribution.version
        for text in distribution.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(_normalised(needed.name), part) for part in ("", *needed.extras)]
    found.pop("mira-nb")
    return "".join(f"{name}=={version.partition('+')[0]}\n" for name, version in sorted(found.items()))


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _one_line(text: str) -> str:
    """Return a title that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>#|$])", r"\\\1", " ".join(text.split()))

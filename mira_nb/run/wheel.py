"""The wheel of this very mira_nb, so that a run can be opened elsewhere by what made it."""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from mira_nb.errors import StoreError
from mira_nb.version import __version__

PACKAGE: Final = Path(__file__).resolve().parents[1]
SHARED: Final = Path("share/jupyter/voila/templates/mira_nb")
DEPARTURES: Final = Path("report/decisions.md")
_INFO: Final = f"mira_nb-{__version__}.dist-info"
_WHEEL: Final = "Wheel-Version: 1.0\nGenerator: mira_nb\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build_wheel(folder: Path) -> Path:
    """Write the wheel of the package that runs, installed or from a checkout, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"mira_nb-{__version__}-py3-none-any.whl"
    installed = metadata.distribution("mira-nb")
    texts = {
        f"{_INFO}/METADATA": installed.read_text("METADATA") or "",
        f"{_INFO}/entry_points.txt": installed.read_text("entry_points.txt") or "",
        f"{_INFO}/WHEEL": _WHEEL,
    }
    contents = {name: source.read_bytes() for name, source in _files()}
    contents |= {name: text.encode("utf-8") for name, text in texts.items()}
    record = "".join(f"{name},{_digest(content)},{len(content)}\n" for name, content in contents.items())
    contents[f"{_INFO}/RECORD"] = f"{record}{_INFO}/RECORD,,\n".encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def _files() -> Iterator[tuple[str, Path]]:
    """Yield name in the wheel and path of the package's files, templates, notebooks and Voila template included."""
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"mira_nb/{path.relative_to(PACKAGE).as_posix()}", path
    for name in ("templates", "notebooks"):
        if not (PACKAGE / name).exists():  # a checkout has them beside the package
            for path in sorted((PACKAGE.parent / name).glob("*.ipynb")):
                yield f"mira_nb/{name}/{path.name}", path
    if not (PACKAGE / DEPARTURES).exists():
        yield f"mira_nb/{DEPARTURES.as_posix()}", PACKAGE.parent / "docs" / "decisions" / "index.md"
    places = [place / SHARED for place in (PACKAGE.parent, Path(sys.prefix), *PACKAGE.parents[3:4])]
    shared = next((place for place in places if place.is_dir()), None)
    if shared is None:
        raise StoreError(f"{SHARED} is not at {' or '.join(map(str, places))}", remedy="install mira-nb again")
    for path in sorted(shared.rglob("*")):
        if path.is_file():
            yield f"mira_nb-{__version__}.data/data/{(SHARED / path.relative_to(shared)).as_posix()}", path


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()

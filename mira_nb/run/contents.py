"""Which files of a run folder are its results: those that are packed and described."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

REPORT_FILES: Final = ("report.html", "findings.json", "findings.md", "methods.md", "references.bib")
"""What a report consists of."""
VALUES: Final = "values.mnv"
"""Values that the page of the report has no room for."""
FILES: Final = ("run.json", *REPORT_FILES, VALUES, "results.h5mu", "cache/input.h5mu")
CRATE: Final = "ro-crate-metadata.json"
"""Description of these files with their hashes; whoever changes one of them writes it anew, or removes it."""
FOLDERS: Final = ("stages", "explorer")


def result_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield relative name and path of what belongs to a finished run: no versions, caches or progress files."""
    for name in FILES:
        if (root / name).is_file():
            yield name, root / name
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            relative = path.relative_to(root)
            hidden = any(part.startswith(".") for part in relative.parts)
            if path.is_file() and not path.is_symlink() and not hidden:
                yield relative.as_posix(), path

"""Take over the result of a stage from another run that made it with the same key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mira_nb.errors import StoreError

from .files import HashCache, files_below, replaced_folder
from .history import place
from .intact import stage_damage
from .store import RunStore

SKIPPED = frozenset({"failed.ipynb", "skipped.ipynb"})
"""Notebooks of attempts that left no result."""


def take_over(store: RunStore, stage: str, key: str, donors: Sequence[Path], hashes: HashCache) -> Path | None:
    """Put a stage's result from the first run that has it, whole and with this key, into a run folder.

    Outputs are linked where the file system can, as versions of a run are; what an editor may write into is copied.

    Returns
    -------
    Path or None
        The run folder that it was taken from.
    """
    for donor in donors:
        other = RunStore(donor)
        stored = _whole(other, stage, hashes)
        if stored is None or stored.get("key") != key:
            continue
        source = other.stage_dir(stage)
        with replaced_folder(store.stage_dir(stage)) as folder:
            for path in files_below(source):
                if path.name not in SKIPPED:
                    place(path, folder / path.relative_to(source))
            _name_folder(folder / "notebook.ipynb", donor, store.root)
        return donor
    return None


def _whole(other: RunStore, stage: str, hashes: HashCache) -> dict[str, Any] | None:
    """Return stage.json of a result that is done and undamaged, with its executed notebook."""
    try:
        entry = other.read_record().get("stages", {}).get(stage, {})
        stored = other.stage_record(stage) if entry.get("status") == "done" else None
        if stored is None or not other.notebook_path(stage).exists():
            return None
        problem = stage_damage(other.stage_dir(stage), stored, entry.get("stage_json"), hashes)
    except (OSError, StoreError):
        return None
    return None if problem else stored


def _name_folder(notebook: Path, donor: Path, root: Path) -> None:
    """Make the executed notebook name the run folder that it now belongs to."""
    old, new = (json.dumps(str(folder.resolve()), ensure_ascii=False)[1:-1] for folder in (donor, root))
    # a path within a cell's source is quoted once more
    text = notebook.read_text(encoding="utf-8").replace(f'{old}\\"', f'{new}\\"').replace(f'{old}"', f'{new}"')
    notebook.write_text(text, encoding="utf-8")

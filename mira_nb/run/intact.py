"""Find damaged outputs of a run: sizes and SHA-256 are kept in the records and compared before the outputs are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mira_nb.report import intact
from mira_nb.report.json_files import read_json_object

from .files import HashCache

RECORDS = frozenset({"stage.json", "notebook.ipynb", "failed.ipynb", "skipped.ipynb"})
"""Files of a stage's folder that its list of outputs leaves out: they are written after it."""


def file_facts(path: Path, sha256: Callable[[Path], str] = intact.sha256) -> dict[str, Any]:
    """Return size in bytes and SHA-256 of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def output_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of every output below a stage's folder, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [(path.relative_to(folder).as_posix(), path) for path in files]
    return {name: file_facts(path) for name, path in names if name not in RECORDS}


def file_damage(path: Path, facts: Any, hashes: HashCache) -> str:
    """Return what is wrong with a file in a few words; hashes that are known are not computed again."""
    return intact.file_damage(path, facts, hashes.sha256)


def stage_damage(folder: Path, stored: Mapping[str, Any], noted: Any, hashes: HashCache) -> str:
    """Return what is wrong with a stage's stored result, '' when it is whole.

    Parameters
    ----------
    folder
        The stage's folder.
    stored
        Its stage.json.
    noted
        Facts of stage.json itself that run.json keeps; None where run.json is older.
    hashes
        Content hashes that are remembered.
    """
    problem = file_damage(folder / "stage.json", noted, hashes)
    if problem:
        return f"stage.json {problem}"
    outputs = stored.get("outputs")
    for name, facts in (outputs if isinstance(outputs, Mapping) else {}).items():
        problem = file_damage(folder / name, facts, hashes)
        if problem:
            return f"{name} {problem}"
    return notebook_damage(folder / "notebook.ipynb")


def notebook_damage(path: Path) -> str:
    """Return what is wrong with an executed notebook; a user may edit it, so that any whole one is right."""
    if not path.exists():
        return ""  # the stage was computed outside of a run; a run executes its notebook
    return "" if read_json_object(path) is not None else f"{path.name} is not a whole notebook"

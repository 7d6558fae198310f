"""The report of a run folder, written anew where it no longer fits what it is made from, with the RO-Crate metadata."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from mira_nb.report.reader import existing_record

from .contents import REPORT_FILES, VALUES
from .crate import write_crate
from .files import HashCache
from .intact import file_damage, file_facts
from .lock import locked
from .record import RunRecord
from .selections import kept_state

REPORT: Final = "report.html"
RESULTS: Final = "results.h5mu"
OUTPUTS: Final = (RESULTS, *REPORT_FILES)


def made_from(root: Path, record: Mapping[str, Any]) -> list[list[str]]:
    """List what results and report are made from: status and key of every stage, selections and names of topics."""
    stages = record.get("stages") or {}
    made = [[name, entry.get("status", "pending"), entry.get("key") or ""] for name, entry in stages.items()]
    return made + kept_state(root)


def written_facts(root: Path, hashes: HashCache) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of results and report, as run.json keeps them; known hashes are not computed again."""
    paths = (root / name for name in (*OUTPUTS, VALUES))
    return {path.name: file_facts(path, hashes.sha256) for path in paths if path.is_file()}


def damaged_outputs(
    root: Path, record: Mapping[str, Any], hashes: HashCache, names: Collection[str] = OUTPUTS
) -> dict[str, str]:
    """Return what is wrong with results and report, by file.

    Parameters
    ----------
    root
        The run folder.
    record
        Its run.json, which keeps size and content of what was written; of a file that it does not name only the
        absence is noticed.
    hashes
        Content hashes that are remembered.
    names
        Files to look at; the counts of all genes belong to the report.
    """
    written = {name: facts for name, facts in (record.get("written") or {}).items() if name in {*names, VALUES}}
    found = {name: file_damage(root / name, facts, hashes) for name, facts in written.items()}
    missing = {name: "is missing" for name in names if not (root / name).exists()}
    return {name: problem for name, problem in {**found, **missing}.items() if problem}


def report_is_current(root: Path) -> bool:
    """Return whether the report is there, whole, and made from what the run folder holds now."""
    record = RunRecord(root).read()
    if record.get("report_for") != made_from(root, record):
        return False
    return not damaged_outputs(root, record, HashCache(root / "cache/hashes.json"), REPORT_FILES)


def write_report(root: Path, *, patience: float = 0.0) -> Path:
    """Build the report of a run folder and describe the folder anew.

    Parameters
    ----------
    root
        The run folder.
    patience
        Seconds to wait for another process that writes to it.

    Raises
    ------
    InputError
        When the folder holds no run.
    StoreError
        When another process writes to it, or its record is damaged.
    """
    from mira_nb.report.build import build_report

    root, record = Path(root), RunRecord(root)
    facts, hashes = existing_record(root), HashCache(root / "cache/hashes.json")
    with locked(root, patience=patience):
        path = build_report(root)
        results = {name: kept for name, kept in (facts.get("written") or {}).items() if name == RESULTS}
        record.update(report_for=made_from(root, facts), written={**written_facts(root, hashes), **results})
        write_crate(root, hashes)
    return path

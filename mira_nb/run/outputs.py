"""The report of a run folder, written anew where it no longer fits what it is made from, with the RO-Crate metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mira_nb.report.reader import existing_record

from .crate import write_crate
from .files import HashCache
from .intact import file_damage, file_facts
from .lock import locked
from .record import RunRecord
from .selections import kept_state

REPORT: Final = "report.html"


def made_from(root: Path, record: Mapping[str, Any]) -> list[list[str]]:
    """List what results and report are made from: status and key of every stage, selections and names of topics."""
    stages = record.get("stages") or {}
    return [[name, entry["status"], entry["key"] or ""] for name, entry in stages.items()] + kept_state(root)


def report_is_current(root: Path) -> bool:
    """Return whether the report is there, whole, and made from what the run folder holds now."""
    record = RunRecord(root).read()
    if record.get("report_for") != made_from(root, record) or not (root / REPORT).exists():
        return False
    return not file_damage(root / REPORT, record.get("written", {}).get(REPORT), HashCache(root / "cache/hashes.json"))


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
    facts = existing_record(root)
    with locked(root, patience=patience):
        path = build_report(root)
        written = {**facts.get("written", {}), REPORT: file_facts(path)}
        record.update(report_for=made_from(root, facts), written=written)
        write_crate(root)
    return path

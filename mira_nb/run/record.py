"""run.json, the record of a run. Nothing else writes it; :mod:`mira_nb.report.reader` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, Final

from mira_nb.errors import StoreError
from mira_nb.report.reader import RECORD_DAMAGED, SCHEMA, read_record, stage_folder
from mira_nb.stages.base import Stage
from mira_nb.stages.registry import get_stage, stage_names
from mira_nb.version import __version__

from .contents import CRATE
from .files import write_json
from .intact import file_facts
from .messages import message

RUNNING: Final = "running"
STOPPED: Final = "stopped on request"
NOT_ASKED: Final = "not part of this run"

_EMPTY: Final[dict[str, Any]] = {
    "status": "pending",
    "key": None,
    "seconds": None,
    "peak_rss_mb": None,
    "parameters": {},
    "alerts": [],
    "reason": "",
    "error": None,
}


class RunRecord:
    """The record of one run folder.

    Parameters
    ----------
    root
        The run folder; it need not exist yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @property
    def path(self) -> Path:
        """Path of run.json."""
        return self.root / "run.json"

    def read(self) -> dict[str, Any]:
        """Return run.json, or an empty dict before the first run."""
        return read_record(self.root)

    def set_aside(self) -> str:
        """Rename a run.json that cannot be used, so that a run writes it anew; return what was wrong ('' for nothing).

        Raises
        ------
        StoreError
            When the file is of another version of the run folder's form.
        """
        try:
            self.read()
        except StoreError as error:
            if error.code != RECORD_DAMAGED:
                raise
            kept = next(path for path in map(self._damaged_name, count(1)) if not path.exists())
            self.path.rename(kept)
            return message("record_set_aside", problem=error.message, kept=kept.name)
        return ""

    def _damaged_name(self, number: int) -> Path:
        return self.root / f"run.json.damaged-{number}"

    def begin(self, facts: Mapping[str, Any], *, keep_stages: bool) -> dict[str, Any]:
        """Write the facts of a run and an entry for every stage, in order.

        Parameters
        ----------
        facts
            Input, versions, seed, command, ...
        keep_stages
            Whether the entries of an earlier run stand (the input is the same).
        """
        record = {**self.read(), **facts}
        old: Mapping[str, Any] = record.get("stages", {}) if keep_stages else {}
        record["stages"] = {name: {**_head(get_stage(name)), **_EMPTY, **old.get(name, {})} for name in stage_names()}
        for name, entry in record["stages"].items():
            entry.update(_head(get_stage(name)))
        return self._write(record)

    def update(self, **facts: Any) -> dict[str, Any]:
        """Write facts of the run beside those that are there."""
        return self._write({**self.read(), **facts})

    def note(
        self,
        stage: Stage[Any],
        status: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        stored: Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> dict[str, Any]:
        """Write the entry of one stage and return it.

        Parameters
        ----------
        status
            ``done``, ``skipped``, ``failed`` or ``pending``.
        parameters
            Values by name; those of `stored` win.
        stored
            The stage's stage.json, for a stage that is done.
        facts
            ``reason``, ``error``, ``seconds``.
        """
        entry: dict[str, Any] = {**_head(stage), **_EMPTY, "status": status, "parameters": dict(parameters or {})}
        if stored is not None:
            entry |= {key: stored[key] for key in ("key", "seconds", "peak_rss_mb", "alerts")}
            entry["parameters"] = {row["name"]: row["value"] for row in stored["parameters"]}
            entry["outputs"] = stored.get("outputs", {})
            path = stage_folder(self.root, stage.name) / "stage.json"
            entry["stage_json"] = file_facts(path) if path.exists() else None
        entry |= facts
        record = self.read()
        record.setdefault("stages", {})[stage.name] = entry
        self._write(record)
        return entry

    def clear_running(self) -> None:
        """Clear the ``running`` mark of a stage whose process was terminated."""
        record = self.read()
        for entry in record.get("stages", {}).values():
            if entry.get("reason") == RUNNING:
                entry["reason"] = STOPPED
        self._write(record)

    def running(self) -> str:
        """Return the stage that is marked as running ('' for none)."""
        stages = self.read().get("stages", {})
        return next((name for name, entry in stages.items() if entry.get("reason") == RUNNING), "")

    def _write(self, record: Mapping[str, Any]) -> dict[str, Any]:
        whole = {"schema": SCHEMA, "package_version": __version__, **record}
        whole["package_version"] = __version__
        (self.root / CRATE).unlink(missing_ok=True)  # it names run.json with its hash
        write_json(self.path, whole)
        return whole


def _head(stage: Stage[Any]) -> dict[str, str]:
    """Return what a reader of the record wants to know of a stage, whether it ran or not."""
    return {"title": stage.title, "purpose": stage.purpose}

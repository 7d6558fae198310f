"""What a run folder holds, as the dashboard shows it: status of every stage, facts of the data, annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import h5py

from mira_nb.errors import ParameterError, StoreError
from mira_nb.io.resources import Resources
from mira_nb.run.files import HashCache
from mira_nb.run.identity import stage_key
from mira_nb.run.record import RUNNING, STOPPED
from mira_nb.run.store import RunStore
from mira_nb.stages.base import Stage
from mira_nb.stages.registry import get_stage, stage_names, upstream

from .texts import phrase

Status = Literal["done", "outdated", "running", "failed", "ready", "waiting", "blocked", "unavailable"]

RUN_VARIABLE: Final = "MIRA_NB_RUN"
"""Environment variable that names the run folder of the dashboard."""

ROOT_VARIABLE: Final = "MIRA_NB_ROOT"
"""Environment variable that names the folder below which runs and data lie."""

LABELS: Final[dict[Status, str]] = {
    "done": "done",
    "outdated": "out of date",
    "running": "running",
    "failed": "failed",
    "ready": "ready to run",
    "waiting": "waiting",
    "blocked": "needs a file",
    "unavailable": "not installed",
}


@dataclass(frozen=True)
class StageState:
    """One stage of a run.

    Attributes
    ----------
    status
        ``done``: a result that fits the data, the stages before it and its parameters; ``outdated``: a result that no
        longer does; ``ready``: can run; ``waiting``: stages before it are missing; ``blocked``: a resource is missing.
    reason
        One sentence for everything that is not simply done or ready.
    key
        Key of the stored result ('' without one).
    waits_for
        Stages that must be brought up to date first.
    """

    name: str
    title: str
    status: Status
    reason: str = ""
    key: str = ""
    waits_for: tuple[str, ...] = ()
    error: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunState:
    """All stages of a run folder and the facts about its data."""

    root: Path
    record: Mapping[str, Any]
    stages: Mapping[str, StageState]
    annotations: tuple[str, ...]

    @property
    def shape(self) -> Mapping[str, int]:
        """Numbers of cells, genes and peaks."""
        return self.record.get("shape", {})


def load_stage(name: str) -> Stage[Any] | None:
    """Return a stage, or None where its module cannot be imported in this installation."""
    try:
        return get_stage(name)
    except (ImportError, AttributeError):
        return None


def read_run(store: RunStore, *, running: str = "") -> RunState:
    """Read a run folder.

    Parameters
    ----------
    store
        The run folder.
    running
        The stage that a live worker is computing.

    Raises
    ------
    InputError
        When the folder holds no run.
    StoreError
        When its record cannot be read.
    """
    record = store.existing_record()
    reader = _Reader(store, record, running)
    stages = {name: reader.state(name) for name in stage_names()}
    return RunState(store.root, record, stages, annotation_names(store.input_path))


class _Reader:
    """Derive the states in the order of the stages: each depends on the ones before it."""

    def __init__(self, store: RunStore, record: Mapping[str, Any], running: str) -> None:
        self.store, self.record, self.running = store, record, running
        self.resources = Resources.from_json(record.get("resource_paths", {}))
        self.hashes = HashCache(store.root / "cache" / "hashes.json")
        self.keys: dict[str, str] = {}

    def state(self, name: str) -> StageState:
        stage = load_stage(name)
        entry: Mapping[str, Any] = self.record.get("stages", {}).get(name, {})
        stored = self._stored(name)
        if stage is None:
            return StageState(name, name.replace("_", " "), "unavailable", phrase("stage", "not_installed"))
        status, reason, waits_for = self._status(stage, entry, stored)
        if stored and status == "done":
            self.keys[name] = str(stored["key"])
        parameters: Mapping[str, Any] = entry.get("parameters") or {}
        if stored and (not parameters or status == "done"):
            parameters = {row["name"]: row["value"] for row in stored["parameters"]}
        return StageState(
            name=name,
            title=stage.title,
            status=status,
            reason=reason,
            key=str(stored["key"]) if stored else "",
            waits_for=waits_for,
            error=(entry.get("error") or {}) if status == "failed" else {},
            stored=stored,
            parameters=parameters,
        )

    def _stored(self, name: str) -> Mapping[str, Any] | None:
        try:
            return self.store.stage_record(name)
        except StoreError:
            return None

    def _status(
        self, stage: Stage[Any], entry: Mapping[str, Any], stored: Mapping[str, Any] | None
    ) -> tuple[Status, str, tuple[str, ...]]:
        name = stage.name
        waits_for = tuple(need for need in stage.needs if need not in self.keys)
        if name == self.running:
            return "running", "", waits_for
        missing = stage.missing(self.resources)
        if missing:
            return "blocked", phrase("stage", "blocked", missing=missing), waits_for
        if entry.get("status") == "failed":
            return "failed", "", waits_for
        if waits_for:
            reason = phrase("stage", "waits", titles=_titles(waits_for))
            return ("outdated", reason, waits_for) if stored else ("waiting", reason, waits_for)
        if entry.get("status") == "skipped" and entry.get("key"):
            return "ready", phrase("stage", "skipped", reason=entry.get("reason", "")), ()
        if stored is None:
            stopped = entry.get("reason") in {STOPPED, RUNNING}
            return "ready", phrase("stage", "stopped") if stopped else "", ()
        if stored["key"] != self._current_key(stage, stored):
            return "outdated", phrase("stage", "stale"), ()
        return "done", "", ()

    def _current_key(self, stage: Stage[Any], stored: Mapping[str, Any]) -> str:
        """Return the key that the stored result would have if it were computed now with its own parameters."""
        try:
            params = stage.Params.parse(stage.name, {row["name"]: row["value"] for row in stored["parameters"]})
            return stage_key(
                stage,
                params,
                seed=int(stored["seed"]),
                input_key=str(self.record.get("input_key", "")),
                before=self.store.records(name for name in upstream(stage.name, used=self.keys) if name in self.keys),
                resources=self.resources,
                hashes=self.hashes,
            )
        except (ParameterError, OSError):
            return ""


def _titles(names: tuple[str, ...]) -> list[str]:
    return [stage.title if (stage := load_stage(name)) else name for name in names]


def annotation_names(path: Path) -> tuple[str, ...]:
    """Return the names of the cell annotations in the checked input, in their order."""
    names: dict[str, None] = {}
    try:
        with h5py.File(path, "r") as file:
            for group in ("obs", "mod/rna/obs", "mod/atac/obs"):
                if group in file:
                    names.update(dict.fromkeys(str(item) for item in file[group].attrs.get("column-order", ())))
    except OSError:
        return ()
    return tuple(name for name in names if not name.startswith(("rna:", "atac:")))


def run_folders(parent: Path) -> dict[str, Path]:
    """Return the run folders directly below `parent`, by name."""
    try:
        return {path.parent.name: path.parent for path in sorted(parent.glob("*/run.json"))}
    except OSError:
        return {}


def choose_run(query: str | None, default: Path | None, root: Path | None = None) -> tuple[Path | None, str]:
    """Return the folder that a page shows: the default one, or the one named by ``?run=NAME``.

    Only names of existing run folders in the root, or in the default one's parent, are accepted, never paths.

    Returns
    -------
    folder, problem
        The folder (None without any) and a message for the reader when the name asked for was not found.
    """
    from urllib.parse import parse_qs

    wanted = parse_qs(query or "").get("run", [""])[0]
    if not wanted:
        return default, ""
    folder = root or (default.resolve().parent if default else None)
    known = run_folders(folder) if folder else {}
    if wanted in known:
        return known[wanted], ""
    return default, phrase("stage", "no_run", name=wanted, beside=list(known))

"""The order of the stages: what runs, what is skipped and why, what a failure leaves standing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mira_nb.errors import Cancelled, MiraError, ParameterError, StoreError
from mira_nb.io.resources import Resources
from mira_nb.keys import JOINT_STAGE, PREPARE
from mira_nb.stages.base import Stage
from mira_nb.stages.params import Params
from mira_nb.stages.registry import get_stage, stage_names, stages_until, upstream

from .compute import check_setting, compute_for_kernels
from .crate import write_crate
from .files import HashCache
from .history import keep_replaced
from .identity import stage_key
from .inputs import InputSpec, prepare_input
from .intact import stage_damage
from .kernels.manager import kernel_server
from .lock import check_folder, locked
from .memory import available_mb, input_size, shortage
from .messages import refusal
from .notebooks import ProgressSink, execute_template
from .outputs import REPORT, RESULTS, damaged_outputs, made_from, written_facts
from .place import check_names, check_place, use_writable_numba_cache
from .provenance import command_line, merged_versions, package_versions, platform_facts
from .record import NOT_ASKED, RUNNING, STOPPED
from .reuse import take_over
from .store import RunStore


@dataclass(frozen=True)
class RunRequest:
    """What to run.

    Attributes
    ----------
    spec, resources
        Input files, resources and annotations.
    out
        The run folder.
    parameters
        Values by stage and name; what is not named keeps its default.
    until
        Last stage to run (None: all).
    only
        Run just this stage, or these (their upstream results must be there), even when a key is unchanged if `force`.
    force
        Compute stages whose key is unchanged too: all of those that run, or the one named.
    seed
        Seed of the run.
    title
        Name of the experiment at the head of the report; empty: the one given before, else the folder's name.
    compute
        Where independent work is done: a number of processes, address of a Dask scheduler, or a file for dask-jobqueue;
        None: as the environment says, else this machine's processes. Results do not depend on it.
    donors
        Other run folders whose results are taken over where the key of a stage is the same.
    patience
        Seconds to wait for another process that writes to the run folder.
    """

    spec: InputSpec
    resources: Resources
    out: Path
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    until: str | None = None
    only: str | tuple[str, ...] | None = None
    force: bool | str = False
    seed: int = 0
    command: str = ""
    title: str = ""
    compute: str | None = None
    donors: tuple[Path, ...] = ()
    patience: float = 0.0


@dataclass(frozen=True)
class RunOutcome:
    """What a run did: status of every stage, and whether anything was computed."""

    statuses: Mapping[str, str]
    reasons: Mapping[str, str]
    computed: tuple[str, ...]
    report: Path | None

    @property
    def failed(self) -> tuple[str, ...]:
        """Stages that failed."""
        return tuple(name for name, status in self.statuses.items() if status == "failed")


def parse_parameters(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Params]:
    """Validate the parameters of all stages before anything runs."""
    names = stage_names()
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ParameterError(
            f"there is no stage {', '.join(map(repr, unknown))} to set parameters of", expected=", ".join(names)
        )
    return {name: get_stage(name).Params.parse(name, values.get(name, {})) for name in names}


def run_pipeline(request: RunRequest, *, sink: ProgressSink | None = None) -> RunOutcome:
    """Run every stage whose key changed, in order, each in its own kernel, and build the report.

    A stage whose resources are missing, or that finds nothing to analyse in the data, is skipped; a stage that fails
    fails alone, and only what needs it is skipped.
    """
    parameters = parse_parameters(request.parameters)
    if request.compute is not None:
        check_setting(request.compute)
    wanted = stages_until(request.until)
    store = RunStore(request.out)
    check_folder(store.root)
    check_names(request.title, request.seed, request.spec, request.resources)
    check_place(store.root)
    use_writable_numba_cache()
    with locked(store.root, patience=request.patience), compute_for_kernels(request.compute), kernel_server():
        set_aside = store.record.set_aside()
        hashes = HashCache(store.root / "cache" / "hashes.json")
        record = _open_record(request, store, hashes)
        run = _Run(request, store, hashes, record, parameters, sink)
        if set_aside:
            run.say("run.json", set_aside)
        only = (request.only,) if isinstance(request.only, str) else request.only
        for name in stage_names():
            if name in wanted and (only is None or name in only):
                run.step(name)
            else:
                run.leave(name)
        return run.finish()


class _Run:
    """State of one pass over the stages."""

    def __init__(
        self,
        request: RunRequest,
        store: RunStore,
        hashes: HashCache,
        record: dict[str, Any],
        parameters: dict[str, Params],
        sink: ProgressSink | None,
    ) -> None:
        self.request, self.store, self.hashes, self.record = request, store, hashes, record
        self.parameters, self.sink = parameters, sink
        self.computed: list[str] = []
        self.repaired: dict[str, str] = {}
        self.short: dict[str, str] = {}
        self.keys: dict[str, str] = {}

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        return self.record["stages"]

    def step(self, name: str) -> None:
        """Update one stage."""
        stage = get_stage(name)
        reason = self._blocked(stage)
        if reason:
            self._note(name, "skipped", reason=reason)
            return
        key = self._key(stage)
        stored = self._stored(name)
        current = stored is not None and stored["key"] == key and self.store.notebook_path(name).exists()
        force = self.request.force in {True, name}
        if current and not force:
            self.keys[name] = key
            self._note(name, "done", stored=stored)
            return
        if not force and (self._skipped_before(name, key) or self._taken_over(stage, key)):
            return
        self._execute(stage, key)

    def leave(self, name: str) -> None:
        """Keep a stage that is not part of this run as it is, if its result still fits the ones before it."""
        stage = get_stage(name)
        if not self._blocked(stage) and self._skipped_before(name, self._key(stage)):
            return
        stored = self._stored(name)
        if stored and not self._blocked(stage) and stored["key"] == self._stored_key(stage, stored):
            self.keys[name] = stored["key"]
            self._note(name, "done", stored=stored)
        else:
            facts: dict[str, Any] = self._outdated(stage) if stored else {"reason": NOT_ASKED}
            self._note(name, "pending", **facts)

    def _outdated(self, stage: Stage[Any]) -> dict[str, str]:
        """Return why a stored result no longer fits; the report still shows it, with this said."""
        known = self.stages.get(stage.name, {}).get("outdated")
        before = [name for name in upstream(stage.name, used=stage.uses) if name in self.computed]
        changed = before or [name for name in stage.needs if name not in self.keys]
        title = get_stage(changed[0]).title if changed else known or "the settings of the run"
        return {"reason": f"its result was made before the change of {title}", "outdated": title}

    def _stored(self, name: str) -> dict[str, Any] | None:
        """Return stage.json of a stored result that is whole; of another, say what is wrong and return None."""
        folder = self.store.stage_dir(name)
        try:
            stored = self.store.stage_record(name)
            noted = self.stages.get(name, {}).get("stage_json")
            problem = stage_damage(folder, stored, noted, self.hashes) if stored is not None else ""
        except StoreError as error:
            stored, problem = None, error.message
        if not problem:
            return stored
        self.say(name, f"the stored result is not used, because {problem}")
        (folder / "stage.json").unlink(missing_ok=True)  # nobody else takes it for whole
        return None

    def say(self, name: str, message: str) -> None:
        """Show a warning that belongs to a stage or a file."""
        self.repaired[name] = message
        if self.sink is not None:
            self.sink(name, 0.0, f"warning: {message}", -1)

    def _skipped_before(self, name: str, key: str) -> bool:
        """Return whether the stage found, with the same key, that the data give it nothing to analyse."""
        entry = self.stages.get(name, {})
        return bool(entry.get("status") == "skipped" and entry.get("key") == key)

    def _blocked(self, stage: Stage[Any]) -> str:
        for name in stage.needs:
            if name not in self.keys:
                status = self.stages.get(name, {}).get("status", "pending")
                return f"it needs stage {name}, which is {status}"
        if self.request.resources.subset and JOINT_STAGE in stage.uses and JOINT_STAGE not in self.keys:
            return f"it needs stage {JOINT_STAGE}, which takes the cells of --subset"
        missing = stage.missing(self.request.resources)
        return f"give {missing} to run this stage" if missing else stage.skip_reason(self.parameters)

    def _key(self, stage: Stage[Any]) -> str:
        return self._key_with(stage, self.parameters[stage.name], self.request.seed)

    def _stored_key(self, stage: Stage[Any], stored: Mapping[str, Any]) -> str:
        """Return the key that a stored result would have now, with the parameters it was made with."""
        values = {row["name"]: row["value"] for row in stored["parameters"]}
        try:
            params = stage.Params.parse(stage.name, values)
        except ParameterError:
            return ""
        return self._key_with(stage, params, int(stored["seed"]))

    def _key_with(self, stage: Stage[Any], params: Params, seed: int) -> str:
        return stage_key(
            stage,
            params,
            seed=seed,
            input_key=self.record["input_key"],
            before=self.store.records(name for name in upstream(stage.name, used=self.keys) if name in self.keys),
            resources=self.request.resources,
            hashes=self.hashes,
        )

    def _taken_over(self, stage: Stage[Any], key: str) -> bool:
        """Return whether another run has the result, which is then put into this one."""
        if not self.request.donors:
            return False
        keep_replaced(self.store.root, stage.name, stage.title, say=partial(self.say, "history"))
        donor = take_over(self.store, stage.name, key, self.request.donors, self.hashes)
        if donor is None:
            return False
        self.keys[stage.name] = key
        self._note(stage.name, "done", stored=self.store.stage_record(stage.name))
        if self.sink is not None:
            self.sink(stage.name, 1.0, f"taken over from {donor.name}", -1)
        return True

    def _execute(self, stage: Stage[Any], key: str) -> None:
        name = stage.name
        keep_replaced(self.store.root, name, stage.title, say=partial(self.say, "history"))
        self._note(name, "pending", reason=RUNNING)
        work = self.store.root / ".progress" / f"{name}.ipynb"
        values = {
            "run_dir": str(self.store.root.resolve()),
            "seed": self.request.seed,
            **self.parameters[name].model_dump(mode="json"),
        }
        self.short[name] = shortage(name, stage.memory, input_size(self.store.input_path), available_mb())
        if self.short[name] and self.sink is not None:
            self.sink(name, 0.0, f"warning: {self.short[name]}", -1)
        started = time.perf_counter()
        try:
            execute_template(name, work, values, progress_dir=work.parent, sink=self.sink)
        except Cancelled:
            self._note(name, "pending", reason=STOPPED)
            work.unlink(missing_ok=True)
            raise
        except MiraError as error:
            self._failed(name, error, time.perf_counter() - started, work)
            return
        noted = self.store.read_record()["stages"][name]
        if noted["status"] == "skipped" and noted["key"] == key:
            self._skipped(name, noted, work)
            return
        stored = self.store.stage_record(name)
        if stored is None or stored["key"] != key:
            mismatch = refusal(StoreError, "key_changed", name=name)
            self._failed(name, mismatch, time.perf_counter() - started, work)
            return
        work.replace(self.store.notebook_path(name))
        self.keys[name] = key
        self.computed.append(name)
        self._note(name, "done", stored=stored)

    def _skipped(self, name: str, noted: dict[str, Any], notebook: Path) -> None:
        """Keep the entry and the notebook of a stage that found nothing to analyse in the data."""
        self.computed.append(name)
        self.stages[name] = noted
        target = self.store.stage_dir(name) / "skipped.ipynb"  # beside an older result, which stays as it is
        target.parent.mkdir(parents=True, exist_ok=True)
        notebook.replace(target)

    def _failed(self, name: str, error: MiraError, seconds: float, notebook: Path) -> None:
        self.computed.append(name)
        if notebook.exists():  # beside an older result, which stays as it is
            target = self.store.stage_dir(name) / "failed.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            notebook.replace(target)
        details = {
            "type": getattr(error, "cause", "") or type(error).__name__,
            "message": str(error) + (f"\nBefore it started: {short}" if (short := self.short.get(name)) else ""),
            "traceback": getattr(error, "traceback", ""),
        }
        self._note(name, "failed", error=details, seconds=round(seconds, 1))

    def _note(self, name: str, status: str, *, stored: Mapping[str, Any] | None = None, **facts: Any) -> None:
        """Write the status of a stage into run.json."""
        parameters = self.parameters[name].model_dump(mode="json")
        self.stages[name] = self.store.record.note(
            get_stage(name), status, parameters=parameters, stored=stored, **facts
        )

    def finish(self) -> RunOutcome:
        """Write results.h5mu and the report, if anything changed since they were written."""
        root = self.store.root
        self.store.record.update(versions=self._versions())
        state = made_from(root, self.record)
        stale = self.computed or self.record.get("written_for") != state
        damaged = {} if stale else damaged_outputs(root, self.record, self.hashes)
        for name, problem in damaged.items():
            self.say(name, f"written anew, because it {problem}")
        if stale or RESULTS in damaged:
            self.store.write_results()
        if stale or set(damaged) - {RESULTS}:
            from mira_nb.report.build import build_report

            build_report(root)
        self.store.record.update(written_for=state, report_for=state, written=written_facts(root, self.hashes))
        write_crate(root, self.hashes)
        return RunOutcome(
            statuses={name: entry["status"] for name, entry in self.stages.items()},
            reasons={name: entry["reason"] for name, entry in self.stages.items()},
            computed=tuple(self.computed),
            report=root / REPORT,
        )

    def _versions(self) -> dict[str, str]:
        """Return the versions of the packages that made the results: of every finished stage and of this process."""
        stored = [self.store.stage_record(name) for name, entry in self.stages.items() if entry["status"] == "done"]
        return merged_versions([*(record.get("versions", {}) for record in stored if record), package_versions()])


def open_run(request: RunRequest, store: RunStore) -> dict[str, Any]:
    """Read and check the input unless the same files were read before; start or refresh run.json."""
    return _open_record(request, store, HashCache(store.root / "cache" / "hashes.json"))


def _open_record(request: RunRequest, store: RunStore, hashes: HashCache) -> dict[str, Any]:
    old = store.read_record()
    params: Any = parse_parameters(request.parameters)[PREPARE]
    facts = prepare_input(request.spec, request.resources, store, old, hashes, params=params)
    record = {
        **facts,
        "created": old.get("created") or time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "updated": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": request.command or command_line(),
        "seed": request.seed,
        "title": request.title or old.get("title", ""),
        "resource_paths": request.resources.to_json(),
        "input_spec": request.spec.to_json(),
        "versions": package_versions(),
        "platform": platform_facts(),
    }
    return store.record.begin(record, keep_stages=old.get("input_key") == facts["input_key"])

"""The process behind a panel's run button: ``python -m mira_nb.panels.worker RUN_DIR``.

Reads ``RUN_DIR/.progress/job.request.json``, runs the same pipeline as the command line and leaves its state in
``job.json``. It outlives the page that started it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mira_nb.errors import Cancelled, MiraError
from mira_nb.run.files import write_json
from mira_nb.run.lock import RESTORE_SECONDS
from mira_nb.run.progress import read_progress
from mira_nb.run.store import RunStore

from .job import JobFolder, end_processes
from .job_plan import JobPlan, plan_of

if TYPE_CHECKING:
    from mira_nb.run.pipeline import RunOutcome

POLL_SECONDS = 0.2
EXIT_CANCELLED = 3
LEAST_STEP = 0.005
"""Part of a job that is worth a note for the pages, and seconds after which there is one in any case."""
LEAST_SECONDS = 2.0


class Worker:
    """One job.

    Parameters
    ----------
    folder
        The run folder's job files, with the request in place.
    request
        Content of job.request.json.
    """

    def __init__(self, folder: JobFolder, request: Mapping[str, Any]) -> None:
        self.folder, self.request = folder, request
        self.store = RunStore(folder.run_dir)
        self.state: dict[str, Any] = {**folder.read(), "pid": os.getpid(), "status": "running"}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._said: tuple[str, str] | None = None
        self._plan = JobPlan({})
        self._measured = 0.0

    def note(self, **facts: Any) -> None:
        """Write facts into job.json."""
        with self._lock:
            self.state.update(facts)
            write_json(self.folder.state, self.state)

    def run(self) -> int:
        """Run the job and return the exit status."""
        self.note(message="reading the run folder")
        self._plan = plan_of(self.store, self.request)
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            status, code = self._pipeline()
        except Cancelled:
            status, code = "cancelled", EXIT_CANCELLED
        except MiraError as error:
            status, code = self._failed(error, str(error))
        except BaseException as error:
            # a kernel that was ended on request surfaces as whatever the notebook client makes of it
            status, code = self._failed(error, f"{type(error).__name__}: {error}")
        self._ended.set()
        if status == "cancelled":
            self._mark_stopped()
        self.log(status)
        self.note(status=status, ended=time.time(), message="")
        return code

    def _failed(self, error: BaseException, message: str) -> tuple[str, int]:
        if self.folder.cancel.exists():
            return "cancelled", EXIT_CANCELLED
        text = traceback.format_exc()
        self.note(error={"type": type(error).__name__, "message": message, "traceback": text})
        self.log(message)
        return "failed", 1

    def _pipeline(self) -> tuple[str, int]:
        from mira_nb.run.pipeline import RunRequest, run_pipeline

        new = self.request.get("new") or {}
        record = self.store.read_record() if new else self.store.existing_record()
        stage, upto = str(self.request["stage"]), bool(self.request["upto"])
        renew = tuple(self.request.get("renew") or ())
        outcome = run_pipeline(
            RunRequest(
                **(self._new_inputs(new) if new else _inputs(record)),
                out=self.store.root,
                parameters={**_stored_parameters(record), **self.request["parameters"]},
                until=stage or None if upto else None,
                only=None if upto else (stage, *renew),
                force=stage if self.request["force"] and not upto else False,
                seed=int((new or record).get("seed", 0)),
                command=str(record.get("command", "")),
                title=str(new.get("title", "")),
                patience=RESTORE_SECONDS,
            ),
            sink=self._progress,
        )
        return self._ended_with(stage, outcome)

    def _ended_with(self, stage: str, outcome: RunOutcome) -> tuple[str, int]:
        """Return status and exit code of a job from what the pipeline did."""
        failed = [name for name in outcome.failed if name in outcome.computed]
        if failed:
            entry = self.store.read_record()["stages"][failed[0]]
            self.note(error={**(entry.get("error") or {}), "stage": failed[0]})
            self.log(str((entry.get("error") or {}).get("message", "")))
            return "failed", 1
        if not stage:
            return "done", 0
        status = outcome.statuses.get(stage, "pending")
        reason = outcome.reasons.get(stage, "") or f"its status is {status}"
        if status == "skipped" and stage in outcome.computed:
            self.log(f"stage {stage} was skipped: {reason}")
            return "done", 0
        if status != "done":
            self.note(error={"type": "Skipped", "message": f"stage {stage} did not run: {reason}", "stage": stage})
            return "failed", 1
        return "done", 0

    def _new_inputs(self, new: Mapping[str, Any]) -> dict[str, Any]:
        """Return input files and resources of a run that starts; those of the catalogue are downloaded first."""
        from mira_nb.io.catalogue import local_file
        from mira_nb.io.resources import Resources
        from mira_nb.io.spec import InputSpec

        values = dict(new["resources"])
        for name in ("genome", "motifs"):
            if values.get(name):
                values[name] = str(local_file(Path(values[name]), name, progress=self._downloading))
        self.note(message="reading and checking the input")
        return {"spec": InputSpec.from_json(new["spec"]), "resources": Resources.from_json(values)}

    def _downloading(self, fraction: float, message: str) -> None:
        self.note(message=f"downloading: {message} ({fraction:.0%})")

    def log(self, text: str) -> None:
        """Write one line of the log, with the time."""
        sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
        sys.stdout.flush()

    def _progress(self, stage: str, fraction: float, message: str, remaining: float) -> None:
        if self._said != (stage, message):
            self._said = (stage, message)
            self.log(f"{stage}  {fraction:4.0%}  {message}")

    # ------------------------------------------------------------------ watching
    def _watch(self) -> None:
        """Keep the current stage in job.json and pass a request to stop on."""
        asked = 0.0
        while not self._ended.wait(POLL_SECONDS):
            current = self._running_stage()
            if current != self.state.get("current", ""):
                self.note(current=current)
                if current:
                    self.log(f"{current}  started")
            self._measure(current)
            if not self.folder.cancel.exists():
                continue
            if not asked:
                asked = time.time()
                self.log("stopping on request")
            if current:
                (self.folder.root / f"{current}.cancel").touch()
            if time.time() - asked > float(self.request.get("grace", 0)):
                self._end_now()

    def _measure(self, current: str) -> None:
        """Note how far the job is as a whole, where that has changed."""
        progress = read_progress(self.folder.root, current) if current else None
        now = time.time()
        where = self._plan.position(current, progress, now - float(self.state.get("started", now)))
        same = (where.phase, where.step) == (self.state.get("phase"), self.state.get("step"))
        small = where.fraction - float(self.state.get("overall", -1)) < LEAST_STEP
        if same and (small and now - self._measured < LEAST_SECONDS):
            return
        self._measured = now
        self.note(
            overall=where.fraction,
            phase=where.phase,
            remaining=where.remaining,
            step=where.step,
            steps=len(self._plan.seconds),
        )

    def _running_stage(self) -> str:
        try:
            return self.store.record.running()
        except MiraError:
            return ""

    def _end_now(self) -> None:
        """Terminate the stage's process, which ignored the request to stop, then this one."""
        self.log("the stage did not stop in time; its process is ended")
        end_processes(os.getpid(), itself=False)
        if self._ended.wait(5.0):
            return
        self._mark_stopped()
        self.note(status="cancelled", ended=time.time(), message="")
        os._exit(EXIT_CANCELLED)

    def _mark_stopped(self) -> None:
        """Clear the ``running`` mark of a stage whose process was terminated."""
        self.store.record.clear_running()
        for leftover in self.folder.root.glob("*.cancel"):
            leftover.unlink(missing_ok=True)


def _inputs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input files and resources of the run."""
    from mira_nb.io.resources import Resources
    from mira_nb.io.spec import InputSpec

    return {
        "spec": InputSpec.from_json(record["input_spec"]),
        "resources": Resources.from_json(record.get("resource_paths", {})),
    }


def _stored_parameters(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the parameters of every stage in run.json: a run of one stage keeps those of the others."""
    return {name: entry["parameters"] for name, entry in record.get("stages", {}).items() if entry.get("parameters")}


def main(arguments: list[str]) -> int:
    """Run the job requested in a run folder."""
    import json

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    folder = JobFolder(Path(arguments[0]))
    return Worker(folder, json.loads(folder.request.read_text())).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a template notebook talks to: one stage on one run folder, shown step by step."""

from __future__ import annotations

import time
from collections.abc import Container
from pathlib import Path
from typing import Any

import pandas as pd
from mudata import MuData

from mira_nb.errors import NotApplicable, ParameterError, StoreError
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.registry import upstream
from mira_nb.stages.result import MAX_ROWS_IN_NOTEBOOK, Alert, Figure, Result, Slot
from mira_nb.typing import Progress

from .compute import available_cores, get_compute
from .files import HashCache
from .identity import stage_key
from .memory import peak_rss_mb
from .messages import message, refusal
from .progress import ProgressFile
from .store import RunStore


def upstream_stages(stage: Stage[Any], store: RunStore) -> tuple[str, ...]:
    """Return the stages whose results `stage` reads, in order: those it needs and those it uses that are done.

    Raises
    ------
    StoreError
        When a stage that it needs is not done.
    """
    finished = store.finished()
    missing = [name for name in stage.needs if name not in finished]
    if missing:
        raise refusal(StoreError, "stages_missing", stage=stage.name, missing=missing, folder=store.root)
    return tuple(name for name in upstream(stage.name, used=finished) if name in finished)


class Session:
    """One stage on one run folder.

    Parameters
    ----------
    stage
        The stage.
    store
        The run folder, which must hold the checked input.
    params
        Validated parameters.
    seed
        Seed of every random number of the stage.
    progress
        Called with (fraction, message); None writes the progress file of the run folder.
    """

    def __init__(
        self, stage: Stage[Any], store: RunStore, params: Params, *, seed: int, progress: Progress | None = None
    ) -> None:
        self.stage, self.store, self.params, self.seed = stage, store, params, seed
        self.progress = progress or ProgressFile(store.root / ".progress", stage.name)
        self._result: Result | None = None
        self._seconds = 0.0
        self._skipped = ""

    # ---------------------------------------------------------------- compute
    def load(self) -> MuData:
        """Load the input with the values that the stage reads of the stages before it."""
        return self.store.load_data(upstream_stages(self.stage, self.store), wanted=self._reads)

    def _reads(self, slot: Slot, present: Container[Slot]) -> bool:
        return self.stage.reads(slot, self.params, self.resources(), present)

    def resources(self) -> Resources:
        """Return the resources of the run."""
        return Resources.from_json(self.store.read_record().get("resource_paths", {}))

    def run(self) -> Result:
        """Compute the stage; where the data give it nothing to analyse, the result holds only the reason."""
        started = time.perf_counter()
        resources = self.resources()
        missing = self.stage.missing(resources)
        if missing:
            raise ParameterError(f"stage {self.stage.name} cannot run without {missing}", remedy=f"give {missing}")
        self.progress(0.0, "loading")
        self._skipped = ""
        try:
            with get_compute() as compute:
                context = Context(
                    seed=self.seed,
                    resources=resources,
                    progress=self.progress,
                    n_threads=available_cores(),
                    compute=compute,
                    work_dir=self.store.root / "cache" / "work" / self.stage.name,
                    own_data=True,
                )
                self._result = self.stage.run(self.load(), self.params, context)
        except NotApplicable as error:
            self._skipped = error.reason
            code = f"{self.stage.name}.not_applicable"
            alert = Alert("info", "This stage was skipped", error.message, error.remedy or "", code=code)
            self._result = Result(alerts=[alert])
        self._seconds = time.perf_counter() - started
        self.progress(1.0, "done")
        return self._result

    @property
    def result(self) -> Result:
        """The computed result."""
        if self._result is None:
            raise ParameterError("nothing was computed yet", remedy="call session.run() first")
        return self._result

    def save(self) -> Path:
        """Store the result in the run folder, or record why the stage was skipped; returns the stage's folder."""
        record = self.store.read_record()
        hashes = HashCache(self.store.root / "cache" / "hashes.json")
        key = stage_key(
            self.stage,
            self.params,
            seed=self.seed,
            input_key=str(record["input_key"]),
            before=self.store.records(upstream_stages(self.stage, self.store)),
            resources=self.resources(),
            hashes=hashes,
        )
        if self._skipped:
            values = self.params.model_dump(mode="json")
            self.store.record.note(self.stage, "skipped", parameters=values, reason=self._skipped, key=key)
            return self.store.stage_dir(self.stage.name)
        self.store.save_stage(
            self.stage,
            self.result,
            params=self.params,
            key=key,
            seed=self.seed,
            seconds=self._seconds,
            peak_rss_mb=peak_rss_mb(),
        )
        self.store.record.note(self.stage, "done", stored=self.store.stage_record(self.stage.name))
        return self.store.stage_dir(self.stage.name)

    # ---------------------------------------------------------------- show
    def parameters(self) -> pd.DataFrame:
        """Return every parameter with value, default, unit and meaning; once computed, also the value in use."""
        frame = pd.DataFrame(self.params.rows(self._result.used if self._result else None))
        columns = ["value", "used", "default", "unit", "help"] if self._result else ["value", "default", "unit", "help"]
        return frame.set_index("name")[columns]

    def summary(self) -> Any:
        """Return alerts and key figures as one block of HTML."""
        from IPython.display import HTML

        return HTML(self.result._repr_html_())

    def figures(self, section: str | None = None) -> None:
        """Show all figures of a section (all figures for None), each with its caption."""
        for figure in self.result.figures:
            if section is None or figure.section == section:
                self._show(figure)

    def figure(self, name: str) -> None:
        """Show one figure with its caption, or say that this run did not make it."""
        chosen = [figure for figure in self.result.figures if figure.name == name]
        if not chosen:
            _markdown(message("no_figure", name=name, made=[figure.name for figure in self.result.figures]))
        for figure in chosen:
            self._show(figure)

    def table(self, name: str, rows: int = 20) -> Any:
        """Show the first rows of a table under its caption; the run folder holds all rows."""
        chosen = [table for table in self.result.tables if table.name == name]
        if not chosen:
            _markdown(message("no_table", name=name))
            return None
        table = chosen[0]
        shown = {"title": table.title, "caption": table.caption, "n_rows": len(table.frame), "n_shown": rows}
        _markdown(message("table_head", **shown))
        return table.frame.head(rows)

    def _show(self, figure: Figure) -> None:
        from IPython.display import display

        display(figure)
        note = figure.sampling_note(MAX_ROWS_IN_NOTEBOOK)
        _markdown(f"**{figure.title}.** {figure.caption}" + (f" *({note})*" if note else ""))


def _markdown(text: str) -> None:
    """Show Markdown in which HTML stays text: titles and captions hold names of the user's."""
    from IPython.display import HTML, display

    from mira_nb.report.embed import markdown

    display(HTML(str(markdown(text))))

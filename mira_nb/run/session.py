"""What a template notebook talks to: one stage on one run folder, shown step by step."""

from __future__ import annotations

import html
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
from mudata import MuData

from mira_nb.errors import ParameterError, StoreError
from mira_nb.io.resources import Resources
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.registry import get_stage
from mira_nb.stages.result import Figure, Result
from mira_nb.typing import Progress

from .compute import available_cores, get_compute
from .files import HashCache
from .identity import stage_key
from .memory import peak_rss_mb
from .progress import ProgressFile
from .store import RunStore

MAX_ROWS_IN_NOTEBOOK = 4000


def upstream_stages(stage: Stage[Any], store: RunStore) -> tuple[str, ...]:
    """Stages whose results `stage` reads: those it needs and those it uses, with everything before them."""
    finished = store.finished()
    wanted: set[str] = set()
    todo = [*stage.needs, *(name for name in stage.uses if name in finished)]
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo.extend(get_stage(name).needs)
    missing = [name for name in stage.needs if name not in finished]
    if missing:
        raise StoreError(
            f"stage {stage.name} needs the results of {', '.join(missing)}, which are not in {store.root}",
            remedy=f"run `mira-nb run ... --out {store.root} --until {stage.name}`",
        )
    return tuple(name for name in finished if name in wanted)


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

    # ---------------------------------------------------------------- compute
    def load(self) -> MuData:
        """Load the input with the values of the upstream stages."""
        return self.store.load_data(upstream_stages(self.stage, self.store))

    def resources(self) -> Resources:
        """Resources of the run."""
        return Resources.from_json(self.store.read_record().get("resource_paths", {}))

    def run(self) -> Result:
        """Compute the stage."""
        started = time.perf_counter()
        context = Context(
            seed=self.seed,
            resources=self.resources(),
            progress=self.progress,
            n_threads=available_cores(),
            compute=get_compute(),
        )
        missing = self.stage.missing(context.resources)
        if missing:
            raise ParameterError(f"stage {self.stage.name} cannot run without {missing}", remedy=f"give {missing}")
        self.progress(0.0, "loading")
        self._result = self.stage.run(self.load(), self.params, context)
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
        """Store the result in the run folder; returns the stage's folder."""
        record = self.store.read_record()
        hashes = HashCache(self.store.root / "cache" / "hashes.json")
        keys = {}
        for name in upstream_stages(self.stage, self.store):
            stored = self.store.stage_record(name)
            if stored and name in {*self.stage.needs, *self.stage.uses}:
                keys[name] = stored["key"]
        key = stage_key(
            self.stage,
            self.params,
            seed=self.seed,
            input_key=str(record["input_key"]),
            upstream=keys,
            resources=self.resources(),
            hashes=hashes,
        )
        self.store.save_stage(
            self.stage,
            self.result,
            params=self.params,
            key=key,
            seed=self.seed,
            seconds=self._seconds,
            peak_rss_mb=peak_rss_mb(),
        )
        record.setdefault("stages", {})[self.stage.name] = {"status": "done", "key": key}
        self.store.write_record(record)
        return self.store.stage_dir(self.stage.name)

    # ---------------------------------------------------------------- show
    def parameters(self) -> pd.DataFrame:
        """Show every parameter with value, default and meaning."""
        from .store import parameter_rows

        frame = pd.DataFrame(parameter_rows(self.params))
        return frame[["name", "value", "default", "unit", "help"]].set_index("name")

    def summary(self) -> Any:
        """Alerts and metrics as one block of HTML."""
        from IPython.display import HTML

        parts = [
            f"<p><b>{html.escape(alert.level)}: {html.escape(alert.title)}</b> {html.escape(alert.cause)} "
            f"{html.escape(alert.remedy)}</p>"
            for alert in self.result.alerts
        ]
        rows = [
            f"<tr><td>{html.escape(m.name)}</td><td><b>{html.escape(_number(m.value))}</b> {html.escape(m.unit)}</td>"
            f"<td style='text-align:left'>{html.escape(m.help)}</td></tr>"
            for m in self.result.metrics
        ]
        return HTML("".join(parts) + "<table>" + "".join(rows) + "</table>")

    def figures(self, section: str | None = None) -> None:
        """Show all figures of a section (all figures for None), each with its caption."""
        for figure in self.result.figures:
            if section is None or figure.section == section:
                self._show(figure)

    def figure(self, name: str) -> None:
        """Show one figure with its caption, or say that this run did not make it."""
        chosen = [figure for figure in self.result.figures if figure.name == name]
        if not chosen:
            made = ", ".join(figure.name for figure in self.result.figures)
            _markdown(f"*The figure `{name}` was not made in this run. Figures made: {made}.*")
        for figure in chosen:
            self._show(figure)

    def table(self, name: str, rows: int = 20) -> Any:
        """Show the first rows of a table under its caption; the run folder holds all rows."""
        chosen = [table for table in self.result.tables if table.name == name]
        if not chosen:
            _markdown(f"*The table `{name}` was not made in this run.*")
            return None
        table = chosen[0]
        _markdown(f"**{table.title}.** {table.caption} ({len(table.frame):,} rows, the first {rows} shown)")
        return table.frame.head(rows)

    def _show(self, figure: Figure) -> None:
        from IPython.display import SVG, Image, display

        note = ""
        if figure.image is not None:
            display(Image(figure.image))
        elif figure.svg:
            display(SVG(figure.svg))
        else:
            spec, note = notebook_spec(figure)
            display(_bundle(spec), raw=True)
        _markdown(f"**{figure.title}.** {figure.caption}{note}")


def notebook_spec(figure: Figure) -> tuple[dict[str, Any], str]:
    """Vega-Lite of a figure with plain data for a notebook; large data are sampled evenly, and the note says so."""
    spec = figure.chart if isinstance(figure.chart, dict) else figure.chart.to_dict()
    spec = json.loads(json.dumps(spec))
    note = ""
    for name, frame in figure.packed.items():
        shown = frame
        if len(frame) > MAX_ROWS_IN_NOTEBOOK:
            step = len(frame) / MAX_ROWS_IN_NOTEBOOK
            shown = frame.iloc[[int(i * step) for i in range(MAX_ROWS_IN_NOTEBOOK)]]
            note = f" *(The notebook shows {len(shown):,} of {len(frame):,} points; the report shows more.)*"
        records = json.loads(shown.to_json(orient="records"))
        spec.setdefault("datasets", {})[name] = records
    return spec, note


def _bundle(spec: dict[str, Any]) -> dict[str, Any]:
    """Interactive chart where the front end can draw it, and a PNG everywhere else."""
    import base64

    import altair
    import vl_convert

    png = vl_convert.vegalite_to_png(spec, scale=1.3)
    major = altair.SCHEMA_VERSION.lstrip("v").split(".")[0]
    return {f"application/vnd.vegalite.v{major}+json": spec, "image/png": base64.b64encode(png).decode()}


def _markdown(text: str) -> None:
    from IPython.display import Markdown, display

    display(Markdown(text))


def _number(value: float | int | str) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

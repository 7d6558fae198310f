"""The run folder: what each stage left, under one key, written atomically and read back by the next stage.

DIR/run.json                    the record of the run
DIR/results.h5mu                input and every stage's values in one MuData
DIR/cache/input.h5mu            the checked pair
DIR/stages/STAGE/stage.json     parameters, metrics, alerts, what tables and figures there are
DIR/stages/STAGE/slots.h5       the stage's values for the MuData
DIR/stages/STAGE/tables, figures, files, notebook.ipynb
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from mudata import MuData

from mira_nb.charts import packed
from mira_nb.errors import StoreError
from mira_nb.report.reader import SCHEMA, existing_record, read_stage_record, stage_folder
from mira_nb.stages.base import Stage
from mira_nb.stages.params import Params
from mira_nb.stages.registry import stage_names
from mira_nb.stages.result import SUBSET_SLOT, Figure, Result, Slot, Table, apply_slots, cells_of_slots
from mira_nb.stages.shared.cells import take_cells
from mira_nb.text import from_spreadsheet_cell, spreadsheet_cell
from mira_nb.version import __version__

from .files import replaced_folder, write_bytes, write_json
from .intact import output_facts
from .messages import refusal
from .provenance import package_versions
from .record import RunRecord
from .selections import apply_selections
from .slots import read_slots, stored_slots, write_slots


class RunStore:
    """Reads and writes one run folder.

    Parameters
    ----------
    root
        The run folder; it need not exist yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    # ------------------------------------------------------------------ record
    @property
    def record(self) -> RunRecord:
        """The record of the run, run.json."""
        return RunRecord(self.root)

    def existing_record(self) -> dict[str, Any]:
        """Return run.json; refuse a folder without one (InputError)."""
        return existing_record(self.root)

    def read_record(self) -> dict[str, Any]:
        """Return run.json, or an empty dict before the first run."""
        return self.record.read()

    # ------------------------------------------------------------------ stages
    def stage_dir(self, stage: str) -> Path:
        """Return the folder of one stage."""
        return stage_folder(self.root, stage)

    def notebook_path(self, stage: str) -> Path:
        """Return the path of the stage's executed template."""
        return self.stage_dir(stage) / "notebook.ipynb"

    def stage_record(self, stage: str) -> dict[str, Any] | None:
        """Return stage.json of a finished stage, else None."""
        return read_stage_record(self.root, stage)

    def records(self, stages: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return stage.json of those of the stages that have one, by name."""
        found = {name: self.stage_record(name) for name in stages}
        return {name: stored for name, stored in found.items() if stored is not None}

    def finished(self) -> list[str]:
        """Return the stages with a valid stored result, in order: those that run.json calls done."""
        states = self.read_record().get("stages", {})
        return [
            name
            for name in stage_names()
            if states.get(name, {}).get("status") == "done" and (self.stage_dir(name) / "stage.json").exists()
        ]

    def table(self, stage: str, name: str) -> pd.DataFrame:
        """Read one table back."""
        path = self.stage_dir(stage) / "tables" / f"{name}.csv"
        if not path.exists():
            known = sorted(item.stem for item in path.parent.glob("*.csv"))
            raise StoreError(f"{path} does not exist", expected=f"one of {known}")
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
        for name in frame.select_dtypes(object).columns:
            frame[name] = frame[name].map(
                lambda value: from_spreadsheet_cell(value) if isinstance(value, str) else value
            )
        return frame.rename(columns=from_spreadsheet_cell)

    def save_stage(
        self,
        stage: Stage[Any],
        result: Result,
        *,
        params: Params,
        key: str,
        seed: int,
        seconds: float,
        peak_rss_mb: float,
    ) -> None:
        """Store a Result as the stage's folder; the old folder is replaced in one rename."""
        with replaced_folder(self.stage_dir(stage.name)) as folder:
            record = {
                "schema": SCHEMA,
                "stage": stage.name,
                "title": stage.title,
                "purpose": stage.purpose,
                "key": key,
                "seed": seed,
                "package_version": __version__,
                "parameters": params.rows(result.used),
                "slots": write_slots(folder / "slots.h5", result.slots),
                "metrics": [_metric(metric) for metric in result.metrics],
                "alerts": [vars(alert) for alert in result.alerts],
                "tables": [_write_table(folder, table) for table in result.tables],
                "figures": [_write_figure(folder, figure) for figure in result.figures],
                "files": [_write_file(folder, item) for item in result.files],
                "methods": result.methods,
                "versions": package_versions(),
                "seconds": round(seconds, 3),
                "peak_rss_mb": round(peak_rss_mb, 1),
            }
            write_json(folder / "stage.json", {**record, "outputs": output_facts(folder)})

    # ------------------------------------------------------------------ data
    @property
    def input_path(self) -> Path:
        """The checked pair that every stage starts from."""
        return self.root / "cache" / "input.h5mu"

    def load_data(
        self, stages: Iterable[str], *, wanted: Callable[[Slot, Container[Slot]], bool] | None = None
    ) -> MuData:
        """Load the checked input with the values of `stages` written into it; with a subset, its cells only.

        Parameters
        ----------
        stages
            The stages.
        wanted
            Tells whether a value, among all there are, is to be loaded; None loads all.
        """
        data = read_h5mu(self.input_path)
        mask = None
        names = tuple(stages)
        records = self.records(names) if wanted else {}
        present = frozenset(slot for stored in records.values() for slot in stored_slots(stored))
        for stage in names:
            slots = read_slots(self.stage_dir(stage) / "slots.h5", lambda slot: not wanted or wanted(slot, present))
            subset = slots.get(SUBSET_SLOT)
            if subset is not None:
                mask = np.asarray(subset["mask"], dtype=bool)
                data = take_cells(data, mask)
            apply_slots(data, slots if mask is None else cells_of_slots(slots, mask))
        return data

    def write_results(self) -> Path:
        """Write results.h5mu: input and the values of every finished stage."""
        path = self.root / "results.h5mu"
        work = path.with_name(".results.h5mu.tmp")
        data = self.load_data(self.finished(), wanted=lambda slot, _present: slot.element != "layers")
        apply_selections(self.root, data)
        write_h5mu(data, work)
        del data
        self._append_layers(work)
        work.replace(path)
        return path

    def _append_layers(self, path: Path) -> None:
        """Add the layers of every finished stage to a .h5mu, one after the other: they are the largest values."""
        from anndata.io import write_elem

        mask = None
        with h5py.File(path, "a") as file:
            for stage in self.finished():
                slots = self.stage_dir(stage) / "slots.h5"
                for subset in read_slots(slots, lambda slot: slot == SUBSET_SLOT).values():
                    mask = np.asarray(subset["mask"], dtype=bool)
                record = self.stage_record(stage)
                for layer in stored_slots(record) if record else ():
                    if layer.element != "layers":
                        continue
                    value = read_slots(slots, partial(eq, layer))
                    if mask is not None:
                        value = cells_of_slots(value, mask)
                    write_elem(file[f"mod/{layer.modality}/layers"], layer.key, value[layer])


def read_h5mu(path: Path) -> MuData:
    """Read a .h5mu without pulling columns between the modalities."""
    import mudata

    if not path.exists():
        raise refusal(StoreError, "no_run", path=path)
    with mudata.set_options(pull_on_update=False), np.errstate(invalid="ignore"):  # it casts infinite numbers to try
        return mudata.read_h5mu(path)


def write_h5mu(data: MuData, path: Path) -> None:
    """Write a .h5mu, creating its folder."""
    import mudata

    path.parent.mkdir(parents=True, exist_ok=True)
    with mudata.set_options(pull_on_update=False):
        data.write_h5mu(path)


def _metric(metric: Any) -> dict[str, Any]:
    value = metric.value.item() if hasattr(metric.value, "item") else metric.value
    if isinstance(value, float) and not np.isfinite(value):
        value = "not available"
    return {**vars(metric), "value": value}


def _write_table(folder: Path, table: Table) -> dict[str, Any]:
    path = folder / "tables" / f"{table.name}.csv"
    path.parent.mkdir(exist_ok=True)
    plain_cells(table.frame).to_csv(path, index=False)
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "prominence": table.prominence,
        "file": f"tables/{table.name}.csv",
        "rows": len(table.frame),
        "columns": [str(column) for column in table.frame.columns],
    }


def plain_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose text no spreadsheet takes for a formula; numbers stay as they are."""
    texts = [
        number
        for number, dtype in enumerate(frame.dtypes)
        if not (pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_datetime64_any_dtype(dtype))
    ]
    out = frame.copy(deep=False)
    for number in texts:
        values = frame.iloc[:, number].astype(object)
        changed = values.map(lambda value: spreadsheet_cell(value) if isinstance(value, str) else value)
        out.isetitem(number, changed.to_numpy())
    out.columns = pd.Index([spreadsheet_cell(str(name)) for name in frame.columns])
    return out


def figure_spec(figure: Figure) -> dict[str, Any]:
    """Return the Vega-Lite of a figure with its packed data attached."""
    chart = figure.chart if isinstance(figure.chart, dict) else figure.chart.to_dict()
    return packed.attach(chart, figure.packed) if figure.packed else chart


def _write_figure(folder: Path, figure: Figure) -> dict[str, Any]:
    (folder / "figures").mkdir(exist_ok=True)
    if figure.image is not None:
        file = f"figures/{figure.name}.png"
        (folder / file).write_bytes(figure.image)
    elif figure.svg:
        file = f"figures/{figure.name}.svg"
        (folder / file).write_text(figure.svg, encoding="utf-8")
    else:
        file = f"figures/{figure.name}.vl.json"
        text = json.dumps(figure_spec(figure), allow_nan=False, separators=(",", ":"))
        (folder / file).write_text(text)
    shown = {name: getattr(figure, name) for name in ("name", "title", "caption", "alt", "section", "prominence")}
    return {**shown, "file": file}


def _write_file(folder: Path, item: Any) -> dict[str, Any]:
    path = (folder / item.path).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise StoreError(f"the export {item.path!r} points outside the stage's folder")
    write_bytes(path, item.content)
    return {"path": item.path, "description": item.description, "bytes": len(item.content)}

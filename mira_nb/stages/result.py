"""What a stage returns: slots of the MuData, tables, figures, metrics, alerts, files, methods text."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final, Literal, TypeVar

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from mira_nb.errors import ParameterError
from mira_nb.keys import SUBSET

Level = Literal["error", "warning", "info", "success"]
Prominence = Literal["main", "detail"]


Modality = Literal["rna", "atac", "joint"]


Element = Literal["obs", "var", "obsm", "varm", "obsp", "layers", "uns"]


MAX_ROWS_IN_NOTEBOOK = 4000
"""Points of a large figure that a notebook keeps."""


@dataclass(frozen=True)
class Slot:
    """Where a value goes: ``Slot("rna", "obsm", "X_topics")``; modality ``joint`` is the MuData itself.

    A stage's class states beside it what stands there: the shape, as ``cells x topics``, and the unit. Slots of the
    same place are equal whatever they state.
    """

    modality: Modality
    element: Element
    key: str
    shape: str = field(default="", compare=False)
    unit: str = field(default="", compare=False)


@dataclass(frozen=True)
class Deferred:
    """A value of a slot that is made when it is stored, so that several large arrays never stand in memory together."""

    make: Callable[[], Any]


def made(value: Any) -> Any:
    """Return the value of a slot."""
    return value.make() if isinstance(value, Deferred) else value


@dataclass(frozen=True)
class Alert:
    """A finding the reader must see: what, why (cause) and what to do (remedy).

    ``code`` names the kind of finding, e.g. ``topics.few_cells``; it stays when the words change.
    """

    level: Level
    title: str
    cause: str = ""
    remedy: str = ""
    code: str = ""


@dataclass(frozen=True)
class Metric:
    """A key figure; ``help`` says how to read it and what good looks like. ``key=True`` puts it in the strip."""

    name: str
    value: float | int | str
    unit: str = ""
    help: str = ""
    key: bool = False
    good_above: float | None = None
    """Least value that is good; None where there is no such bound."""
    good_below: float | None = None
    """Largest value that is good; None where there is no such bound."""

    @property
    def text(self) -> str:
        """The value as it is shown: numbers with at most four significant digits."""
        if isinstance(self.value, float):
            return f"{self.value:,.4g}"
        return f"{self.value:,}" if isinstance(self.value, int) else str(self.value)


@dataclass(frozen=True)
class Table:
    """A table to show, sort, filter and save. ``caption`` explains the columns."""

    name: str
    title: str
    caption: str
    frame: pd.DataFrame
    prominence: Prominence = "main"
    """``detail``: folded away in the report until asked for."""


@dataclass(frozen=True, repr=False)
class Figure:
    """A figure with its caption.

    ``chart`` is an Altair chart or a Vega-Lite dict. Large point clouds do not go into the chart: the chart refers
    to a named dataset (``alt.NamedData("cells")``) and ``packed={"cells": frame}`` carries the values, which are
    stored packed (see :mod:`mira_nb.charts.packed`). Instead of a chart, a raster is given as ``image`` (PNG bytes) and
    a drawing as ``svg`` (text of an SVG file that can be read on a light and a dark page).
    """

    name: str
    title: str
    caption: str
    chart: Any = None
    packed: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    image: bytes | None = None
    svg: str = ""
    alt: str = ""
    section: str = ""
    """Heading inside the stage's report section that groups this figure ('' = none)."""
    prominence: Prominence = "main"
    """``detail``: folded away in the report until asked for."""

    def spec(self, *, max_rows: int | None = None) -> dict[str, Any]:
        """Return the Vega-Lite specification with plain data.

        Parameters
        ----------
        max_rows
            Named datasets of more rows are sampled evenly down to this number; None keeps all.
        """
        spec = self.chart if isinstance(self.chart, dict) else self.chart.to_dict()
        spec = json.loads(json.dumps(spec))
        for name, frame in self.packed.items():
            shown = frame if max_rows is None else _sampled(frame, max_rows)
            spec.setdefault("datasets", {})[name] = json.loads(shown.to_json(orient="records"))
        return spec

    def sampling_note(self, max_rows: int) -> str:
        """Return how many points :meth:`spec` shows of how many ('' when it shows all)."""
        larger = [len(frame) for frame in self.packed.values() if len(frame) > max_rows]
        return f"The notebook shows {max_rows:,} of {larger[0]:,} points; the report shows more." if larger else ""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return an interactive chart where the front end can draw it, and a PNG everywhere else."""
        if self.image is not None:
            return {"image/png": base64.b64encode(self.image).decode(), "text/plain": repr(self)}
        if self.svg:
            return {"image/svg+xml": self.svg, "text/plain": repr(self)}
        import altair
        import vl_convert

        spec = self.spec(max_rows=MAX_ROWS_IN_NOTEBOOK)
        png = vl_convert.vegalite_to_png(spec, scale=1.3)
        major = altair.SCHEMA_VERSION.lstrip("v").split(".")[0]
        return {
            f"application/vnd.vegalite.v{major}+json": spec,
            "image/png": base64.b64encode(png).decode(),
            "text/plain": repr(self),
        }

    def __repr__(self) -> str:
        """Return name and title."""
        return f"Figure {self.name}: {self.title}"


def _sampled(frame: pd.DataFrame, n: int) -> pd.DataFrame:
    step = len(frame) / n
    return frame if step <= 1 else frame.iloc[[int(i * step) for i in range(n)]]


@dataclass(frozen=True)
class ExportFile:
    """A file for the user beside the tables, e.g. ``tables/enrichment.xlsx`` or ``exports/G1.bedgraph``."""

    path: str
    content: bytes
    description: str = ""


@dataclass(frozen=True, repr=False)
class Result:
    """Everything one stage returns.

    Attributes
    ----------
    slots
        Values for the MuData by where they go.
    tables, figures, metrics, alerts, files
        What is shown and saved, in order.
    used
        Parameters whose value in use differs from the one given: what ``auto`` became.
    methods
        Markdown sentences for the methods section, citing as [@key].

    Examples
    --------
    >>> result = mira_nb.topics_rna(mdata)  # doctest: +SKIP
    >>> result.table("top_features")  # a DataFrame  # doctest: +SKIP
    >>> result.figure("training")  # a chart that a notebook draws  # doctest: +SKIP
    """

    slots: Mapping[Slot, Any] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    metrics: Sequence[Metric] = ()
    alerts: Sequence[Alert] = ()
    files: Sequence[ExportFile] = ()
    used: Mapping[str, Any] = field(default_factory=dict)
    methods: str = ""

    def figure(self, name: str) -> Figure:
        """Return the figure called `name`; a notebook shows it with its caption.

        Raises
        ------
        ParameterError
            When this result has no such figure; names those it has.
        """
        return _named("figure", name, self.figures)

    def table(self, name: str) -> pd.DataFrame:
        """Return the table called `name`, all of its rows.

        Raises
        ------
        ParameterError
            When this result has no such table; names those it has.
        """
        return _named("table", name, self.tables).frame

    def metric(self, name: str) -> float | int | str:
        """Return the value of the key figure called `name`.

        Raises
        ------
        ParameterError
            When this result has no such key figure; names those it has.
        """
        return _named("key figure", name, self.metrics).value

    def __repr__(self) -> str:
        """Return counts, and the names that :meth:`figure` and :meth:`table` take."""
        lines = [
            f"Result: {len(self.tables)} tables, {len(self.figures)} figures, {len(self.metrics)} key figures, "
            f"{len(self.alerts)} alerts"
        ]
        for kind, items in (("tables", self.tables), ("figures", self.figures)):
            if items:
                lines.append(f"  {kind}: {', '.join(item.name for item in items)}")
        lines += [f"  {alert.level}: {alert.title}" for alert in self.alerts]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return alerts, key figures and the names of tables and figures, for notebooks."""
        parts = [
            f"<p><b>{escape(alert.level)}: {escape(alert.title)}</b> {escape(alert.cause)} {escape(alert.remedy)}</p>"
            for alert in self.alerts
        ]
        rows = "".join(
            f"<tr><td style='text-align:left'>{escape(item.name)}</td><td><b>{escape(item.text)}</b> "
            f"{escape(item.unit)}</td><td style='text-align:left'>{escape(item.help)}</td></tr>"
            for item in self.metrics
        )
        parts.append(f"<table>{rows}</table>" if rows else "")
        for kind, items in (("Tables", self.tables), ("Figures", self.figures)):
            if items:
                names = ", ".join(f"<code>{escape(item.name)}</code>" for item in items)
                parts.append(f"<p>{kind}: {names}</p>")
        return "".join(parts)


Item = TypeVar("Item", Table, Figure, Metric)


def _named(kind: str, name: str, items: Sequence[Item]) -> Item:
    for item in items:
        if item.name == name:
            return item
    known = ", ".join(item.name for item in items) or "none"
    raise ParameterError(f"this result has no {kind} {name!r}", expected=f"one of: {known}")


SUBSET_SLOT: Final = Slot("joint", "uns", SUBSET)
"""Slot of a run with ``--subset``: the values of its stage, and of those after it, are of a part of the cells."""


def cells_of_slots(slots: Mapping[Slot, Any], mask: NDArray[np.bool_]) -> dict[Slot, Any]:
    """Return values for some cells only: those of all cells are cut, those of the chosen cells stay.

    Parameters
    ----------
    mask
        (all cells,) the chosen cells.
    """
    out = {}
    for slot, value in slots.items():
        over_cells = slot.element in {"obs", "obsm", "obsp", "layers"} and np.shape(value)[0] == len(mask)
        if over_cells and slot.element == "obsp":
            value = value[mask][:, mask]
        elif over_cells:
            value = value[mask]
        out[slot] = value
    return out


def apply_slots(data: MuData, slots: Mapping[Slot, Any]) -> None:
    """Write a Result's values into a MuData in place."""
    for slot, given in slots.items():
        value = made(given)
        target = data if slot.modality == "joint" else data.mod[slot.modality]
        if slot.element in {"obs", "var"}:
            frame = getattr(target, slot.element)
            frame[slot.key] = value
        else:
            getattr(target, slot.element)[slot.key] = value

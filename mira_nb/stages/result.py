"""What a stage returns: slots of the MuData, tables, figures, metrics, alerts, files, methods text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
from mudata import MuData

Level = Literal["error", "warning", "info", "success"]


Modality = Literal["rna", "atac", "joint"]


Element = Literal["obs", "var", "obsm", "varm", "obsp", "layers", "uns"]


@dataclass(frozen=True)
class Slot:
    """Where a value goes: ``Slot("rna", "obsm", "X_topics")``; modality ``joint`` is the MuData itself."""

    modality: Modality
    element: Element
    key: str


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


@dataclass(frozen=True)
class Table:
    """A table to show, sort, filter and save. ``caption`` explains the columns."""

    name: str
    title: str
    caption: str
    frame: pd.DataFrame


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class ExportFile:
    """A file for the user beside the tables, e.g. ``tables/enrichment.xlsx`` or ``exports/G1.bedgraph``."""

    path: str
    content: bytes
    description: str = ""


@dataclass(frozen=True)
class Result:
    """Everything one stage leaves behind."""

    slots: Mapping[Slot, Any] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    metrics: Sequence[Metric] = ()
    alerts: Sequence[Alert] = ()
    files: Sequence[ExportFile] = ()
    methods: str = ""
    """Markdown sentences for the methods section, citing as [@key] (keys of report/references)."""


def apply_slots(data: MuData, slots: Mapping[Slot, Any]) -> None:
    """Write a Result's values into a MuData in place."""
    for slot, value in slots.items():
        target = data if slot.modality == "joint" else data.mod[slot.modality]
        if slot.element in {"obs", "var"}:
            frame = getattr(target, slot.element)
            frame[slot.key] = value
        else:
            getattr(target, slot.element)[slot.key] = value

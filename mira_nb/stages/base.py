"""What a stage is: parameters in, checked data in, a :class:`Result` out.

A stage knows AnnData and the charts; it knows nothing of notebooks, widgets, run folders or the report. Everything
a stage leaves behind is in its Result: values for the MuData (slots), tables, figures, metrics, alerts and the
sentences for the methods section.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import pandas as pd
from mudata import MuData
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mira_nb.errors import ParameterError
from mira_nb.io.resources import Resources

Level = Literal["error", "warning", "info", "success"]
Modality = Literal["rna", "atac", "joint"]
Element = Literal["obs", "var", "obsm", "varm", "obsp", "layers", "uns"]
Progress = Callable[[float, str], None]


class Compute(Protocol):
    """Runs independent pieces of work; see ``mira_nb.run.compute``."""

    n_workers: int

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Apply a picklable function to every item; results come in the order of the items."""
        ...


class InProcess:
    """The default: one item after the other in this process."""

    n_workers = 1

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Apply a function to every item."""
        return map(function, items)


def no_progress(fraction: float, message: str) -> None:
    """Ignore progress (the default)."""


class Params(BaseModel):
    """Base of all parameter models: one field per parameter, made with :func:`param`."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def parse(cls, stage: str, values: Mapping[str, Any]) -> Any:
        """Validate plain values; a mistake becomes one readable :class:`ParameterError`."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            lines = []
            for item in error.errors():
                name = ".".join(str(part) for part in item["loc"]) or "?"
                if item["type"] == "extra_forbidden":
                    lines.append(f"{stage}.{name}: no such parameter; known: {', '.join(cls.model_fields)}")
                else:
                    lines.append(f"{stage}.{name} = {item.get('input')!r}: {item['msg']}")
            raise ParameterError(
                "; ".join(lines),
                remedy=f"correct the value; `mira-nb run --help` explains --set {stage}.NAME=VALUE",
            ) from None


def param(
    default: Any, help: str, *, unit: str = "", advanced: bool = False, choices_from: str = "", **bounds: Any
) -> Any:
    """One parameter: default, help text, unit and bounds (``ge``, ``gt``, ``le``, ``lt``, ``min_length``).

    ``advanced`` folds it away in forms; ``choices_from="obs"`` lets a form offer the cell annotations.
    """
    extra: dict[str, Any] = {"unit": unit, "advanced": advanced, "choices_from": choices_from}
    return Field(default, description=help, json_schema_extra=extra, **bounds)


@dataclass(frozen=True)
class Slot:
    """Where a value goes: ``Slot("rna", "obsm", "X_topics")``; modality ``joint`` is the MuData itself."""

    modality: Modality
    element: Element
    key: str


@dataclass(frozen=True)
class Alert:
    """A finding the reader must see: what, why (cause) and what to do (remedy)."""

    level: Level
    title: str
    cause: str = ""
    remedy: str = ""


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
    stored packed (see :mod:`mira_nb.charts.packed`). A raster is given as ``image`` (PNG bytes), without chart.
    """

    name: str
    title: str
    caption: str
    chart: Any = None
    packed: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    image: bytes | None = None
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
class Context:
    """What a stage may use besides data and parameters."""

    seed: int = 0
    resources: Resources = field(default_factory=Resources)
    progress: Progress = no_progress
    n_threads: int = 2
    compute: Compute = field(default_factory=InProcess)


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


P = TypeVar("P", bound=Params)


class Stage(ABC, Generic[P]):
    """One step of the analysis.

    Class attributes: ``name`` (key of the run folder), ``title``, ``purpose`` (one sentence), ``Params``,
    ``needs`` (stages that must be done), ``uses`` (stages whose results are used when done) and ``resources``:
    alternatives of resource names, any one of which lets the stage run, e.g. ``(("motif_hits",), ("genome",
    "motifs"))``; empty = nothing needed. ``optional_resources`` change the result when given.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    purpose: ClassVar[str]
    Params: ClassVar[type[Params]]
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    resources: ClassVar[tuple[tuple[str, ...], ...]] = ()
    optional_resources: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def run(self, data: MuData, params: P, context: Context) -> Result:
        """Compute; must not change `data`."""

    def missing(self, resources: Resources) -> str:
        """Say which resource to give ('' when the stage can run)."""
        if not self.resources or any(all(map(resources.has, option)) for option in self.resources):
            return ""
        options = (" with ".join("--" + name.replace("_", "-") for name in option) for option in self.resources)
        return " or ".join(options)


def apply_slots(data: MuData, slots: Mapping[Slot, Any]) -> None:
    """Write a Result's values into a MuData in place."""
    for slot, value in slots.items():
        target = data if slot.modality == "joint" else data.mod[slot.modality]
        if slot.element in {"obs", "var"}:
            frame = getattr(target, slot.element)
            frame[slot.key] = value
        else:
            getattr(target, slot.element)[slot.key] = value

"""What ``mira-nb check`` says: what was found, what can run, what each missing resource would unlock."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import pandas as pd
from mudata import MuData

from mira_nb.charts.theme import natural_sort
from mira_nb.errors import InputError
from mira_nb.io.annotations import check_annotations
from mira_nb.io.messages import Finding, finding
from mira_nb.io.read import read_input
from mira_nb.io.resources import ANNOTATIONS, FILES, Resources, option_name
from mira_nb.io.spec import InputSpec
from mira_nb.io.subset import column_text
from mira_nb.keys import ATAC, RNA
from mira_nb.stages.base import Memory

from .check_files import READERS
from .check_regions import compare_assemblies, describe_depth, describe_fragments, describe_regions
from .memory import Size, available_mb, needed_mb, shortage
from .messages import message

_WIDTH: Final = 110
CELL_NAMES: Final = 5000
MOST_VALUES: Final = 100
"""Values of a column of which a menu lets choose."""


class Requirement(Protocol):
    """What a stage says of itself; stages satisfy this without io knowing them."""

    @property
    def title(self) -> str:
        """Name for readers."""

    @property
    def purpose(self) -> str:
        """What it yields, one sentence."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Stages that must be done before."""

    @property
    def resources(self) -> tuple[tuple[str, ...], ...]:
        """Alternatives of resources, any one of which is enough; empty: none needed."""

    @property
    def optional_resources(self) -> tuple[str, ...]:
        """Resources that add to the result."""

    @property
    def memory(self) -> Memory:
        """What it needs at its peak."""


@dataclass(frozen=True)
class ResourceStatus:
    """One resource: not given, in order (``summary`` says what it holds), or wrong (``problem``, ``code``)."""

    name: str
    summary: str = ""
    problem: str = ""
    findings: tuple[Finding, ...] = ()
    code: str = ""

    @property
    def usable(self) -> bool:
        """Given and in order."""
        return bool(self.summary) and not self.problem


@dataclass(frozen=True)
class StageStatus:
    """Whether a stage can run: ``missing`` says which options to give, ``waits_for`` which stages it waits for."""

    name: str
    title: str
    purpose: str
    state: Literal["can run", "missing"]
    missing: str = ""
    waits_for: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckReport:
    """Everything that ``mira-nb check`` found.

    Attributes
    ----------
    shape
        Cells, genes, peaks after the checks.
    files
        Role -> file name.
    annotations
        Column of obs -> what it holds, in words.
    dropped
        Reason -> how many cells or features were left out.
    findings
        About the input and the annotations.
    resources, stages
        One status each.
    cells
        Names of the cells, at most ``CELL_NAMES`` of them.
    stored
        Counts stored in both matrices.
    values
        Values of the columns of obs that have a few, as ``--subset`` compares them.
    """

    shape: tuple[int, int, int]
    files: Mapping[str, str]
    annotations: Mapping[str, str]
    dropped: Mapping[str, int]
    findings: tuple[Finding, ...]
    resources: tuple[ResourceStatus, ...]
    stages: tuple[StageStatus, ...]
    cells: tuple[str, ...] = ()
    stored: int = 0
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with resources and annotations that were given; empty when all is in order."""
        return tuple(status.problem for status in self.resources if status.problem)

    def render(self) -> str:
        """Return plain text for a terminal."""
        return "\n".join([*self._render_input(), *self._render_resources(), *self._render_stages()])

    def _render_input(self) -> list[str]:
        cells, genes, peaks = self.shape
        lines = ["INPUT"]
        lines += [f"  {role:7} {name}" for role, name in self.files.items()]
        lines.append(f"  usable  {cells:,} cells x {genes:,} genes and {peaks:,} peaks")
        for reason, n in self.dropped.items():
            lines.append(f"  dropped {n:,} {reason.replace('_', ' ')}")
        lines.append("  cell annotations" + ("" if self.annotations else ": none"))
        lines += [f"    {name}: {content}" for name, content in self.annotations.items()]
        lines += _render_findings(self.findings)
        return lines

    def _render_resources(self) -> list[str]:
        lines = ["", "RESOURCES"]
        for status in self.resources:
            text = status.problem or status.summary or "not given"
            mark = "WRONG: " if status.problem else ""
            lines += _wrap(f"  {option_name(status.name):13} ", mark + text)
            lines += _render_findings(status.findings)
        return lines

    def _render_stages(self) -> list[str]:
        lines = ["", "STAGES"]
        for stage in self.stages:
            lines.append(f"  {stage.state:8} {stage.name:13} {stage.title}")
            if stage.missing:
                lines += _wrap(" " * 11 + "give ", stage.missing)
                lines += _wrap(" " * 11 + "to get: ", stage.purpose)
            elif stage.waits_for:
                lines += _wrap(" " * 11 + "needs first: ", ", ".join(stage.waits_for))
            elif stage.optional:
                options = ", ".join(option_name(name) for name in stage.optional)
                lines += _wrap(" " * 11 + "more with: ", options)
        ready = sum(stage.state == "can run" for stage in self.stages)
        lines += ["", f"{ready} of {len(self.stages)} stages can run."]
        if self.problems:
            lines.append(message("check_unusable", n=len(self.problems)))
        return lines


def check_input(spec: InputSpec, resources: Resources, *, requirements: Mapping[str, Requirement]) -> CheckReport:
    """Read everything that was given and say what can be done with it; runs nothing.

    Parameters
    ----------
    requirements
        Stage name -> what the stage needs, in the order in which stages run.

    Raises
    ------
    InputError
        When the counts themselves cannot be used. Wrong resources do not raise: they are in the report.
    """
    pair = read_input(spec)
    data = pair.data
    statuses, more = resource_statuses(resources, data)
    findings = [*pair.findings, *describe_depth(data), *describe_regions(data), *more]
    findings += compare_assemblies(resources, data)
    usable = {status.name for status in statuses if status.usable}
    if {"fragments", "tss"} <= usable:
        findings += describe_fragments(data, resources)
    stages = stage_statuses(requirements, usable)
    findings += _memory(
        data, {stage.name: requirements[stage.name].memory for stage in stages if stage.state == "can run"}
    )
    return CheckReport(
        shape=(data.n_obs, data.mod[RNA].n_vars, data.mod[ATAC].n_vars),
        files={role: path.name for role, path in spec.by_role().items()},
        annotations=_annotations(data.obs),
        dropped=pair.dropped,
        findings=tuple(findings),
        resources=tuple(statuses),
        stages=stages,
        cells=tuple(map(str, data.obs_names[:CELL_NAMES])),
        stored=sum(int(data.mod[name].X.nnz) for name in (RNA, ATAC)),
        values=_values(data.obs),
    )


def _memory(data: MuData, costs: Mapping[str, Memory]) -> list[Finding]:
    """Warn of the stages that probably need more memory than is free."""
    size = Size(data.n_obs, data.mod[RNA].n_vars, sum(int(data.mod[name].X.nnz) for name in (RNA, ATAC)))
    free = available_mb()
    short = [name for name, cost in costs.items() if shortage(name, cost, size, free)]
    if not short or free is None:
        return []
    most = max(needed_mb(costs[name], size) for name in short)
    return [finding("memory_short", needed=most / 1000, free=free / 1000, stages=short, advice=message("more_memory"))]


def resource_statuses(resources: Resources, data: MuData) -> tuple[list[ResourceStatus], list[Finding]]:
    """Read every resource that was given and compare it with the data; also return what annotations give rise to."""
    statuses = [_file_status(name, resources, data) for name in FILES]
    findings: list[Finding] = []
    for name in ANNOTATIONS:
        status, more = _name_status(name, resources, data)
        statuses.append(status)
        findings += more
    return statuses, findings


def stage_statuses(requirements: Mapping[str, Requirement], usable: set[str]) -> tuple[StageStatus, ...]:
    """Return which stages can run with the usable resources; a stage also waits for stages it needs.

    Parameters
    ----------
    usable
        Names of resources that were given and are in order.
    """
    out: list[StageStatus] = []
    blocked: set[str] = set()
    for name, stage in requirements.items():
        missing = ""
        if stage.resources and not any(set(option) <= usable for option in stage.resources):
            lacking = [[item for item in option if item not in usable] for option in stage.resources]
            missing = " or ".join(" with ".join(option_name(item) for item in option) for option in lacking)
        waits = tuple(need for need in stage.needs if need in blocked)
        if missing or waits:
            blocked.add(name)
        optional = tuple(item for item in stage.optional_resources if item not in usable)
        state: Literal["can run", "missing"] = "missing" if missing or waits else "can run"
        out.append(StageStatus(name, stage.title, stage.purpose, state, missing, waits, optional))
    return tuple(out)


def _file_status(name: str, resources: Resources, data: MuData) -> ResourceStatus:
    paths = resources.files(name)
    if not paths:
        return ResourceStatus(name)
    summaries: list[str] = []
    findings: list[Finding] = []
    for path in paths:
        try:
            summary, more = READERS[name](path, data)
        except InputError as error:
            problem = " ".join(str(error).split())
            return ResourceStatus(name, problem=problem, findings=tuple(findings), code=error.code)
        summaries.append(f"{path.name}: {summary}")
        findings += more
    return ResourceStatus(name, "; ".join(summaries), findings=tuple(findings))


def _name_status(name: str, resources: Resources, data: MuData) -> tuple[ResourceStatus, tuple[Finding, ...]]:
    value = getattr(resources, name)
    if not value:
        return ResourceStatus(name), ()
    try:
        findings = check_annotations(data, Resources(**{name: value}, labels=resources.labels))
    except InputError as error:
        return ResourceStatus(name, problem=" ".join(str(error).split()), code=error.code), ()
    detail = f" ({describe_column(data.obs[value])})" if name in {"groups", "batch"} else ""
    return ResourceStatus(name, f"{value}{detail}"), findings


def describe_column(column: pd.Series) -> str:
    """Return in words what a cell annotation holds."""
    filled = column.dropna()
    n = int(filled.nunique())
    n_missing = len(column) - len(filled)
    if n > 20 and pd.api.types.is_numeric_dtype(column):
        return message("column_of_numbers", least=filled.min(), most=filled.max(), n_missing=n_missing)
    return message("column_of_names", n=n, names=filled.value_counts().index[:4], n_missing=n_missing)


def _values(obs: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the values of the columns that have two or more, and not too many for a menu."""
    out = {}
    for name in obs.columns:
        text = column_text(obs[name]).dropna()
        found = natural_sort(text.unique())
        plain = all(value and value == value.strip() for value in found)
        if 2 <= len(found) <= MOST_VALUES and plain and "=" not in str(name):
            out[str(name)] = tuple(found)
    return out


def _annotations(obs: pd.DataFrame) -> dict[str, str]:
    return {str(name): describe_column(obs[name]) for name in obs.columns}


def _render_findings(findings: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    for item in findings:
        text = item.title + (f" ({item.cause})" if item.cause else "")
        lines += _wrap(f"  {item.level}: ", text)
        if item.remedy:
            lines += _wrap("    what to do: ", item.remedy)
    return lines


def _wrap(lead: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=lead, subsequent_indent=" " * min(len(lead), 18), break_long_words=False
    ) or [lead.rstrip()]

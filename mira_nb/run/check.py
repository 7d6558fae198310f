"""What ``mira-nb check`` says: what was found, what can run, what each missing resource would unlock."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import pandas as pd
from mudata import MuData

from mira_nb.chromosomes import match_chromosomes
from mira_nb.errors import InputError
from mira_nb.io.annotations import check_annotations
from mira_nb.io.gene_sets import match_gene_sets, name_gene_sets, read_gene_sets
from mira_nb.io.genome import chromosome_names
from mira_nb.io.motif_files import read_motifs
from mira_nb.io.motif_hits import read_motif_hits
from mira_nb.io.read import read_input
from mira_nb.io.resources import ANNOTATIONS, FILES, Resources, option_name
from mira_nb.io.spec import Finding, InputSpec
from mira_nb.io.tss import name_sites, read_tss
from mira_nb.keys import ATAC, CHROM, RNA
from mira_nb.stages.base import Memory

from .memory import MORE_MEMORY, Size, available_mb, needed_mb, shortage

_WIDTH: Final = 110
CELL_NAMES: Final = 5000


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
    """One resource: not given, in order (``summary`` says what it holds), or wrong (``problem`` says why)."""

    name: str
    summary: str = ""
    problem: str = ""
    findings: tuple[Finding, ...] = ()

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

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with resources and annotations that were given; empty when all is in order."""
        return tuple(status.problem for status in self.resources if status.problem)

    def render(self) -> str:
        """Plain text for a terminal."""
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
            lines.append(f"{len(self.problems)} of the given resources cannot be used; see WRONG above.")
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
    findings = [*pair.findings, *more]
    usable = {status.name for status in statuses if status.usable}
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
    )


def _memory(data: MuData, costs: Mapping[str, Memory]) -> list[Finding]:
    """Warn of the stages that probably need more memory than is free."""
    size = Size(data.n_obs, data.mod[RNA].n_vars, sum(int(data.mod[name].X.nnz) for name in (RNA, ATAC)))
    free = available_mb()
    short = [name for name, cost in costs.items() if shortage(name, cost, size, free)]
    if not short or free is None:
        return []
    most = max(needed_mb(costs[name], size) for name in short)
    cause = f"up to {most / 1000:.1f} GB are needed, {free / 1000:.1f} GB are free: {', '.join(short)}"
    return [Finding("warning", "Memory will probably run out", cause, MORE_MEMORY)]


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
    """Which stages can run with the usable resources; a stage also waits for stages it needs.

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
            summary, more = _READERS[name](path, data)
        except InputError as error:
            return ResourceStatus(name, problem=" ".join(str(error).split()), findings=tuple(findings))
        summaries.append(f"{path.name}: {summary}")
        findings += more
    return ResourceStatus(name, "; ".join(summaries), findings=tuple(findings))


def _name_status(name: str, resources: Resources, data: MuData) -> tuple[ResourceStatus, tuple[Finding, ...]]:
    value = getattr(resources, name)
    if not value:
        return ResourceStatus(name), ()
    try:
        findings = check_annotations(data, Resources(**{name: value}))
    except InputError as error:
        return ResourceStatus(name, problem=" ".join(str(error).split())), ()
    detail = f" ({describe_column(data.obs[value])})" if name != "start_cell" else ""
    return ResourceStatus(name, f"{value}{detail}"), findings


Reader = Callable[[Path, MuData], tuple[str, Sequence[Finding]]]


def _check_tss(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    table = read_tss(path)
    genes = data.mod[RNA].var_names
    named = name_sites(table, data.mod[RNA].var)
    findings = list(table.findings)
    if named.n_genes and named.how != "gene names of the file with the names of the genes of the data":
        findings.append(Finding("info", f"Start sites were matched by {named.how}"))
    findings += _check_chromosomes(table.frame["chrom"], data.mod[ATAC].var[CHROM].astype(str))
    if named.n_genes < 0.5 * len(genes):
        cause = f"the data have {', '.join(map(str, genes[:3]))}, the file {', '.join(table.frame['gene'].head(3))}"
        title = f"Only {named.n_genes:,} of {len(genes):,} genes have a TSS"
        findings.append(Finding("warning", title, cause, "use the same species and gene names."))
    n_genes = table.frame["gene"].nunique()
    return (
        f"{len(table.frame):,} sites of {n_genes:,} genes; {named.n_genes:,} of the data's {len(genes):,} genes",
        findings,
    )


def _check_chromosomes(theirs: pd.Series, ours: pd.Series) -> list[Finding]:
    """Report chromosomes of the peaks that the TSS file does not have, with those of both sides."""
    matched = match_chromosomes(ours, theirs).mapping
    lost = ours[~ours.isin(list(matched))]
    if matched and len(lost) <= 0.05 * len(ours):
        return []
    shown = f"peaks: {', '.join(lost.unique()[:4])}; TSS file: {', '.join(theirs.unique()[:4])}"
    if not matched:
        title = "No chromosome is both in the TSS file and in the peaks"
        return [Finding("warning", title, shown, "use the same assembly and the same names of chromosomes.")]
    title = f"{len(lost):,} of {len(ours):,} peaks are on chromosomes without a TSS"
    return [Finding("warning", title, shown, "use the same assembly.")]


def _check_genome(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    names = chromosome_names(path)
    chrom = data.mod[ATAC].var[CHROM].astype(str)
    translated = match_chromosomes(chrom, names).mapping
    if not translated:
        raise InputError(
            f"{path.name} shares no chromosome with the peaks (genome: {', '.join(names[:3])}; "
            f"peaks: {', '.join(chrom.unique()[:3])}).",
            expected="the genome assembly to which the data were aligned.",
        )
    n_in = int(chrom.isin(list(translated)).sum())
    return f"{len(names):,} sequences; {n_in:,} of {len(chrom):,} peaks lie on them", ()


def _check_motifs(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    motifs = read_motifs(path)
    genes = {str(gene).upper() for gene in data.mod[RNA].var_names}
    n_in = sum(any(part.strip() in genes for part in motif.name.upper().split("::")) for motif in motifs)
    findings = []
    if not n_in:
        cause = f"the motifs have names such as {', '.join(motif.name for motif in motifs[:3])}"
        remedy = "use motifs named by gene symbols: factors cannot be compared with their expression without them."
        findings.append(Finding("warning", "No motif's factor is a gene of the data", cause, remedy))
    return f"{len(motifs):,} motifs; the factors of {n_in:,} are genes of the data", findings


def _check_gene_sets(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    sets = name_gene_sets(read_gene_sets(path), data.mod[RNA].var)
    matched = match_gene_sets(sets, [str(gene) for gene in data.mod[RNA].var_names])
    summary = f"{len(sets.sets):,} sets; {matched.n_matched:,} of {matched.n_symbols:,} symbols are genes of the data"
    return summary, (*sets.findings, *matched.findings)


def _check_hits(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    hits = read_motif_hits(path, data.mod[ATAC].var)
    return f"{hits.hits.nnz:,} hits of {len(hits.factors):,} factors", hits.findings


_READERS: Final[Mapping[str, Reader]] = {
    "tss": _check_tss,
    "genome": _check_genome,
    "motifs": _check_motifs,
    "gene_sets": _check_gene_sets,
    "motif_hits": _check_hits,
}


def describe_column(column: pd.Series) -> str:
    """Say in words what a cell annotation holds."""
    filled = column.dropna()
    n = int(filled.nunique())
    missing = f", missing for {len(column) - len(filled):,} cells" if len(filled) < len(column) else ""
    if n > 20 and pd.api.types.is_numeric_dtype(column):
        return f"numbers from {filled.min():.4g} to {filled.max():.4g}{missing}"
    shown = ", ".join(str(value) for value in filled.value_counts().index[:4])
    return f"{n:,} {'value' if n == 1 else 'values'}: {shown}{', ...' if n > 4 else ''}{missing}"


def _annotations(obs: pd.DataFrame) -> dict[str, str]:
    return {str(name): describe_column(obs[name]) for name in obs.columns}


def _render_findings(findings: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        text = finding.title + (f" ({finding.cause})" if finding.cause else "")
        lines += _wrap(f"  {finding.level}: ", text)
        if finding.remedy:
            lines += _wrap("    what to do: ", finding.remedy)
    return lines


def _wrap(lead: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=lead, subsequent_indent=" " * min(len(lead), 18), break_long_words=False
    ) or [lead.rstrip()]

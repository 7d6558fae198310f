"""What the stage comparisons says and draws of its tests over samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mira_nb.charts.groups import sample_pairs
from mira_nb.core.statistics.sample_tests import MIN_ACTIVE, MIN_SAMPLES, sample_means
from mira_nb.stages.result import Alert, Figure, Metric
from mira_nb.stages.shared.cells import gene_expression

from .compute import ComparisonsOutput

TOPIC_KINDS = ("expression topic", "accessibility topic")
SAMPLE_TEST = "two-sided paired t-test over samples"
_CONTRAST = ["group_1", "group_2"]


def sampled(done: ComparisonsOutput, kinds: tuple[str, ...] = ()) -> pd.DataFrame:
    """Rows of the tests, of some kinds, that could be done over samples too."""
    if done.samples is None:
        return done.tests[:0]
    rows = done.tests["sample_difference"].notna()
    return done.tests[rows & done.tests["kind"].isin(kinds)] if kinds else done.tests[rows]


def sample_metrics(done: ComparisonsOutput) -> list[Metric]:
    """Share of the discoveries over cells that hold over samples."""
    if done.samples is None:
        return []
    out = []
    for kind in done.quantities:
        tests = done.tests[(done.tests["kind"] == kind) & (done.tests["adj_pvalue"] < done.params.alpha)]
        untested = int(tests["sample_difference"].isna().sum())
        tests = tests.dropna(subset="sample_difference")
        if tests.empty:
            continue
        # ranks of cells and means of samples can point different ways, which is no confirmation
        same = tests["sample_difference"] * tests["effect_size"] > 0
        held = int((same & (tests["sample_adj_pvalue"] < done.params.alpha)).sum())
        out.append(
            Metric(
                f"{kind[0].upper()}{kind[1:]} differences that hold over samples",
                f"{held / len(tests):.0%} ({held:,} of {len(tests):,})",
                help=f"of the tests with adjusted p < {done.params.alpha} over cells: those of the same direction with "
                f"adjusted p < {done.params.alpha} over samples; {untested:,} more had fewer than {MIN_SAMPLES} "
                "samples or too few cells above zero. With few samples, a true difference can miss it too",
                key=kind == "gene",
            )
        )
    return out


def sample_alerts(done: ComparisonsOutput) -> list[Alert]:
    """Say where p values take cells as independent because samples are unknown or too few."""
    cause = (
        "Cells of one sample are not independent replicates, so p values over cells say what differs in these cells, "
        "not between animals or patients."
    )
    if done.samples is None:
        return [
            Alert(
                "info",
                "Tests take every cell as an observation",
                cause,
                f"Give --batch with the column of the samples (animals, donors): where {MIN_SAMPLES} or more hold both "
                "groups, every difference is tested over samples too.",
            )
        ]
    done_contrasts = set(sampled(done)[_CONTRAST].itertuples(index=False, name=None))
    missing = [f"{one} vs {two}" for one, two in done.compared if (one, two) not in done_contrasts]
    if not missing:
        return []
    listed = ", ".join(missing[:8]) + (" and others" if len(missing) > 8 else "")
    return [
        Alert(
            "info",
            f"{len(missing)} of {len(done.compared)} contrasts could not be tested over samples",
            f"Fewer than {MIN_SAMPLES} of the {done.samples.nunique()} samples ({done.samples.name}) hold "
            f"{done.params.min_cells_per_sample} cells of both groups: {listed}. {cause}",
            "Merge groups or lower comparisons.min_cells_per_sample. Groups that are conditions, with samples of their "
            "own, need an unpaired test over samples, which is not done here.",
        )
    ]


def sample_methods(done: ComparisonsOutput) -> str:
    """Sentences for the methods section; none when nothing was tested over samples."""
    tests = sampled(done)
    if done.samples is None or tests.empty:
        return ""
    few, many = int(tests["n_samples"].min()), int(tests["n_samples"].max())
    n_contrasts = len(tests[_CONTRAST].drop_duplicates())
    return (
        " As cells of one sample are not independent [@squair2021false], the differences were also tested over samples "
        f"({done.samples.name}): in every sample with at least {done.params.min_cells_per_sample} cells of both "
        "groups, a quantity was averaged over the cells of either group, and the differences of these means were "
        "compared with zero by two-sided paired t-tests [@student1908error] (n - 1 degrees of freedom; "
        f"n = {few if few == many else f'{few} to {many}'} samples; {n_contrasts} of {len(done.compared)} contrasts "
        f"had {MIN_SAMPLES} samples or more), adjusted in the same way. Quantities of which the smaller group would "
        f"hold, on average, fewer than {MIN_ACTIVE:g} non-zero value a sample at the mean of both groups' shares of "
        "non-zero values were left out, as means of zeros agree by chance."
    )


def sample_caption(done: ComparisonsOutput) -> str:
    """Explain the columns of the tests over samples."""
    if done.samples is None:
        return ""
    return (
        f" n_samples: samples ({done.samples.name}) with at least {done.params.min_cells_per_sample} cells of both "
        "groups. sample_difference: mean over them of the mean in group_1 minus the mean in group_2, with its 95 % "
        "confidence interval sample_low to sample_high; n_samples_agreeing: samples whose difference has its sign. "
        f"sample_pvalue: {SAMPLE_TEST} (n_samples - 1 degrees of freedom), sample_adj_pvalue: Benjamini-Hochberg over "
        f"all of the same kind. Empty with fewer than {MIN_SAMPLES} samples, or where nearly all cells are zero (fewer "
        f"than {MIN_ACTIVE:g} non-zero cell a sample expected in the smaller group at the mean of both groups' shares)."
    )


def sample_words(done: ComparisonsOutput, kind: str, quantity: str, pairs: pd.DataFrame | None) -> str:
    """Say what the tests over samples make of the pairs drawn, or of the largest effect when none is drawn."""
    if done.samples is None or quantity not in set(done.tests.loc[done.tests["kind"] == kind, "quantity"]):
        return ""
    tests = sampled(done, (kind,))
    tests = tests[tests["quantity"] == quantity]
    tests = _strongest(tests) if pairs is None else pairs[_CONTRAST].merge(tests, on=_CONTRAST)
    if tests.empty:
        return " Too few samples or cells for a test over samples."
    said = "; ".join(f"{row.group_1} vs {row.group_2} {_result(row)}" for row in tests.itertuples())
    return (
        f" The same over samples ({done.samples.name}; two-sided paired t-test, Benjamini-Hochberg; mean difference "
        f"with 95 % confidence interval): {said}."
    )


def sample_figures(done: ComparisonsOutput, genes: list[str], topics: list[str]) -> list[Figure]:
    """Draw the means of genes and topics in every sample, each in its contrast of largest effect."""
    if done.samples is None:
        return []
    out = []
    for name, quantities, kinds, unit, section in (
        ("genes_samples", genes, ("gene",), "mean of log(1 + counts per 10,000)", "Genes"),
        ("topics_samples", topics, TOPIC_KINDS, "mean topic proportion", "Topics"),
    ):
        tests = sampled(done, kinds)
        rows = [_strongest(tests[tests["quantity"] == quantity]) for quantity in quantities]
        drawn = pd.concat([tests[:0], *rows], ignore_index=True)
        if drawn.empty:
            continue
        numbers = [
            f"{rows['sample_pvalue'].count():,} tests of {kind}s" for kind, rows in tests.groupby("kind", sort=False)
        ]
        out.append(
            Figure(
                name,
                f"{section} in every sample",
                f"One line a sample ({done.samples.name}; those with at least {done.params.min_cells_per_sample} cells "
                "of both groups): mean over its cells of either group; short rules: means over samples. Each in the "
                "contrast of largest effect over cells of those that could be tested over samples, with the mean "
                f"difference and its 95 % confidence interval; p: {SAMPLE_TEST}, Benjamini-Hochberg over "
                f"{' and over '.join(numbers)}. What holds for samples runs the same way in nearly all of them.",
                chart=sample_pairs(_marks(done, done.samples, drawn), value_title=unit),
                section=section,
            )
        )
    return out


def _strongest(tests: pd.DataFrame) -> pd.DataFrame:
    """Return the row of largest effect over cells (none of none)."""
    return tests.loc[tests["effect_size"].abs().sort_values(ascending=False, kind="stable").index[:1]]


def _result(row: Any) -> str:
    """Difference with interval, p and n of one test."""
    said = f"difference {row.sample_difference:.2g}"
    if np.isnan(row.sample_pvalue):
        return f"{said} (no variance between samples), n = {row.n_samples}"
    said += f" ({row.sample_low:.2g} to {row.sample_high:.2g})"
    return f"{said}, adj. p = {row.sample_adj_pvalue:.1e}, n = {row.n_samples}"


def _marks(done: ComparisonsOutput, samples: pd.Series, drawn: pd.DataFrame) -> pd.DataFrame:
    """One row a quantity and sample, as the chart needs them."""
    genes = drawn["kind"].eq("gene").all()
    values = gene_expression(done.data, list(drawn["quantity"])) if genes else done.topics
    parts = []
    for row in drawn.itertuples():
        means = sample_means(
            values[[row.quantity]].to_numpy(),
            done.labels.to_numpy(object),
            samples.to_numpy(object),
            (str(row.group_1), str(row.group_2)),
            min_cells=done.params.min_cells_per_sample,
        )
        parts.append(
            pd.DataFrame(
                {
                    "panel": str(row.quantity),
                    "note": _result(row).replace("), ", ")\n"),
                    "sample": means.samples,
                    "group_1": row.group_1,
                    "group_2": row.group_2,
                    "mean_1": means.first[:, 0],
                    "mean_2": means.second[:, 0],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)

"""Key figures, alerts and figures of the tests over samples in the stage comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mira_nb.charts.groups import sample_pairs
from mira_nb.core.statistics.sample_tests import MIN_SAMPLES, sample_means
from mira_nb.stages.result import Alert, Figure, Metric
from mira_nb.stages.shared.cells import gene_expression
from mira_nb.stages.texts import Texts

from .compute import ComparisonsOutput

TEXTS = Texts(__package__)
TOPIC_KINDS = ("expression topic", "accessibility topic")
_CONTRAST = ["group_1", "group_2"]


def sampled(done: ComparisonsOutput, kinds: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return the tests, of all or of some kinds, that could be done over samples too."""
    if done.samples is None:
        return done.tests[:0]
    rows = done.tests["sample_difference"].notna()
    return done.tests[rows & done.tests["kind"].isin(kinds)] if kinds else done.tests[rows]


def n_contrasts(tests: pd.DataFrame) -> int:
    """Count the contrasts among some tests."""
    return len(tests[_CONTRAST].drop_duplicates())


def sample_metrics(done: ComparisonsOutput) -> list[Metric]:
    """Return, per kind of feature, the fraction of the discoveries over cells that hold over samples."""
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
            TEXTS.metric(
                "differ_over_samples",
                f"{held / len(tests):.0%} ({held:,} of {len(tests):,})",
                kind=kind,
                alpha=done.params.alpha,
                n_untested=untested,
                min_samples=MIN_SAMPLES,
            )
        )
    return out


def sample_alerts(done: ComparisonsOutput) -> list[Alert]:
    """Report where p values take cells as independent because samples are unknown or too few."""
    if done.samples is None:
        return [TEXTS.alert("cells_as_replicates", min_samples=MIN_SAMPLES)]
    tested = set(sampled(done)[_CONTRAST].itertuples(index=False, name=None))
    missing = [f"{one} vs {two}" for one, two in done.compared if (one, two) not in tested]
    if not missing:
        return []
    return [
        TEXTS.alert(
            "untested_over_samples",
            contrasts=missing,
            n_contrasts=len(done.compared),
            samples=done.sample_column,
            n_samples=int(done.samples.nunique()),
            min_samples=MIN_SAMPLES,
            min_cells_per_sample=done.params.min_cells_per_sample,
        )
    ]


def sample_words(done: ComparisonsOutput, kind: str, quantity: str, pairs: pd.DataFrame | None) -> str:
    """Return the results over samples of the pairs drawn, or of the largest effect when none is drawn."""
    if done.samples is None or quantity not in set(done.tests.loc[done.tests["kind"] == kind, "quantity"]):
        return ""
    tests = sampled(done, (kind,))
    tests = tests[tests["quantity"] == quantity]
    tests = _strongest(tests) if pairs is None else pairs[_CONTRAST].merge(tests, on=_CONTRAST)
    results = [f"{row.group_1} vs {row.group_2} {_result(row)}" for row in tests.itertuples()]
    return TEXTS.text("sample_tests", samples=done.sample_column, results=results)


def sample_figures(done: ComparisonsOutput, genes: list[str], topics: list[str]) -> list[Figure]:
    """Draw the means of genes and topics in every sample, each in its contrast of largest effect."""
    if done.samples is None:
        return []
    out = []
    of_genes = _drawn(done, genes, ("gene",))
    if not of_genes.empty:
        chart = sample_pairs(_marks(done, done.samples, of_genes), value_title="mean of log(1 + counts per 10,000)")
        out.append(
            TEXTS.figure(
                "genes_samples",
                chart,
                samples=done.sample_column,
                min_cells_per_sample=done.params.min_cells_per_sample,
                n_tests=_counts(done, ("gene",)),
            )
        )
    of_topics = _drawn(done, topics, TOPIC_KINDS)
    if not of_topics.empty:
        chart = sample_pairs(_marks(done, done.samples, of_topics), value_title="mean topic proportion")
        out.append(
            TEXTS.figure(
                "topics_samples",
                chart,
                samples=done.sample_column,
                min_cells_per_sample=done.params.min_cells_per_sample,
                n_tests=_counts(done, TOPIC_KINDS),
            )
        )
    return out


def _drawn(done: ComparisonsOutput, quantities: list[str], kinds: tuple[str, ...]) -> pd.DataFrame:
    """Return the test to draw of each of some features: that of largest effect over cells."""
    tests = sampled(done, kinds)
    rows = [_strongest(tests[tests["quantity"] == quantity]) for quantity in quantities]
    return pd.concat([tests[:0], *rows], ignore_index=True)


def _counts(done: ComparisonsOutput, kinds: tuple[str, ...]) -> dict[str, int]:
    """Count the tests over samples of each kind, over which p values are adjusted."""
    counted = sampled(done, kinds).groupby("kind", sort=False)["sample_pvalue"].count()
    return {str(kind): int(number) for kind, number in counted.items()}


def _strongest(tests: pd.DataFrame) -> pd.DataFrame:
    """Return the row of largest effect over cells (none of none)."""
    return tests.loc[tests["effect_size"].abs().sort_values(ascending=False, kind="stable").index[:1]]


def _result(row: Any) -> str:
    """Return difference, interval, p and n of one test over samples as text."""
    return TEXTS.text(
        "sample_result",
        difference=row.sample_difference,
        low=row.sample_low,
        high=row.sample_high,
        constant=bool(np.isnan(row.sample_pvalue)),
        adj_pvalue=row.sample_adj_pvalue,
        n_samples=int(row.n_samples),
    )


def _marks(done: ComparisonsOutput, samples: pd.Series, drawn: pd.DataFrame) -> pd.DataFrame:
    """Return one row per feature and sample, as the chart needs them."""
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

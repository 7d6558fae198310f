"""Tables, metrics, alerts and methods paragraph of the stage comparisons."""

from __future__ import annotations

from mira_nb.core.statistics.group_tests import COLUMNS
from mira_nb.core.statistics.sample_tests import MIN_ACTIVE, MIN_SAMPLES, SAMPLE_COLUMNS
from mira_nb.keys import LEIDEN
from mira_nb.stages.result import Alert, Metric, Table
from mira_nb.stages.texts import Texts

from .compute import REDUNDANT, ComparisonsOutput
from .coverage import REACH
from .samples import n_contrasts, sample_alerts, sample_metrics, sampled

TEXTS = Texts(__package__)


def tables(done: ComparisonsOutput) -> list[Table]:
    """Return the table of all tests and the table of topics shared by groups."""
    over_samples = [] if done.samples is None else [*SAMPLE_COLUMNS, "sample_adj_pvalue"]
    frame = done.tests[[*COLUMNS, "kind", *over_samples]].sort_values(
        ["adj_pvalue", "pvalue", "quantity"], kind="stable", ignore_index=True
    )
    return [
        TEXTS.table(
            "group_tests",
            frame,
            grouping=done.grouping,
            alpha=done.params.alpha,
            n_tests=len(frame),
            n_significant=int((frame["adj_pvalue"] < done.params.alpha).sum()),
            samples=done.sample_column,
            min_cells_per_sample=done.params.min_cells_per_sample,
            min_samples=MIN_SAMPLES,
            min_active=MIN_ACTIVE,
        ),
        TEXTS.table(
            "topic_sharing", done.sharing, shared_fraction=done.params.shared_fraction, redundant_above=REDUNDANT
        ),
    ]


def metrics(done: ComparisonsOutput) -> list[Metric]:
    """Count what was tested and what differs."""
    alpha = done.params.alpha
    significant = done.tests["adj_pvalue"] < alpha
    out = [
        TEXTS.metric("groups_compared", len(done.groups), grouping=done.grouping),
        TEXTS.metric("contrasts", len(done.compared)),
    ]
    for kind, number in done.quantities.items():
        rows = done.tests["kind"] == kind
        found = int(done.tests.loc[rows & significant, "quantity"].nunique())
        out.append(TEXTS.metric("differ", f"{found:,} of {number:,}", kind=kind, alpha=alpha))
    out += sample_metrics(done)
    specific = int((done.sharing["sharing"] == "specific").sum())
    out.append(TEXTS.metric("topics_of_one_group", f"{specific} of {len(done.sharing)}"))
    return out


def alerts(done: ComparisonsOutput) -> list[Alert]:
    """Report groups left out, cells taken as independent experiments, and groups found in the data tested."""
    out = []
    if done.passed_over:
        out.append(TEXTS.alert("passed_over", grouping=done.grouping, found=done.passed_over))
    if done.left_out:
        out.append(TEXTS.alert("small_groups", sizes=done.left_out, min_cells=done.params.min_cells))
    out += sample_alerts(done)
    if done.grouping == LEIDEN:
        out.append(TEXTS.alert("groups_from_same_data"))
    return out


def methods(done: ComparisonsOutput, *, coverage_width: int = 0) -> str:
    """Return the paragraph for the methods section.

    Parameters
    ----------
    done
        Tests of groups.
    coverage_width
        Width of the bins in which fragments were counted, bp; 0 where there are none.
    """
    tests = sampled(done)
    return TEXTS.methods(
        grouping=done.grouping,
        n_groups=len(done.groups),
        n_contrasts=len(done.compared),
        shared_fraction=done.params.shared_fraction,
        samples=done.sample_column,
        n_tested_over_samples=n_contrasts(tests),
        fewest_samples=0 if tests.empty else int(tests["n_samples"].min()),
        most_samples=0 if tests.empty else int(tests["n_samples"].max()),
        min_cells_per_sample=done.params.min_cells_per_sample,
        min_samples=MIN_SAMPLES,
        min_active=MIN_ACTIVE,
        coverage_width=coverage_width,
        coverage_reach=REACH,
    )

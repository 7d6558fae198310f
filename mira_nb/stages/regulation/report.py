"""Tables, metrics, alerts and methods text of the stage regulation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mira_nb.core.regulation.fit import AT_BOUND, OK
from mira_nb.core.regulation.geometry import NO_CHROMOSOME, NO_TSS
from mira_nb.stages.result import Alert, Metric, Table
from mira_nb.stages.texts import Texts

from .compute import RegulationOutput
from .decay import INFORMED, SIDES, decay_columns, informed_decay, shown_map
from .half_report import half_alerts, half_metrics, half_tables
from .lineages import state_table
from .links import link_results
from .primed import primed_counts, primed_genes, terminal_tests
from .score_tests import cell_tests, topic_tests

if TYPE_CHECKING:
    from .params import RegulationParams


TEXTS = Texts(__package__)

MOST_ERROR = 0.25
"""Unexplained fraction by chance and error alone above which NITE genes can hardly be told from LITE genes."""

RIGHT_RATE = (0.02, 0.1)
"""Range of the false positive rate at p < 0.05 in which the null distribution counts as calibrated."""


def gene_table(found: RegulationOutput) -> pd.DataFrame:
    """Return one row per gene that was asked for, fitted or not, by decreasing NITE score."""
    lite, sets = found.fit.lite, found.sets
    counts = sets.counts()
    informed = informed_decay(found.fit, found.params)
    frame = pd.DataFrame(
        {
            "gene": found.genes,
            "nite_score": found.nite_score,
            "nite": found.called,
            "nite_share": found.nite_share,
            "statistic": found.fit.gene_statistic,
            "pvalue": found.pvalue,
            "adj_pvalue": found.fdr,
            "a_upstream": lite.a[:, 0],
            "a_proximal": lite.a[:, 1],
            "a_downstream": lite.a[:, 2],
            **decay_columns(found.fit, plain="mean"),
            **{f"decay_{side}_informed": informed[:, n] for n, side in enumerate(SIDES)},
            "gamma": lite.gamma,
            "theta": lite.theta,
            "n_peaks": sets.n_peaks,
            "n_upstream": counts[:, 0],
            "n_proximal": counts[:, 1],
            "n_downstream": counts[:, 2],
            "n_masked": sets.n_masked,
            "n_expressing": found.fit.n_expressing,
            "chrom": sets.chrom,
            "tss": sets.tss,
            "strand": sets.strand,
            "n_tss": sets.n_tss,
            "converged": lite.converged & found.fit.nite.converged,
            "status": found.status,
        }
    )
    return frame.sort_values("nite_score", ascending=False, kind="stable", na_position="last").reset_index(drop=True)


def prior_interval(params: RegulationParams) -> tuple[float, float]:
    """Return the central 95 % interval of the prior of the decay distances, kb."""
    reach = 1.96 * math.sqrt(params.decay_log_variance)
    return params.decay_median_kb * math.exp(-reach), params.decay_median_kb * math.exp(reach)


def tables(found: RegulationOutput) -> list[Table]:
    """Return the tables: genes, tests of cells, topics and states, primed and terminal genes."""
    primed = primed_genes(found)
    counts = primed_counts(found, primed)
    p = found.params
    out = [
        _genes(found),
        link_results(found),
        TEXTS.table(
            "cell_nite_tests",
            cell_tests(found),
            grouping=found.groups[0],
            test=TEXTS.text("rank_sum", over="groups"),
        ),
        TEXTS.table("topic_nite_tests", topic_tests(found), test=TEXTS.text("rank_sum", over="topics")),
        *state_table(found),
        TEXTS.table(
            "primed_genes",
            primed,
            de_level=p.de_level,
            fold_change=p.fold_change,
            differential=p.primed_differential,
            score=p.primed_nite,
            n_genes=counts.rows,
            n_primed=counts.primed,
            n_both=counts.both,
            n_pass=counts.above_score,
            n_called=counts.called,
            n_fitted=counts.fitted,
        ),
    ]
    if len(primed):
        tests = terminal_tests(found, primed)
        out.append(TEXTS.table("terminal_nite_tests", tests, test=TEXTS.text("rank_sum", over="lineages")))
    return [*out, *half_tables(found)]


def _genes(found: RegulationOutput) -> Table:
    low, high = prior_interval(found.params)
    return TEXTS.table(
        "genes",
        gene_table(found),
        null=found.params.null,
        level=found.params.level,
        min_share=found.params.min_share,
        n_called=int(found.called.sum()),
        n_fitted=int(found.ok.sum()),
        prior_low=low,
        prior_high=high,
        informed=INFORMED,
        n_outside=int((np.isfinite(found.fit.lite.decay_kb) & ~np.isfinite(shown_map(found.fit))).sum()),
    )


def metrics(found: RegulationOutput) -> list[Metric]:
    """Return the key figures."""
    ok, p = found.ok, found.params
    out = [
        TEXTS.metric("genes_modelled", int(ok.sum()), n_genes=len(ok)),
        TEXTS.metric("nite_genes", int(found.called.sum()), min_share=p.min_share, level=p.level),
        TEXTS.metric("error_share", found.error_share, most=MOST_ERROR),
        TEXTS.metric("lite_rejected", int((found.fdr[ok] < p.level).sum())),
        TEXTS.metric("median_score", float(np.nanmedian(found.nite_score)) if ok.any() else float("nan")),
        TEXTS.metric("median_peaks", float(np.median(found.sets.n_peaks[ok])) if ok.any() else 0.0),
        TEXTS.metric(
            "links",
            int((found.link_fdr < p.level).sum()),
            n_pairs=int(np.isfinite(found.link_fdr).sum()),
            level=p.level,
        ),
        TEXTS.metric(
            "informed_decay",
            int(informed_decay(found.fit, p).sum()),
            n_distances=int(np.isfinite(found.fit.decay_mean_kb).sum()),
            informed=INFORMED,
        ),
    ]
    if found.null is not None:
        n_simulated = len(found.null.statistics)
        out += [
            TEXTS.metric(
                "false_positives", found.null.null_rate, n_simulated=n_simulated, n_outliers=found.null.outliers
            ),
            TEXTS.metric("chi2_false_positives", found.null.chi2_rate, df=found.null.chi2_df),
        ]
    return [*out, *half_metrics(found)]


def alerts(found: RegulationOutput) -> list[Alert]:
    """Return what was left out, renamed or did not converge, and where the tests cannot be trusted."""
    return [
        *(TEXTS.alert("tss_finding", finding=finding) for finding in found.tss_findings),
        *_left_out(found),
        *_untrusted(found),
        *half_alerts(found),
    ]


def _left_out(found: RegulationOutput) -> list[Alert]:
    """Return alerts on genes without models and on peaks that do not count."""
    out = []
    status = pd.Series(found.status)
    missing = status[~status.isin((OK, AT_BOUND))].str.replace(r"\d+", "n", regex=True).value_counts()
    at_bound = int((status == AT_BOUND).sum())
    if at_bound:
        out.append(
            TEXTS.alert(
                "decay_at_bound",
                n_genes=at_bound,
                n_fitted=int(found.ok.sum()),
                n_called=int((found.called & (status == AT_BOUND)).sum()),
                weight=found.params.nearest_weight,
            )
        )
    if len(missing):
        out.append(
            TEXTS.alert(
                "no_model",
                n_missing=int(missing.sum()),
                n_genes=len(status),
                reasons={str(reason): int(count) for reason, count in missing.items()},
                n_unplaced=int(status.isin([NO_TSS, NO_CHROMOSOME]).sum()),
            )
        )
    chromosomes = found.chromosomes
    if chromosomes.renamed:
        out.append(TEXTS.alert("renamed_chromosomes", renamed=chromosomes.renamed))
    if chromosomes.unmatched:
        out.append(TEXTS.alert("unmatched_peaks", peaks=chromosomes.unmatched))
    own = int(found.sets.own_promoter_masked.sum())
    if own:
        out.append(TEXTS.alert("own_promoter_masked", n_genes=own))
    return out


def _untrusted(found: RegulationOutput) -> list[Alert]:
    """Return alerts on fits that did not converge, on badly measured accessibility and on a null that does not fit."""
    out = []
    slow = int((found.ok & ~(found.fit.lite.converged & found.fit.nite.converged)).sum())
    if slow:
        out.append(TEXTS.alert("not_converged", n_genes=slow))
    if found.error_share > MOST_ERROR:
        out.append(
            TEXTS.alert(
                "poorly_measured",
                error_share=found.error_share,
                n_open=np.median(found.n_open),
                n_peaks=np.median(found.sets.n_peaks[found.ok]),
                n_expressing=np.median(found.fit.n_expressing[found.ok]),
            )
        )
    if found.null is not None:
        rate = found.null.null_rate if found.params.null == "bootstrap" else found.null.chi2_rate
        if not RIGHT_RATE[0] <= rate <= RIGHT_RATE[1]:
            out.append(TEXTS.alert("null_miscalibrated", rate=rate, null=found.params.null))
    return out


def methods(found: RegulationOutput) -> str:
    """Return the paragraph for the methods section."""
    return TEXTS.methods(
        params=found.params,
        n_genes=int(found.ok.sum()),
        null=found.null,
        error_share=found.error_share,
        branches=bool(found.branches),
        sentence="" if found.halves is None else found.halves.sentence,
        n_again=0 if found.halves is None else len(found.halves.genes),
    )

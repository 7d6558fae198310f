"""Tables, metrics, alerts and methods text of the stage regulation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mira_nb.core.regulation.geometry import NO_CHROMOSOME, NO_TSS
from mira_nb.stages.result import Alert, Metric, Table

from .compute import RegulationOutput, decay_columns
from .lineages import state_table
from .score_tests import cell_tests, primed_genes, terminal_tests, topic_tests

if TYPE_CHECKING:
    from .params import RegulationParams


MOST_ERROR = 0.25
"""Unexplained share by chance and error alone above which NITE genes can hardly be told from LITE genes."""

_TEST = (
    "Two-sided Wilcoxon rank-sum test against all others; effect_size: rank-biserial correlation (Cliff's delta, -1 to "
    "1, positive = more NITE); adj_pvalue: Benjamini-Hochberg over the rows."
)


def gene_table(found: RegulationOutput) -> pd.DataFrame:
    """One row a gene that was asked for, fitted or not."""
    lite, sets = found.fit.lite, found.sets
    counts = sets.counts()
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


def prior_interval(params: RegulationParams) -> str:
    """Central 95 % of the prior of the decay distances, kb."""
    reach = 1.96 * math.sqrt(params.decay_log_variance)
    low, high = (params.decay_median_kb * math.exp(end) for end in (-reach, reach))
    return f"{low:.2g} to {high:.3g}"


def tables(found: RegulationOutput) -> list[Table]:
    """Genes, tests of cells and topics, primed genes."""
    null = (
        "gamma fitted to LITE genes that were simulated with the errors of accessibility"
        if found.params.null == "bootstrap"
        else "chi-square"
    )
    out = [
        Table(
            "genes",
            "LITE and NITE models of the genes",
            "nite_score: likelihood ratio of NITE over LITE, scaled by the cells that express the gene; pvalue: its "
            f"test ({null}); adj_pvalue: Benjamini-Hochberg. nite_share: part of what NITE explains that LITE does "
            f"not; nite: adj_pvalue < {found.params.level:g} and nite_share >= {found.params.min_share:g}. a_*: "
            "weights of the upstream, proximal and downstream peaks (their common length is set to sqrt(3), only "
            "their ratios are estimated). Decay distances, over which a peak's weight halves: decay_*_kb is the "
            "posterior mean (exp of the mean logarithm), which takes the whole posterior into account and is nearer "
            "the truth in simulations; decay_*_low_kb to decay_*_high_kb is the 95 % credible interval; "
            "decay_*_map_kb is the maximum a posteriori, which the predictions, tracks and factor deletions use (a "
            "set of weight 0 keeps the prior's median). Quote the "
            f"interval: distances are poorly determined, and where it spans about {prior_interval(found.params)} kb, "
            "the prior's, the data do not tell and the mean is the prior's. Errors of the accessibility estimates "
            "enter it only as far as LITE fits worse than NITE: in simulations 92 to 94 % of the intervals held the "
            "true distance, but fewer than half of those narrower than a factor of four. "
            "n_masked: peaks left out because they lie in another gene's promoter. status: ok, or why there is no "
            "model.",
            gene_table(found),
        ),
        Table("cell_nite_tests", f"NITE regulation of cells by {found.groups[0]}", _TEST, cell_tests(found)),
        Table("topic_nite_tests", "NITE regulation of expression topics", _TEST, topic_tests(found)),
    ]
    out += state_table(found)
    primed = primed_genes(found)
    p = found.params
    out.append(
        Table(
            "primed_genes",
            "Genes primed at a branch",
            f"Genes higher in one end state than in its sister (Wilcoxon, adjusted p < {p.de_level:g}, log2 fold "
            "change > "
            f"{p.fold_change:g}). primed: not yet expressed at the branch, mean chromatin differential of the branch "
            "cells "
            f"> {p.primed_differential:g}, NITE score > {p.primed_nite:g}. terminal: also higher in the end state "
            "than in "
            "the cells of the branch. Empty without a lineage tree with a branch into two end states.",
            primed,
        )
    )
    if len(primed):
        out.append(
            Table("terminal_nite_tests", "NITE regulation of terminal genes", _TEST, terminal_tests(found, primed))
        )
    return out


def metrics(found: RegulationOutput) -> list[Metric]:
    """Key figures."""
    ok = found.ok
    lite = found.fit.lite
    called = int(found.called.sum())
    significant = int((found.fdr[ok] < found.params.level).sum())
    distances = found.fit.decay_mean_kb[ok]
    weight = np.nan_to_num(lite.a[ok][:, [0, 2]])
    used = np.isfinite(distances) & (weight > 1e-3)
    out = [
        Metric("Genes with models", int(ok.sum()), "genes", f"of {len(ok):,} asked for", key=True),
        Metric(
            "NITE genes", called, "genes",
            f"local accessibility leaves at least {found.params.min_share:.0%} of what is explained to the cell's "
            "state (nite_share), and the test says that this is not chance (false discovery rate "
            f"{found.params.level:g})",
            key=True,
        ),
        Metric(
            "Unexplained share by error alone", found.error_share, "",
            "nite_share that 5 % of the genes simulated under LITE exceed by chance and by errors of the estimated "
            f"accessibility; real departures must be larger. Below 0.1 is good; above {MOST_ERROR:g} NITE genes can "
            "hardly be told from LITE genes",
            key=True,
        ),
        Metric(
            "Genes that reject LITE", significant, "genes",
            "by the test alone; with many cells it also finds departures too small to matter",
        ),
        Metric("Median NITE score", float(np.nanmedian(found.nite_score)) if ok.any() else float("nan"), "",
               "0 = local accessibility explains expression as well as the cell's whole state"),
        Metric("Median peaks a gene", float(np.median(found.sets.n_peaks[ok])) if ok.any() else 0.0, "peaks"),
        Metric("Median decay distance", float(np.median(distances[used])) if used.any() else float("nan"), "kb",
               "over which the influence of a peak halves, posterior means; sets without weight left out"),
    ]  # fmt: skip
    if found.null is not None:
        out += [
            Metric(
                "False positives of the NITE test", found.null.gamma_rate, "",
                f"share with p < 0.05 of {len(found.null.statistics)} genes simulated under LITE, with accessibility "
                "estimated from simulated open peaks, judged by a null fitted to the other half; about 0.05 is right",
            ),
            Metric(
                "False positives under chi-square", found.null.chi2_rate, "",
                f"the same for the textbook chi-square with {found.null.chi2_df} degrees of freedom, which takes "
                "accessibility as exact",
            ),
        ]  # fmt: skip
    return out


def alerts(found: RegulationOutput) -> list[Alert]:
    """Say what was left out, renamed or did not converge."""
    out = [Alert(f.level, f.title, f.cause, f.remedy) for f in found.tss_findings]
    status = pd.Series(found.status)
    missing = status[status != "ok"].str.replace(r"\d+", "n", regex=True).value_counts()
    if len(missing):
        share = 1 - float(found.ok.mean())
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in missing.items())
        lost = int(status.isin([NO_TSS, NO_CHROMOSOME]).sum())
        out.append(
            Alert(
                "warning" if share > 0.2 else "info",
                f"{int((~found.ok).sum()):,} of {len(found.ok):,} genes have no model",
                f"{reasons}. The table of genes gives the reason for each.",
                "check that gene names and genome of the TSS file match the data" if lost > 0.1 * len(status) else "",
            )
        )
    if found.chromosomes.changed:
        pairs = [f"{a} -> {b}" for a, b in found.chromosomes.mapping.items() if a != b][:3]
        out.append(Alert("info", "Chromosome names of the TSS file were adapted", ", ".join(pairs)))
    if found.chromosomes.unmatched_peaks:
        lost_peaks = found.chromosomes.unmatched_peaks
        out.append(
            Alert(
                "info",
                f"{sum(lost_peaks.values()):,} peaks lie on chromosomes without a start site",
                ", ".join(f"{name} ({count:,})" for name, count in list(lost_peaks.items())[:6]),
            )
        )
    own = int(found.sets.own_promoter_masked.sum())
    if own:
        out.append(
            Alert(
                "info",
                f"{own:,} genes lost a peak of their own promoter because another gene starts there too",
                "peaks within the promoter of another gene are masked, as published",
                "regulation.other_promoters=keep_own keeps them",
            )
        )
    slow = int((found.ok & ~(found.fit.lite.converged & found.fit.nite.converged)).sum())
    if slow:
        out.append(
            Alert("warning", f"{slow:,} fits stopped at the limit of iterations", "", "raise regulation.max_iterations")
        )
    if found.error_share > MOST_ERROR:
        out.append(_poorly_measured(found))
    if found.null is not None:
        rate = found.null.gamma_rate if found.params.null == "bootstrap" else found.null.chi2_rate
        if not 0.02 <= rate <= 0.1:
            out.append(
                Alert(
                    "warning",
                    f"P values of the NITE test are off: {rate:.1%} of simulated LITE genes have p < 0.05",
                    "the null distribution does not fit these data well"
                    if found.params.null == "bootstrap"
                    else "the chi-square distribution takes the estimates of accessibility as exact",
                    "judge by the NITE score and by its distribution; regulation.null_genes can be raised"
                    if found.params.null == "bootstrap"
                    else "regulation.null=bootstrap takes their errors into account",
                )
            )
    return out


def _poorly_measured(found: RegulationOutput) -> Alert:
    """Say that NITE and LITE genes can hardly be told apart, and why."""
    ok = found.ok
    peaks, seen, n_open = (
        int(np.median(values)) for values in (found.sets.n_peaks[ok], found.fit.n_expressing[ok], found.n_open)
    )
    return Alert(
        "warning",
        "Local accessibility is too poorly measured to tell most NITE genes from LITE genes: unexplained share by "
        f"error alone {found.error_share:.0%}",
        f"With {n_open:,} open peaks in the median cell, {peaks:,} peaks around the median gene and {seen:,} cells "
        "that express it, one in twenty genes that follow the chromatin around them leaves more than this share of "
        "what is explained to the cell's state (nite_share), by chance and by errors of the estimated accessibility. "
        "NITE scores of genes and cells are inflated by them; the p values allow for them, but find only the strongest "
        "departures.",
        "Take NITE scores as hints only; more open peaks a cell (deeper sequencing, larger peaks) or more cells "
        "measure accessibility better.",
    )


_MASKS = {
    "mask": "peaks within {promoter:,} bp of another gene's start site were masked",
    "keep_own": "peaks within {promoter:,} bp of another gene's start site were masked unless in the gene's own "
    "promoter",
    "keep": "peaks in other genes' promoters were not masked",
}


def methods(found: RegulationOutput) -> str:
    """Describe what was done."""
    p = found.params
    rule = (
        "with the most open promoter" if p.tss == "open" else "shared by most transcripts (then the most upstream one)"
    )
    null = (
        f"a gamma distribution fitted by its first two moments to {p.null_genes:,} genes simulated from their own LITE "
        "models, with accessibility estimated again as well, and fitted again (parametric bootstrap)"
        if p.null == "bootstrap"
        else "a chi-square distribution with one degree of freedom less than there are accessibility topics "
        "[@wilks1938lrt]"
    )
    redrawn = (
        f"The simulated genes were taken from those with a nite_share below {p.min_share:.0%}, at least a third and at "
        "most half of all, those of smallest nite_share. Their accessibility was estimated again so that the null "
        "contains its errors: open peaks were drawn from the fitted accessibility at the depth of each cell, and the "
        "weights of each peak were estimated from them by Poisson regression on the topics, with a normal prior that "
        "lets them vary over peaks as much as the trained ones; errors of the topics themselves are left out. By "
        "chance and error alone, 5 % of the simulated genes had a nite_share above "
        f"{found.error_share:.2g}. "
        if found.null is not None
        else ""
    )
    gauge = (
        " (which a softmax leaves open up to a function of the topics; pinned so that the median gene does not "
        "depend on "
        "them)"
        if p.normalizer == "median"
        else ""
    )
    check = (
        f" (false positives at 0.05 among the simulated genes: {found.null.gamma_rate:.3f}; under the chi-square "
        f"distribution with {found.null.chi2_df} degrees of freedom {found.null.chi2_rate:.3f})"
        if found.null is not None
        else ""
    )
    return (
        f"Regulatory potential models [@lynch2022mira; @qin2020lisa] were fitted to {int(found.ok.sum()):,} genes. Of "
        f"several transcription start sites of a gene the one {rule} was used. Peaks (centre) within "
        f"{p.promoter_bp:,} bp "
        f"of it are proximal, others within {p.window_kb:g} kb upstream or downstream with regard to strand; "
        f"{_MASKS[p.other_promoters].format(promoter=p.promoter_bp)}. The LITE model predicts counts by a negative "
        "binomial distribution around the effective read depth times exp(gamma (c - mu)/sigma + b) over the "
        f"denominator of the expression topic model{gauge}, where c sums the imputed accessibility (10,000 x rho) of "
        "the "
        "peaks, weighted by "
        "a and, for distal peaks, halved every Delta kb. Priors: a half-normal, Delta log-normal with median "
        f"{p.decay_median_kb:g} kb and log variance {p.decay_log_variance:g}, gamma log-normal with log variance "
        f"{p.gamma_log_variance:g}, b normal with variance {p.bias_variance:g}, dispersion gamma with shape "
        f"{p.theta_shape:g} and rate {p.theta_rate:g}. As batch normalisation makes the likelihood independent of the "
        "common length of all coefficients a, whose priors have no preferred direction, their length was set to the "
        "prior's root mean square; log-normal parameters were maximised on the log scale. The maximum a posteriori was "
        "found on all cells by L-BFGS [@liu1989lbfgs] with the expected information as first metric, from the best of "
        "several starts on a grid of decay distances, stopping after three iterations that gained less than "
        f"{p.tolerance:g}. Predictions and deletions use these maxima, also of the decay distances. The "
        "distances that are reported are posterior means with 95 % credible intervals, from a grid of pairs of log "
        "distances (0.7 to 900 kb at most), on which the other parameters were profiled out with the likelihood as a "
        "weighted least-squares problem around the estimate. There, the log likelihood was divided by "
        "the statistic of LITE against NITE over one degree of freedom less than there are accessibility topics, where "
        "that exceeds 1 [@wedderburn1974quasi], because accessibility is itself estimated. "
        "The NITE model adds a coefficient for each accessibility topic, starts at the LITE "
        "estimate and "
        "keeps its dispersion. The NITE score is the likelihood ratio statistic [@neyman1928lrt] over 1 + the number "
        "of "
        f"expressing cells relative to its median over genes; for cells likewise over genes. P values come from {null}"
        f"{check}, adjusted by Benjamini-Hochberg [@benjamini1995fdr]. {redrawn}As this test finds any departure from "
        "LITE once there are enough cells, a gene was called NITE when, besides, at least "
        f"{p.min_share:.0%} of the gain in log-likelihood of NITE over a constant rate was not reached by LITE "
        "(nite_share, all three at LITE's dispersion). The chromatin differential is the natural log "
        "of "
        "the LITE over the NITE prediction. Groups were compared by Wilcoxon rank-sum tests [@wilcoxon1945ranks]."
    )

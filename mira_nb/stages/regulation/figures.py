"""Figures and track files of the stage regulation."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.charts.embedding import menu_scatter, small_multiples
from mira_nb.charts.groups import by_group
from mira_nb.charts.regulation import (
    differential_scatter,
    local_peaks,
    nite_histogram,
    prediction_bars,
    prediction_lines,
    primed_scatter,
)
from mira_nb.charts.theme import natural_sort, topic_colors
from mira_nb.core.regulation.model import PeakRates, peak_weights
from mira_nb.keys import ATAC, CHROM, END, PSEUDOTIME, START, X_UMAP
from mira_nb.stages.result import ExportFile, Figure
from mira_nb.stages.shared.cells import coordinates, gene_expression
from mira_nb.typing import Floats

from .compute import RegulationOutput
from .lineages import lineage_figures
from .score_tests import cell_tests, lineage_cells, primed_genes, topic_genes, topic_tests
from .streams import stream_figures

N_BINS = 14
N_SCATTER = 60
N_TRACKS = 200
_DIFFERENTIAL = (
    "Positive (LITE above NITE): the local chromatin is more open than expression calls for, as before a gene is "
    "switched "
    "on; negative: expression is higher than the local chromatin suggests."
)


def shown_genes(found: RegulationOutput) -> list[int]:
    """Positions of the genes drawn in detail: those named, else the most NITE and the most LITE well-expressed ones."""
    asked = {name.casefold() for name in found.params.show_genes}
    if asked:
        return [g for g, name in enumerate(found.genes) if name.casefold() in asked and found.ok[g]]
    fitted = np.flatnonzero(found.ok)
    if not len(fitted):
        return []
    common = fitted[found.fit.n_expressing[fitted] >= np.median(found.fit.n_expressing[fitted])]
    order = common[np.argsort(-found.nite_score[common], kind="stable")]
    half = max(1, found.params.n_shown // 2)
    lite = sorted(order[half:].tolist(), key=lambda g: -float(found.fit.lite.gamma[g]) / (1 + found.nite_score[g]))
    return [*order[:half].tolist(), *lite[: found.params.n_shown - half]]


def figures(found: RegulationOutput) -> list[Figure]:
    """All figures of the stage."""
    if not found.ok.any():
        return []
    shown = shown_genes(found)
    primed = primed_genes(found)
    return [
        *_nite_figures(found),
        *_cell_figures(found),
        *_topic_figures(found),
        *stream_figures(found),
        *lineage_figures(found, primed),
        *_gene_figures(found, shown),
        *_primed_figures(found, primed),
    ]


def _nite_figures(found: RegulationOutput) -> list[Figure]:
    called = found.called[found.ok]
    return [
        Figure(
            "nite_distribution",
            "NITE scores of the genes",
            f"NITE score of {int(found.ok.sum()):,} genes: how much better the cell's whole chromatin state predicts "
            "expression than the chromatin around the gene. Coloured: the "
            f"{int(called.sum()):,} genes called NITE (likelihood ratio of NITE against LITE, Benjamini-Hochberg "
            f"adjusted p < {found.params.level:g}, and at least {found.params.min_share:.0%} of what NITE explains is "
            "left unexplained by the chromatin around the gene). A body near 0 with a tail to the right is usual. "
            "Errors of the estimated accessibility move the body away from 0: the test allows for them, the score does "
            "not.",
            chart=nite_histogram(found.nite_score[found.ok], called),
            section="NITE regulation",
        )
    ]


def _starred(tests: pd.DataFrame, level: float) -> dict[str, str]:
    pairs = zip(tests["group_1"].astype(str), tests["adj_pvalue"].to_numpy(float), strict=True)
    return {name: f"{name} *" if adjusted < level else name for name, adjusted in pairs}


def _cell_figures(found: RegulationOutput) -> list[Figure]:
    name, labels = found.groups
    out = []
    if X_UMAP in found.data.obsm:
        chart, packed = menu_scatter(
            coordinates(found.data.obsm[X_UMAP]),
            pd.DataFrame({"NITE score": found.cell_score, name: labels.to_numpy()}),
            title="NITE score of the cells",
        )
        out.append(
            Figure(
                "cell_nite_map",
                "NITE regulation of the cells",
                f"Joint map of {len(labels):,} cells. High: the cell's expression departs from what the chromatin "
                "around "
                "its genes predicts, as often in terminal states.",
                chart=chart,
                packed=packed,
                section="NITE regulation",
            )
        )
    tests = cell_tests(found)
    if len(tests):
        stars = _starred(tests, 0.05)
        frame = pd.DataFrame({"score": found.cell_score, "group": [stars.get(x, x) for x in labels]})
        order = [stars.get(x, x) for x in natural_sort(labels.unique())]
        out.append(
            Figure(
                "cell_nite_groups",
                f"NITE regulation by {name}",
                "NITE score of the cells; * adjusted p < 0.05 (two-sided Wilcoxon rank-sum test of the group against "
                "all "
                "other cells, Benjamini-Hochberg over the groups; n below each box). With many cells small "
                "differences are "
                "significant: see the effect sizes in the table.",
                chart=by_group(
                    frame,
                    value="score",
                    group="group",
                    value_title="NITE score of the cell",
                    group_title=name,
                    order=order,
                ),
                section="NITE regulation",
            )
        )
    return out


def _topic_figures(found: RegulationOutput) -> list[Figure]:
    tests = topic_tests(found)
    if not len(tests):
        return []
    stars = _starred(tests, 0.05)
    colors = topic_colors(list(stars))
    parts = [
        pd.DataFrame({"score": np.log10(1 + np.maximum(found.nite_score[mask], 0)), "topic": stars[name]})
        for name, mask in topic_genes(found).items()
        if name in stars
    ]
    return [
        Figure(
            "topic_nite",
            "NITE regulation of expression topics",
            f"NITE scores of the top genes of each expression topic (at most {found.params.n_top}); * adjusted p < "
            "0.05 "
            "(two-sided Wilcoxon rank-sum test against all other genes, Benjamini-Hochberg over the topics; n below "
            "each "
            "box). Topics of terminal states tend to be more NITE, those of progenitors more LITE.",
            chart=by_group(
                pd.concat(parts, ignore_index=True),
                value="score",
                group="topic",
                value_title="NITE score (log10 of 1 + score)",
                order=list(stars.values()),
                colors={stars[name]: color for name, color in colors.items()},
            ),
            section="NITE regulation",
        )
    ]


def _per_10k(found: RegulationOutput, g: int) -> dict[str, Floats]:
    """Observed and predicted expression of a gene, per 10,000 counts of effective read depth."""
    column = found.cells.counts[:, [g]].toarray().ravel()
    norm = found.cells.log_normalizer
    return {
        "observed": column / np.exp(found.cells.log_depth) * 1e4,
        "LITE prediction": np.exp(found.fit.lite_log_rate[:, g] - norm) * 1e4,
        "NITE prediction": np.exp(found.fit.nite_log_rate[:, g] - norm) * 1e4,
    }


def _along_time(found: RegulationOutput, shown: list[int], lineages: dict[str, NDArray[np.bool_]]) -> pd.DataFrame:
    time = found.data.obs[PSEUDOTIME].to_numpy(float)
    rows = []
    for g in shown:
        values = _per_10k(found, g)
        for lineage, inside in lineages.items():
            cells = np.flatnonzero(inside & np.isfinite(time))
            cells = cells[np.argsort(time[cells], kind="stable")]
            for part in np.array_split(cells, N_BINS):
                if len(part):
                    rows += [
                        (found.genes[g], lineage, float(time[part].mean()), source, float(v[part].mean()), len(part))
                        for source, v in values.items()
                    ]
    return pd.DataFrame(rows, columns=["gene", "lineage", "time", "source", "value", "n"])


def _by_group(found: RegulationOutput, shown: list[int]) -> pd.DataFrame:
    labels = found.groups[1].to_numpy()
    rows = []
    for g in shown:
        values = _per_10k(found, g)
        for name in natural_sort(np.unique(labels)):
            cells = labels == name
            rows += [
                (found.genes[g], name, source, float(v[cells].mean()), int(cells.sum())) for source, v in values.items()
            ]
    return pd.DataFrame(rows, columns=["gene", "group", "source", "value", "n"])


def _binned(found: RegulationOutput, shown: list[int]) -> pd.DataFrame:
    """Cells of equal LITE prediction and differential taken together, a few points a gene."""
    frames = []
    for g in shown:
        values = _per_10k(found, g)
        order = np.argsort(values["LITE prediction"], kind="stable")
        for outer in np.array_split(order, N_SCATTER // 4):
            inner = outer[np.argsort(found.differential[outer, g], kind="stable")]
            for part in np.array_split(inner, 4):
                if len(part):
                    frames.append(
                        (
                            found.genes[g],
                            float(values["LITE prediction"][part].mean()),
                            float(values["observed"][part].mean()),
                            float(found.differential[part, g].mean()),
                            len(part),
                        )
                    )
    return pd.DataFrame(frames, columns=["gene", "lite", "observed", "differential", "n"])


def _gene_figures(found: RegulationOutput, shown: list[int]) -> list[Figure]:
    if not shown:
        return []
    names = [found.genes[g] for g in shown]
    out = []
    lineages = lineage_cells(found)
    if lineages:
        chart, where = (
            prediction_lines(_along_time(found, shown, lineages), time_title="Pseudotime"),
            "along each lineage",
        )
    else:
        chart, where = prediction_bars(_by_group(found, shown), group_title=found.groups[0]), f"by {found.groups[0]}"
    out.append(
        Figure(
            "lite_expression",
            "Expression and its prediction from local chromatin",
            f"Mean observed expression and LITE and NITE predictions {where} ({found.cells.n_cells:,} cells). Where "
            "the "
            "LITE line leaves the observed one, chromatin around the gene changes without expression, or the "
            "reverse; the "
            "NITE prediction, which knows the cell's whole state, should follow the observed one.",
            chart=chart,
            section="Genes",
        )
    )
    out.append(
        Figure(
            "differential_scatter",
            "Chromatin differential of single genes",
            "Each point is a group of cells with similar LITE prediction and differential (n = size). " + _DIFFERENTIAL,
            chart=differential_scatter(_binned(found, shown)),
            section="Genes",
        )
    )
    if X_UMAP in found.data.obsm:
        expression = gene_expression(found.data, names)
        columns = {}
        for g, name in zip(shown, names, strict=True):
            columns[f"{name}: expression"] = expression[name].to_numpy()
            columns[f"{name}: LITE"] = np.log1p(_per_10k(found, g)["LITE prediction"])
            columns[f"{name}: differential"] = found.differential[:, g]
        image = small_multiples(coordinates(found.data.obsm[X_UMAP]), pd.DataFrame(columns), n_columns=3)
        out.append(
            Figure(
                "differential_maps",
                "Expression, LITE prediction and chromatin differential on the map",
                f"{found.cells.n_cells:,} cells; expression and LITE prediction as log(1 + counts per 10,000), "
                "differential "
                "as natural log. " + _DIFFERENTIAL,
                image=image,
                alt="Maps of " + ", ".join(names),
                section="Genes",
            )
        )
    out.append(
        Figure(
            "local_peaks",
            "Local peaks and their weights",
            "Peaks in the window around the start site (dashed line). Share: weight x mean accessibility, as part of "
            "the "
            "gene's mean prediction; weight: a halved every decay distance, proximal peaks undecayed. The weights of "
            "all "
            "fitted genes shown here are also exported as bedGraph.",
            chart=local_peaks(pd.concat([peak_frame(found, g) for g in shown], ignore_index=True)),
            section="Genes",
        )
    )
    return out


def peak_frame(found: RegulationOutput, g: int) -> pd.DataFrame:
    """Peaks of one gene with LITE weight, mean accessibility and share of the mean prediction."""
    peaks, distance, region = found.sets.of(g)
    lite = found.fit.lite
    weight = peak_weights(distance, region, lite.a[g], lite.decay_kb[g])
    rates = PeakRates(found.cells.decoder, found.cells.topics, found.cells.peak_normalizer)
    accessibility = rates.block(peaks).mean(axis=1)
    total = float(weight @ accessibility)
    var = found.data.mod[ATAC].var.iloc[found.modelled_peaks[peaks]]
    start, end = var[START].to_numpy(np.int64), var[END].to_numpy(np.int64)
    strand = str(found.sets.strand[g])
    order = np.argsort(start, kind="stable")
    return pd.DataFrame(
        {
            "gene": found.genes[g],
            "chrom": var[CHROM].astype(str).to_numpy(),
            "start": start,
            "end": end,
            "kb": ((start + end) / 2 - found.sets.tss[g]) / 1e3,
            "peak": [f"{c}:{s}-{e}" for c, s, e in zip(var[CHROM].astype(str), start, end, strict=True)],
            "region": np.array(["upstream", "proximal", "downstream"], dtype=object)[region],
            "weight": weight,
            "accessibility": accessibility,
            "share": weight * accessibility / total if total > 0 else np.zeros(len(weight)),
            "strand": strand,
        }
    ).iloc[order]


def track_files(found: RegulationOutput) -> list[ExportFile]:
    """One bedGraph a drawn gene: LITE weight x mean accessibility of its peaks."""
    out = []
    for g in shown_genes(found)[:N_TRACKS] if found.ok.any() else []:
        frame = peak_frame(found, g)
        name = re.sub(r"[^A-Za-z0-9._-]", "_", found.genes[g])
        value = frame["weight"] * frame["accessibility"]
        lines = [f'track type=bedGraph name="{name} LITE" description="LITE weight x mean accessibility"']
        lines += [
            f"{c}\t{s}\t{e}\t{v:.6g}"
            for c, s, e, v in zip(frame["chrom"], frame["start"], frame["end"], value, strict=True)
        ]
        out.append(
            ExportFile(
                f"exports/{name}.bedgraph", ("\n".join(lines) + "\n").encode(), f"local peaks of {name}, LITE weights"
            )
        )
    return out


def _primed_figures(found: RegulationOutput, primed: pd.DataFrame) -> list[Figure]:
    if not len(primed):
        return []
    p = found.params
    n = int((primed["class"] == "primed").sum())
    return [
        Figure(
            "primed_genes",
            "Genes primed at a branch",
            f"{len(primed):,} genes higher in one end state than in its sister, {n:,} of them primed (right of and "
            "above "
            f"the dashed thresholds {p.primed_differential:g} and {p.primed_nite:g}, and not yet expressed at the "
            "branch): "
            "their chromatin is open in the branch cells before the lineage expresses them.",
            chart=primed_scatter(primed, differential=p.primed_differential, score=p.primed_nite),
            section="Genes",
        )
    ]

"""Figures and track files of the stage regulation."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.charts.basic import Channel
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
from mira_nb.stages.texts import Texts
from mira_nb.typing import Floats

from .compute import RegulationOutput
from .half_report import half_figures
from .lineages import lineage_figures
from .links import link_figures
from .primed import NO_BRANCH, primed_counts, primed_genes
from .score_tests import (
    STAR_LEVEL,
    cell_tests,
    lineage_cells,
    log_score,
    nite_sides,
    star,
    topic_genes,
    topic_tests,
)
from .streams import stream_figures

TEXTS = Texts(__package__)

N_BINS = 14
"""Bins of equally many cells along each lineage."""

N_SCATTER = 60
"""Points per gene in the scatter of the chromatin differential."""

N_TRACKS = 200
"""Largest number of genes with a track file."""


def shown_genes(found: RegulationOutput) -> list[int]:
    """Return positions of the genes drawn in detail: those named, else the most NITE and the most LITE ones.

    Unnamed genes are taken from the half that most cells express.
    """
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
    """Return all figures; empty without a fitted gene."""
    if not found.ok.any():
        return []
    shown = shown_genes(found)
    primed = primed_genes(found)
    return [
        *_nite_figures(found),
        *half_figures(found),
        *_cell_figures(found),
        *_topic_figures(found),
        *stream_figures(found),
        *lineage_figures(found, primed),
        *link_figures(found),
        *_gene_figures(found, shown),
        *_primed_figures(found, primed),
    ]


def _nite_figures(found: RegulationOutput) -> list[Figure]:
    called = found.called[found.ok]
    return [
        TEXTS.figure(
            "nite_distribution",
            nite_histogram(found.nite_score[found.ok], called),
            n_genes=int(found.ok.sum()),
            n_called=int(called.sum()),
            level=found.params.level,
            min_share=found.params.min_share,
            with_curve=found.params.learning_curve,
        )
    ]


def _starred(tests: pd.DataFrame) -> dict[str, str]:
    """Map each tested group to its name with a star where it is significant."""
    pairs = zip(tests["group_1"].astype(str), tests["adj_pvalue"].to_numpy(float), strict=True)
    return {name: f"{name}{star(adjusted)}" for name, adjusted in pairs}


def _n_significant(tests: pd.DataFrame) -> int:
    return int((tests["adj_pvalue"].to_numpy(float) < STAR_LEVEL).sum())


def _cell_figures(found: RegulationOutput) -> list[Figure]:
    name, labels = found.groups
    out = []
    if X_UMAP in found.data.obsm:
        chart, packed = menu_scatter(
            coordinates(found.data.obsm[X_UMAP]),
            pd.DataFrame({"NITE score": found.cell_score, name: labels.to_numpy()}),
        )
        out.append(TEXTS.figure("cell_nite_map", chart, packed=packed, n_cells=len(labels)))
    tests = cell_tests(found)
    if len(tests):
        stars = _starred(tests)
        chart = by_group(
            pd.DataFrame({"score": found.cell_score, "group": [stars.get(x, x) for x in labels]}),
            value=Channel("score", "NITE score of the cell"),
            group=Channel("group", name, order=[stars.get(x, x) for x in natural_sort(labels.unique())]),
        )
        out.append(
            TEXTS.figure(
                "cell_nite_groups",
                chart,
                grouping=name,
                level=STAR_LEVEL,
                n_significant=_n_significant(tests),
                n_groups=len(tests),
            )
        )
    return out


def _topic_figures(found: RegulationOutput) -> list[Figure]:
    tests = topic_tests(found)
    if not len(tests):
        return []
    stars = _starred(tests)
    colors = topic_colors(list(stars))
    parts = [
        pd.DataFrame({"score": log_score(found.nite_score[mask]), "topic": stars[name]})
        for name, mask in topic_genes(found).items()
        if name in stars
    ]
    chart = by_group(
        pd.concat(parts, ignore_index=True),
        value=Channel("score", "NITE score (log10 of 1 + score)"),
        group=Channel("topic", order=list(stars.values())),
        colors={stars[name]: color for name, color in colors.items()},
    )
    return [
        TEXTS.figure(
            "topic_nite",
            chart,
            n_top=found.params.n_top,
            level=STAR_LEVEL,
            n_significant=_n_significant(tests),
            n_topics=len(tests),
            sides=nite_sides(tests),
        )
    ]


def _per_10k(found: RegulationOutput, g: int) -> dict[str, Floats]:
    """Return observed and predicted expression of a gene, per 10,000 counts of effective read depth, (N,) each."""
    column = found.cells.counts[:, [g]].toarray().ravel()
    norm = found.cells.log_normalizer
    return {
        "observed": column / np.exp(found.cells.log_depth) * 1e4,
        "LITE prediction": np.exp(found.fit.lite_log_rate[:, g] - norm) * 1e4,
        "NITE prediction": np.exp(found.fit.nite_log_rate[:, g] - norm) * 1e4,
    }


def _along_time(found: RegulationOutput, shown: list[int], lineages: dict[str, NDArray[np.bool_]]) -> pd.DataFrame:
    """Return mean observed and predicted expression in bins of pseudotime: gene, lineage, time, source, value, n."""
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
    """Return mean observed and predicted expression per group: gene, group, source, value, n."""
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
    """Pool cells of similar LITE prediction and differential, :data:`N_SCATTER` points per gene."""
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
    peaks = pd.concat([peak_frame(found, g) for g in shown], ignore_index=True)
    return [
        _prediction_figure(found, shown),
        TEXTS.figure(
            "differential_scatter",
            differential_scatter(_binned(found, shown)),
            reading=TEXTS.text("differential"),
        ),
        *_differential_maps(found, shown),
        TEXTS.figure("local_peaks", local_peaks(peaks)),
    ]


def _prediction_figure(found: RegulationOutput, shown: list[int]) -> Figure:
    """Return observed and predicted expression: along the lineages, or by group without a trajectory."""
    lineages = lineage_cells(found)
    if lineages:
        chart = prediction_lines(_along_time(found, shown, lineages), time_title="Pseudotime")
    else:
        chart = prediction_bars(_by_group(found, shown), group_title=found.groups[0])
    return TEXTS.figure(
        "lite_expression",
        chart,
        along_lineages=bool(lineages),
        grouping=found.groups[0],
        n_cells=found.cells.n_cells,
    )


def _differential_maps(found: RegulationOutput, shown: list[int]) -> list[Figure]:
    """Return three maps per gene; empty without a map of the cells."""
    if X_UMAP not in found.data.obsm:
        return []
    names = [found.genes[g] for g in shown]
    expression = gene_expression(found.data, names)
    columns = {}
    for g, name in zip(shown, names, strict=True):
        columns[f"{name}: expression"] = expression[name].to_numpy()
        columns[f"{name}: LITE"] = np.log1p(_per_10k(found, g)["LITE prediction"])
        columns[f"{name}: differential"] = found.differential[:, g]
    return [
        TEXTS.figure(
            "differential_maps",
            image=small_multiples(coordinates(found.data.obsm[X_UMAP]), pd.DataFrame(columns), n_columns=3),
            genes=names,
            n_cells=found.cells.n_cells,
            reading=TEXTS.text("differential"),
        )
    ]


def peak_frame(found: RegulationOutput, g: int) -> pd.DataFrame:
    """Return the peaks of one gene with LITE weight, mean accessibility and fraction of the mean prediction."""
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
            "fraction": weight * accessibility / total if total > 0 else np.zeros(len(weight)),
            "strand": strand,
        }
    ).iloc[order]


def track_files(found: RegulationOutput) -> list[ExportFile]:
    """Return one bedGraph file per drawn gene: LITE weight x mean accessibility of its peaks."""
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
        content = ("\n".join(lines) + "\n").encode()
        out.append(ExportFile(f"exports/{name}.bedgraph", content, TEXTS.text("track", gene=name)))
    return out


def _primed_figures(found: RegulationOutput, primed: pd.DataFrame) -> list[Figure]:
    primed = primed[primed["class"] != NO_BRANCH]
    if not len(primed):
        return []
    p, counts = found.params, primed_counts(found, primed)
    return [
        TEXTS.figure(
            "primed_genes",
            primed_scatter(primed, differential=p.primed_differential, score=p.primed_nite),
            n_genes=counts.rows,
            n_primed=counts.primed,
            n_both=counts.both,
            n_pass=counts.above_score,
            n_called=counts.called,
            n_fitted=counts.fitted,
            differential=p.primed_differential,
            score=p.primed_nite,
        )
    ]

"""Figures of the stage trajectory."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mira_nb.charts.embedding import menu_scatter
from mira_nb.charts.linked import linked_cells
from mira_nb.charts.theme import topic_colors
from mira_nb.charts.trajectory import branch_view, landmarks_chart, spectrum_chart, sweep_chart, tree_chart
from mira_nb.keys import MOTIF_SCORES, RNA, TOPIC_ACTIVATIONS, X_UMAP
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import coordinates, gene_expression
from mira_nb.stages.shared.streams import Axis, heatmap_figure, line_figure, scatter_figure, stream_figure, swarm_figure

from .compute import TrajectoryOutput
from .tables import branch_sentence, terminal_table

if TYPE_CHECKING:
    from mira_nb.stages.base import Context


MAX_PAIRS = 15
MAX_FACTORS = 25


def axis(traced: TrajectoryOutput, *, seed: int) -> Axis:
    """Time axis of the streams."""
    return Axis(
        pseudotime=traced.pseudotime,
        states=traced.states,
        nodes=traced.tree.nodes,
        window=traced.params.stream_window,
        time=traced.params.stream_time,
        n_resamples=traced.params.n_resamples,
        seed=seed,
    )


def figures(traced: TrajectoryOutput, context: Context) -> list[Figure]:
    """All figures; without a supported trajectory only those that show why."""
    out = [*_map_figures(traced), _spectrum_figure(traced)]
    if not traced.supported:
        return out
    time = axis(traced, seed=context.seed)
    out.append(_tree_figure(traced, time))
    if len(traced.sweep):
        out.append(_sweep_figure(traced))
    out += _branch_figures(traced)
    context.progress(0.8, "streams of topics")
    out += _topic_figures(traced, time)
    context.progress(0.9, "streams of genes and motifs")
    out += _gene_figures(traced, time)
    out += _motif_figures(traced, time)
    out += _column_figures(traced, time)
    out.append(_linked_figure(traced))
    return out


def _places(traced: TrajectoryOutput) -> pd.DataFrame:
    return coordinates(traced.data.obsm[X_UMAP])


def _map_figures(traced: TrajectoryOutput) -> list[Figure]:
    places = _places(traced)
    where = {str(name): i for i, name in enumerate(traced.data.obs_names)}
    start = traced.names[traced.start.manifold.start]
    marks = [("start cell", str(start), where[str(start)])]
    if len(traced.start.candidates):
        others = traced.start.candidates.loc[~traced.start.candidates["chosen"], "cell"]
        marks += [("proposed start", str(cell), where[str(cell)]) for cell in others]
    terminal = terminal_table(traced)
    for cell, lineage, accepted in zip(terminal["cell"], terminal["lineage"], terminal["accepted"], strict=True):
        if cell:
            kind = "terminal cell" if accepted else "rejected candidate"
            marks.append((kind, str(lineage or cell), where[str(cell)]))
    landmarks = pd.DataFrame(
        [(kind, label, places["x"][row], places["y"][row]) for kind, label, row in marks],
        columns=["kind", "label", "x", "y"],
    )
    chart, packed = landmarks_chart(places.assign(pseudotime=traced.pseudotime), landmarks)
    out = [
        Figure(
            "landmarks",
            "Pseudotime, start and ends on the joint map",
            f"Colour: pseudotime (n = {len(traced.cells):,} cells; grey: not connected to the start cell). Triangle: "
            "start cell; diamonds: terminal cells; crosses: candidates that were rejected (reasons in the table of "
            "terminal states). Good: colour flows from the start to the ends without jumps.",
            chart=chart,
            packed=packed,
            section="Pseudotime and fates",
        )
    ]
    values = pd.DataFrame({"pseudotime": traced.pseudotime})
    values["shortest-path pseudotime"] = traced.spread(traced.found.path_pseudotime)
    values["lineage state"] = pd.Categorical(traced.states, categories=traced.tree.nodes["node"].tolist())
    for name, column in zip(traced.lineages, traced.spread(traced.fates).T, strict=True):
        values[f"fate: {name}"] = column
    if traced.annotations.groups is not None:
        values[str(traced.annotations.groups.name)] = traced.annotations.groups.to_numpy()
    values = values.loc[:, ~values.columns.duplicated()]
    chart, packed = menu_scatter(places, values, title="")
    out.append(
        Figure(
            "umap_trajectory",
            "Pseudotime, lineage states and fate probabilities",
            f"The menu chooses the colour (n = {len(traced.cells):,} cells in the trajectory). fate: probability that "
            "a walk from the cell ends in that lineage; before a branch the same everywhere, after it near 0 or 1.",
            chart=chart,
            packed=packed,
            section="Pseudotime and fates",
        )
    )
    return out


def _spectrum_figure(traced: TrajectoryOutput) -> Figure:
    diffusion = traced.start.manifold.diffusion
    return Figure(
        "diffusion_spectrum",
        "Eigenvalues of the diffusion map",
        "Components before the largest gap span the space in which paths are measured. Values near 1 mean slow "
        "directions, such as a differentiation; a fast fall after the first means no direction stands out.",
        chart=spectrum_chart(diffusion.eigenvalues.tolist(), n_used=diffusion.space.shape[1]),
        section="Pseudotime and fates",
    )


def _tree_figure(traced: TrajectoryOutput, time: Axis) -> Figure:
    return Figure(
        "lineage_tree",
        "Lineage tree",
        f"Bars: nodes of the tree along pseudotime with their cells (n = {len(traced.cells):,}); vertical lines: "
        f"branches: {branch_sentence(traced.tree)}. Orange: 95 % interval of the branch time from resampling cells.",
        chart=tree_chart(
            time.paths.segments,
            traced.tree.nodes,
            colors=time.colors,
            intervals=traced.intervals if len(traced.intervals) else None,
        ),
        section="Lineage tree",
    )


def _sweep_figure(traced: TrajectoryOutput) -> Figure:
    return Figure(
        "threshold_sweep",
        "Branch times for other thresholds",
        "Each line a split of the tree, dashed: the threshold used. Good: flat lines and one shape of points (one "
        "topology) around the dashed line. Small thresholds mistake fluctuations before the branch for the branch; "
        "large ones see it late.",
        chart=sweep_chart(traced.sweep, chosen=traced.tree.threshold),
        section="Lineage tree",
    )


def _branch_figures(traced: TrajectoryOutput) -> list[Figure]:
    """Branch view (Extended Data Fig. 2)."""
    pairs = list(combinations(traced.lineages, 2))
    if not pairs:
        return []
    shown = pairs[:MAX_PAIRS]
    frame = _places(traced).assign(pseudotime=traced.pseudotime)
    branches = []
    for first, second in shown:
        name = f"{first} / {second}"
        frame[name] = np.clip(traced.pair_ratio(first, second), -20, 20)
        interval = _pair_interval(traced, first, second)
        branches.append({"pair": name, "branch_time": traced.pair_time(first, second), **interval})
    chart, packed = branch_view(
        frame, pairs=[f"{first} / {second}" for first, second in shown], branches=pd.DataFrame(branches)
    )
    left_out = f" {len(pairs) - len(shown)} further pairs are not drawn." if len(pairs) > len(shown) else ""
    return [
        Figure(
            "branch_view",
            "Where lineages part: log ratio of fate probabilities",
            f"Natural log ratio of the probabilities of two fates relative to the start cell, cut at -20 and 20 (n = "
            f"{len(traced.cells):,} cells); the menu chooses the pair. Dashed: branch time, "
            f"{branch_sentence(traced.tree)}; band: 95 % interval from resampling cells. Good: near zero before the "
            f"branch, a clear fork after it.{left_out}",
            chart=chart,
            packed=packed,
            section="Lineage tree",
        )
    ]


def _pair_interval(traced: TrajectoryOutput, first: str, second: str) -> dict[str, float]:
    """Interval of the branch of the tree at which two lineages part."""
    paths = [traced.tree.path(name) for name in (first, second)]
    common = [node for node in paths[0] if node in paths[1]]
    rows = traced.intervals[traced.intervals["node"] == common[-1]] if common else traced.intervals.iloc[:0]
    if not len(rows):
        return {"low": np.nan, "high": np.nan}
    return {"low": float(rows["low"].iloc[0]), "high": float(rows["high"].iloc[0])}


def _topic_figures(traced: TrajectoryOutput, time: Axis) -> list[Figure]:
    out = []
    for name, what, topics in (
        ("rna", "expression topics", traced.rna_topics),
        ("atac", "accessibility topics", traced.atac_topics),
    ):
        values = topics.reset_index(drop=True)
        colors = topic_colors(list(values.columns))
        label = f"proportion of {what}"
        out.append(
            stream_figure(
                time, values, name=f"stream_topics_{name}", title=f"Stream of {what}", what=label, colors=colors
            )
        )
        out.append(heatmap_figure(time, values, name=f"heatmap_topics_{name}", title=f"Heatmap of {what}", what=label))
    both = pd.concat([traced.rna_topics, traced.atac_topics], axis=1).reset_index(drop=True)
    out.append(
        line_figure(
            time,
            both,
            name="lines_topics",
            title="Topics along the branches",
            what="Proportion of the topic",
        )
    )
    out.append(
        scatter_figure(time, both, name="scatter_topics", title="Topics, cell by cell", what="topic proportions")
    )
    out.append(
        swarm_figure(
            time, both, name="swarm_topics", title="Cells on the branches of the tree", what="topic proportions"
        )
    )
    return out


def chosen_genes(traced: TrajectoryOutput) -> list[str]:
    """Genes to draw: those asked for, or the top gene of each expression topic."""
    rna = traced.data.mod[RNA]
    known = {str(name).upper(): str(name) for name in rna.var_names}
    if traced.params.stream_genes:
        return [known[gene.upper()] for gene in traced.params.stream_genes if gene.upper() in known]
    if TOPIC_ACTIVATIONS not in rna.varm:
        return []
    activations = np.nan_to_num(np.asarray(rna.varm[TOPIC_ACTIVATIONS], dtype=float), nan=-np.inf)
    return list(dict.fromkeys(str(rna.var_names[int(column.argmax())]) for column in activations.T))


def _gene_figures(traced: TrajectoryOutput, time: Axis) -> list[Figure]:
    genes = chosen_genes(traced)
    if not genes:
        return []
    expression = gene_expression(traced.data, genes).reset_index(drop=True)
    what = "log-normalised expression"
    return [
        line_figure(time, expression, name="lines_genes", title="Genes along the branches", what=what.capitalize()),
        heatmap_figure(time, expression, name="heatmap_genes", title="Heatmap of genes", what=what),
    ]


def _motif_figures(traced: TrajectoryOutput, time: Axis) -> list[Figure]:
    if MOTIF_SCORES not in traced.data.obsm:
        return []
    scores = traced.data.obsm[MOTIF_SCORES]
    if not isinstance(scores, pd.DataFrame):
        scores = pd.DataFrame(np.asarray(scores), columns=[f"factor {i + 1}" for i in range(np.shape(scores)[1])])
    scores = scores.reset_index(drop=True)
    smooth = time.smooth(scores)
    spread = smooth.groupby("feature", sort=False)["value"].agg(lambda part: float(np.ptp(part)))
    top = spread.sort_values(ascending=False, kind="stable").head(MAX_FACTORS).index
    chosen = scores[[name for name in scores.columns if str(name) in set(top)]]
    return [
        heatmap_figure(
            time,
            chosen,
            name="heatmap_motifs",
            title=f"Motif scores of the {len(chosen.columns)} factors that change most",
            what="motif score (standardised)",
        )
    ]


def _column_figures(traced: TrajectoryOutput, time: Axis) -> list[Figure]:
    columns = {}
    for name in traced.params.stream_columns:
        for frame in (traced.data.obs, traced.data.mod[RNA].obs):
            if name in frame:
                columns[name] = pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
                break
    if not columns:
        return []
    values = pd.DataFrame(columns).fillna(0.0)
    return [line_figure(time, values, name="lines_columns", title="Cell annotations along the branches", what="Value")]


def _linked_figure(traced: TrajectoryOutput) -> Figure:
    """Linked views of the cells of the trajectory."""
    frame = _places(traced)
    frame["barcode"] = traced.data.obs_names.astype(str)
    frame["lineage state"] = pd.Categorical(traced.states.astype(object), categories=traced.tree.nodes["node"].tolist())
    frame["pseudotime"] = traced.pseudotime
    topics = pd.concat([traced.rna_topics, traced.atac_topics], axis=1).reset_index(drop=True)
    frame = pd.concat([frame, topics], axis=1)
    ratio = None
    if len(traced.lineages) > 1:
        first, second = traced.lineages[:2]
        frame["log_ratio"], ratio = np.clip(traced.pair_ratio(first, second), -20, 20), "log_ratio"
        title = f"Log ratio of fates, {first} / {second}"
    else:
        title = ""
    chart, packed = linked_cells(
        frame,
        group="lineage state",
        quantities=[str(name) for name in topics.columns],
        log_ratio=ratio,
        log_ratio_title=title,
    )
    return Figure(
        "linked_cells",
        "Choose cells in one view, see them in all",
        f"Drag over cells (n = {traced.data.n_obs:,}) in any view: they stay bright in the others, the table below the "
        "chart gives the means of their groups, and their barcodes can be saved.",
        chart=chart,
        packed=packed,
        section="Linked views",
    )

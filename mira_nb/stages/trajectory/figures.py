"""Figures of the stage trajectory."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mira_nb.charts.basic import Channel
from mira_nb.charts.embedding import menu_scatter
from mira_nb.charts.linked import linked_cells
from mira_nb.charts.theme import topic_colors
from mira_nb.charts.trajectory import branch_view, landmarks_chart, spectrum_chart, sweep_chart, tree_chart
from mira_nb.keys import MOTIF_SCORES, RNA, TOPIC_ACTIVATIONS, X_UMAP
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import coordinates, gene_expression
from mira_nb.stages.shared.streams import Axis, heatmap_figure, line_figure, scatter_figure, stream_figure, swarm_figure
from mira_nb.stages.texts import Texts

from .compute import TrajectoryOutput
from .orientation import orientation_figures
from .tables import branch_sentence, terminal_table

if TYPE_CHECKING:
    from mira_nb.stages.base import Context


TEXTS = Texts(__package__)
MAX_PAIRS = 15
"""Pairs of lineages that the branch view offers at most."""
MAX_FACTORS = 25
"""Factors in the heatmap of motif scores at most."""
TERMINAL, REJECTED = "terminal cell", "rejected candidate"
"""Kinds of landmarks."""
MAX_RATIO = 20.0
"""Log ratios of fate probabilities are cut here."""


def axis(traced: TrajectoryOutput, *, seed: int) -> Axis:
    """Return pseudotime, states and tree as the axis of the stream figures."""
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
    """Draw all figures; where no lineages are drawn only those that show why."""
    out = [_landmarks_figure(traced), _map_figure(traced), _spectrum_figure(traced)]
    if not traced.drawn:
        return [*out, *orientation_figures(traced, None)]
    time = axis(traced, seed=context.seed)
    other = traced.alternative
    if other is not None:
        out += orientation_figures(traced, (time, axis(other, seed=context.seed)) if other.drawn else None)
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
    """Return the coordinates of all cells on the joint map."""
    return coordinates(traced.data.obsm[X_UMAP])


def _landmarks_figure(traced: TrajectoryOutput) -> Figure:
    """Draw pseudotime, start cell and terminal cells on the joint map."""
    places = _places(traced)
    names = traced.data.obs_names
    where = {str(name): i for i, name in enumerate(names)}
    start = traced.names[traced.start.manifold.start]
    marks = [("start cell", "start", where[str(start)])]
    if len(traced.start.candidates):
        others = traced.start.candidates.loc[~traced.start.candidates["chosen"], "cell"]
        marks += [("proposed start", "proposed start", where[str(cell)]) for cell in others]
    terminal = terminal_table(traced)
    for cell, lineage, accepted in zip(terminal["cell"], terminal["lineage"], terminal["accepted"], strict=True):
        if cell:
            kind = TERMINAL if accepted else REJECTED
            marks.append((kind, str(lineage or "rejected"), where[str(cell)]))
    landmarks = pd.DataFrame(
        [(kind, label, str(names[row]), places["x"][row], places["y"][row]) for kind, label, row in marks],
        columns=["kind", "label", "cell", "x", "y"],
    )
    chart, packed = landmarks_chart(places.assign(pseudotime=traced.pseudotime), landmarks)
    return TEXTS.figure(
        "landmarks",
        chart,
        packed=packed,
        n_cells=len(traced.cells),
        n_terminal=int((landmarks["kind"] == TERMINAL).sum()),
        n_rejected=int((landmarks["kind"] == REJECTED).sum()),
    )


def _map_figure(traced: TrajectoryOutput) -> Figure:
    """Draw pseudotimes, lineage states and fate probabilities on the joint map, with a menu."""
    values = pd.DataFrame({"pseudotime": traced.pseudotime})
    values["shortest-path pseudotime"] = traced.spread(traced.found.path_pseudotime)
    values["lineage state"] = pd.Categorical(traced.states, categories=traced.tree.nodes["node"].tolist())
    for name, column in zip(traced.lineages, traced.spread(traced.fates).T, strict=True):
        values[f"fate: {name}"] = column
    if traced.annotations.groups is not None:
        values[str(traced.annotations.groups.name)] = traced.annotations.groups.to_numpy()
    values = values.loc[:, ~values.columns.duplicated()]
    chart, packed = menu_scatter(_places(traced), values)
    return TEXTS.figure("umap_trajectory", chart, packed=packed, n_cells=len(traced.cells))


def _spectrum_figure(traced: TrajectoryOutput) -> Figure:
    """Draw the eigenvalues of the diffusion map and the components used."""
    diffusion = traced.start.manifold.diffusion
    n_used = diffusion.space.shape[1]
    return TEXTS.figure(
        "diffusion_spectrum", spectrum_chart(diffusion.eigenvalues.tolist(), n_used=n_used), n_used=n_used
    )


def _has_intervals(traced: TrajectoryOutput) -> bool:
    """Return whether some branch time has an interval."""
    return bool(traced.intervals["low"].notna().any())


def _tree_figure(traced: TrajectoryOutput, time: Axis) -> Figure:
    """Draw the lineage tree along pseudotime, with the intervals of the branch times."""
    has_intervals = _has_intervals(traced)
    chart = tree_chart(
        time.paths.segments,
        traced.tree.nodes,
        colors=time.colors,
        intervals=traced.intervals.dropna(subset=["low"]) if has_intervals else None,
    )
    return TEXTS.figure(
        "lineage_tree",
        chart,
        n_cells=len(traced.cells),
        branch_time=branch_sentence(traced.tree),
        has_intervals=has_intervals,
        branch_times=sorted(traced.tree.nodes["branch_time"].dropna()),
    )


def _sweep_figure(traced: TrajectoryOutput) -> Figure:
    """Draw the branch times for other thresholds."""
    same = traced.same_topology
    chart = sweep_chart(traced.sweep, chosen=traced.tree.threshold)
    return TEXTS.figure("threshold_sweep", chart, n_same=sum(same.values()), n_thresholds=len(same))


def _branch_figures(traced: TrajectoryOutput) -> list[Figure]:
    """Draw the log ratio of fates of every pair of lineages (Extended Data Fig. 2); nothing with one lineage."""
    pairs = list(combinations(traced.lineages, 2))
    if not pairs:
        return []
    shown = pairs[:MAX_PAIRS]
    frame = _places(traced).assign(pseudotime=traced.pseudotime)
    branches = []
    for first, second in shown:
        name = f"{first} / {second}"
        frame[name] = np.clip(traced.pair_ratio(first, second), -MAX_RATIO, MAX_RATIO)
        interval = _pair_interval(traced, first, second)
        branches.append({"pair": name, "branch_time": traced.pair_time(first, second), **interval})
    chart, packed = branch_view(
        frame, pairs=[f"{first} / {second}" for first, second in shown], branches=pd.DataFrame(branches)
    )
    return [
        TEXTS.figure(
            "branch_view",
            chart,
            packed=packed,
            n_cells=len(traced.cells),
            cut=MAX_RATIO,
            has_intervals=_has_intervals(traced),
            branch_time=branch_sentence(traced.tree),
            n_left_out=len(pairs) - len(shown),
        )
    ]


def _pair_interval(traced: TrajectoryOutput, first: str, second: str) -> dict[str, float]:
    """Return the interval of the branch time at which two lineages separate."""
    paths = [traced.tree.path(name) for name in (first, second)]
    common = [node for node in paths[0] if node in paths[1]]
    rows = traced.intervals[traced.intervals["node"] == common[-1]] if common else traced.intervals.iloc[:0]
    if not len(rows):
        return {"low": np.nan, "high": np.nan}
    return {"low": float(rows["low"].iloc[0]), "high": float(rows["high"].iloc[0])}


def _topic_figures(traced: TrajectoryOutput, time: Axis) -> list[Figure]:
    """Draw streams and heatmaps of the topics of each assay, then lines, scatter and swarm of all topics."""
    out = []
    for name, topics, values in (
        ("rna", "expression topics", traced.rna_topics.reset_index(drop=True)),
        ("atac", "accessibility topics", traced.atac_topics.reset_index(drop=True)),
    ):
        colors, what = topic_colors(list(values.columns)), f"proportion of {topics}"
        title = TEXTS.text("stream_topics", topics=topics)
        out.append(stream_figure(time, values, name=f"stream_topics_{name}", title=title, what=what, colors=colors))
        title = TEXTS.text("heatmap_topics", topics=topics)
        out.append(heatmap_figure(time, values, name=f"heatmap_topics_{name}", title=title, what=what))
    both = pd.concat([traced.rna_topics, traced.atac_topics], axis=1).reset_index(drop=True)
    title, what = TEXTS.text("lines_topics"), "topic proportions"
    out.append(line_figure(time, both, name="lines_topics", title=title, what="Proportion of the topic"))
    out.append(scatter_figure(time, both, name="scatter_topics", title=TEXTS.text("scatter_topics"), what=what))
    out.append(swarm_figure(time, both, name="swarm_topics", title=TEXTS.text("swarm_topics"), what=what))
    return out


def chosen_genes(traced: TrajectoryOutput) -> list[str]:
    """Return the genes to draw: those asked for, or the top gene of each expression topic."""
    rna = traced.data.mod[RNA]
    known = {str(name).upper(): str(name) for name in rna.var_names}
    if traced.params.stream_genes:
        return [known[gene.upper()] for gene in traced.params.stream_genes if gene.upper() in known]
    if TOPIC_ACTIVATIONS not in rna.varm:
        return []
    activations = np.nan_to_num(np.asarray(rna.varm[TOPIC_ACTIVATIONS], dtype=float), nan=-np.inf)
    return list(dict.fromkeys(str(rna.var_names[int(column.argmax())]) for column in activations.T))


def _gene_figures(traced: TrajectoryOutput, time: Axis) -> list[Figure]:
    """Draw lines and a heatmap of the genes chosen."""
    genes = chosen_genes(traced)
    if not genes:
        return []
    expression = gene_expression(traced.data, genes).reset_index(drop=True)
    what = "log-normalised expression"
    return [
        line_figure(time, expression, name="lines_genes", title=TEXTS.text("lines_genes"), what=what.capitalize()),
        heatmap_figure(time, expression, name="heatmap_genes", title=TEXTS.text("heatmap_genes"), what=what),
    ]


def _motif_figures(traced: TrajectoryOutput, time: Axis) -> list[Figure]:
    """Draw a heatmap of the motif scores that change most along pseudotime; nothing without motif scores."""
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
            title=TEXTS.text("heatmap_motifs", n_factors=len(chosen.columns)),
            what="motif score (standardised)",
        )
    ]


def _column_figures(traced: TrajectoryOutput, time: Axis) -> list[Figure]:
    """Draw lines of the cell annotations asked for."""
    columns = {}
    for name in traced.params.stream_columns:
        for frame in (traced.data.obs, traced.data.mod[RNA].obs):
            if name in frame:
                columns[name] = pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
                break
    if not columns:
        return []
    values = pd.DataFrame(columns).fillna(0.0)
    return [line_figure(time, values, name="lines_columns", title=TEXTS.text("lines_columns"), what="Value")]


def _linked_figure(traced: TrajectoryOutput) -> Figure:
    """Draw linked views of the cells: map, branch view, topics."""
    frame = _places(traced)
    frame["barcode"] = traced.data.obs_names.astype(str)
    frame["lineage state"] = pd.Categorical(traced.states.astype(object), categories=traced.tree.nodes["node"].tolist())
    frame["pseudotime"] = traced.pseudotime
    topics = pd.concat([traced.rna_topics, traced.atac_topics], axis=1).reset_index(drop=True)
    frame = pd.concat([frame, topics], axis=1)
    ratio = None
    if len(traced.lineages) > 1:
        first, second = traced.lineages[:2]
        frame["log_ratio"] = np.clip(traced.pair_ratio(first, second), -MAX_RATIO, MAX_RATIO)
        ratio = Channel("log_ratio", f"Log ratio of fates, {first} / {second}")
    chart, packed = linked_cells(
        frame,
        group="lineage state",
        quantities=[str(name) for name in topics.columns],
        log_ratio=ratio,
    )
    return TEXTS.figure("linked_cells", chart, packed=packed, n_cells=traced.data.n_obs)

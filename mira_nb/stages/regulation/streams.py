"""Streams of expression topics along each lineage, coloured by the NITE regulation of the topics' top genes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.charts.regulation import nite_streams
from mira_nb.charts.theme import natural_sort
from mira_nb.core.trajectory.streams import order_by_peak, smoothing_weights
from mira_nb.keys import PSEUDOTIME, RNA
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import topic_frame
from mira_nb.stages.texts import Texts

from .compute import RegulationOutput
from .score_tests import STAR_LEVEL, lineage_cells, log_score, nite_sides, star, topic_genes, topic_tests

TEXTS = Texts(__package__)

N_POINTS = 30
WINDOW = 0.15
"""Smoothing window, fraction of the lineage's pseudotime."""


def stream_frame(found: RegulationOutput) -> pd.DataFrame:
    """Return smoothed topic proportions: lineage, pseudotime, feature, value, score, label.

    ``score`` is the median of log10(1 + NITE score) of the topic's top genes.
    """
    tests = topic_tests(found)
    adjusted = dict(zip(tests["group_1"].astype(str), tests["adj_pvalue"].to_numpy(float), strict=True))
    time = found.data.obs[PSEUDOTIME].to_numpy(float)
    topics = topic_frame(found.data, RNA)
    score = log_score(found.nite_score)
    middle = {name: float(np.median(score[mask])) for name, mask in topic_genes(found).items() if mask.any()}
    frames = []
    lineages = lineage_cells(found)
    for lineage in natural_sort(lineages):
        inside = lineages[lineage]
        cells = np.flatnonzero(inside & np.isfinite(time))
        if len(cells) < N_POINTS:
            continue
        grid = np.linspace(time[cells].min(), time[cells].max(), N_POINTS)
        weights = smoothing_weights(time[cells], grid, window=WINDOW * float(np.ptp(time[cells])))
        smooth = np.maximum(weights @ topics.to_numpy()[cells], 0)
        for t, name in enumerate(topics.columns):
            if name in middle:
                frames.append(
                    pd.DataFrame(
                        {
                            "lineage": lineage, "pseudotime": grid, "feature": str(name), "value": smooth[:, t],
                            "score": middle[name], "label": f"{name}{star(adjusted.get(str(name), 1.0))}",
                        }
                    )
                )  # fmt: skip
    columns = ["lineage", "pseudotime", "feature", "value", "score", "label"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def stream_figures(found: RegulationOutput) -> list[Figure]:
    """Return the figure of the streams; empty without a trajectory."""
    if PSEUDOTIME not in found.data.obs or not lineage_cells(found):
        return []
    frame = stream_frame(found)
    if not len(frame):
        return []
    order = order_by_peak(frame[frame["lineage"] == frame["lineage"].iloc[0]])
    chart, sides = nite_streams(frame, order=order), nite_sides(topic_tests(found))
    return [TEXTS.figure("topic_nite_streams", chart, window=WINDOW, level=STAR_LEVEL, sides=sides)]

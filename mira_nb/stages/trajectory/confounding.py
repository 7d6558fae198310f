"""Lineages and pseudotime that follow the batch."""

from __future__ import annotations

import pandas as pd

from mira_nb.stages.result import Alert, Table
from mira_nb.stages.shared.confounding import confounding_table
from mira_nb.stages.texts import Texts

from .compute import TrajectoryOutput

TEXTS = Texts(__package__)


def batch_frame(traced: TrajectoryOutput) -> pd.DataFrame | None:
    """Return the variance of pseudotime and fates that the batch explains; None without a batch."""
    features = {"pseudotime": pd.DataFrame({"pseudotime": traced.pseudotime})}
    if len(traced.lineages) > 1:
        fates = traced.spread(traced.fates)
        features["lineage"] = pd.DataFrame(fates, columns=[str(name) for name in traced.lineages])
    return confounding_table(features, traced.annotations, least=traced.params.batch_variance)


def batch_tables(traced: TrajectoryOutput) -> list[Table]:
    """Return the table of :func:`batch_frame`, where there is a batch."""
    frame, groups = batch_frame(traced), traced.annotations.groups
    if frame is None or traced.annotations.batch is None:
        return []
    return [
        TEXTS.table(
            "confounding",
            frame,
            batch=traced.annotations.batch.name,
            groups=None if groups is None else groups.name,
            least=traced.params.batch_variance,
        )
    ]


def batch_alerts(traced: TrajectoryOutput) -> list[Alert]:
    """Return a warning where lineages or pseudotime follow the batch."""
    frame = batch_frame(traced)
    if frame is None or not frame["follows_batch"].any() or traced.annotations.batch is None:
        return []
    found, has_groups = frame[frame["follows_batch"]], traced.annotations.groups is not None
    return [
        TEXTS.alert(
            "follow_batch",
            features=found["name"].tolist(),
            batch=traced.annotations.batch.name,
            least=traced.params.batch_variance,
            most=float(found["beyond_groups" if has_groups else "by_batch"].max()),
            has_groups=has_groups,
        )
    ]

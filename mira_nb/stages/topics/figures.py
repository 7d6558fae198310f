"""Figures of the topic-model stages."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.stages.result import Figure
from mira_nb.stages.texts import Texts

from .compute import TopicsOutput, top_features
from .diagnostics import Diagnostics

TEXTS = Texts(__package__)

N_SHOWN = 20
MAX_POINTS = 1000
"""Features or cells in a scatter of the predictive checks at most, evenly spaced in their order."""


def figures(fitted: TopicsOutput, diagnostics: Diagnostics) -> list[Figure]:
    """Draw the model, its training, the top features, how cells use the topics, and the diagnostics."""
    return [
        _model_figure(fitted),
        *_training_figures(fitted),
        *_topic_figures(fitted),
        *_diagnostic_figures(fitted, diagnostics),
    ]


def _model_figure(fitted: TopicsOutput) -> Figure:
    from mira_nb.charts.architecture import architecture

    fit = fitted.fit
    drawing = architecture(
        fitted.modality,
        n_features=len(fitted.features),
        n_encoder=int(fit.encoder_features.sum()),
        n_topics=fit.n_topics,
        n_hidden=fit.settings.n_hidden,
    )
    return TEXTS.figure("architecture", svg=drawing)


def _training_figures(fitted: TopicsOutput) -> list[Figure]:
    from mira_nb.charts.topics import training_curves

    fit = fitted.fit
    return [
        TEXTS.figure("training", training_curves(fit.history), n_epochs=len(fit.history), n_held_out=fitted.n_held_out)
    ]


def _ceilings(fitted: TopicsOutput) -> tuple[float, float]:
    """Return the lowest and the highest activation over the topics that a feature of one topic alone can have."""
    ceiling = (1 - fitted.topics.mean()) / fitted.topics.std(ddof=0)
    return float(ceiling.min()), float(ceiling.max())


def _topic_figures(fitted: TopicsOutput) -> list[Figure]:
    from mira_nb.charts import topics as charts

    n_topics = fitted.fit.n_topics
    return [
        TEXTS.figure(
            "top_features",
            charts.top_feature_bars(top_features(fitted, n_top=N_SHOWN)),
            feature=fitted.feature,
            n_top=N_SHOWN,
            ceiling=_ceilings(fitted),
        ),
        TEXTS.figure(
            "topic_shares",
            charts.topic_shares(fitted.topics),
            n_topics=n_topics,
            n_leading=int((fitted.topics.max() > 0.5).sum()),
        ),
        TEXTS.figure(
            "effective_topics",
            charts.effective_topics(fitted.effective),
            n_topics=n_topics,
        ),
        TEXTS.figure(
            "redundancy",
            charts.redundancy_heatmap(fitted.correlation),
            n_features=len(fitted.features),
            feature=fitted.feature,
            highest=float(fitted.correlation.to_numpy()[np.triu_indices(n_topics, 1)].max()),
        ),
    ]


def _diagnostic_figures(fitted: TopicsOutput, diagnostics: Diagnostics) -> list[Figure]:
    from mira_nb.charts.diagnostics import predictive_panels, technical_heatmap

    found = diagnostics.predictive
    kind = fitted.feature
    pairs = {
        f"variance per {kind}": found.variance,
        f"fraction of zeros per {kind}": found.zeros,
        f"{kind}s detected per cell" if kind == "gene" else "open peaks per cell": found.detected,
    }
    if found.depth_sd.any():
        pairs["counts per cell"] = found.depth
    panels = {name: _thinned(values) for name, values in pairs.items()}
    chart = predictive_panels(panels, log=frozenset({f"variance per {kind}", "counts per cell"}))
    out = [
        TEXTS.figure(
            "predictive",
            chart,
            feature=kind,
            n_cells=len(found.cells),
            max_points=MAX_POINTS,
            variance=float(np.median(found.variance[:, 1] / np.maximum(found.variance[:, 0], 1e-12))),
        )
    ]
    if len(diagnostics.technical):
        strongest = diagnostics.technical.iloc[int(diagnostics.technical["spearman"].abs().fillna(0).argmax())]
        out.append(
            TEXTS.figure(
                "technical",
                technical_heatmap(diagnostics.technical),
                topic=strongest["topic"],
                column=strongest["column"],
                highest=float(strongest["spearman"]),
            )
        )
    return out


def _thinned(values: np.ndarray) -> pd.DataFrame:
    rows = np.unique(np.linspace(0, len(values) - 1, min(len(values), MAX_POINTS)).round().astype(int))
    return pd.DataFrame(values[rows], columns=["observed", "expected"])

"""Figures of the topic-model stages."""

from __future__ import annotations

import numpy as np

from mira_nb.stages.result import Figure
from mira_nb.stages.texts import Texts

from .compute import TopicsOutput, top_features

TEXTS = Texts(__package__)

N_SHOWN = 20


def figures(fitted: TopicsOutput) -> list[Figure]:
    """Draw the model, its training, the top features, and how cells use the topics."""
    return [_model_figure(fitted), *_training_figures(fitted), *_topic_figures(fitted)]


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
    from mira_nb.charts.topics import range_test_chart, training_curves

    fit = fitted.fit
    out = [
        TEXTS.figure("training", training_curves(fit.history), n_epochs=len(fit.history), n_held_out=fitted.n_held_out)
    ]
    if len(fit.range_test):
        low, high = float(fit.settings.learning_rate_min), float(fit.settings.learning_rate_max)
        chart = range_test_chart(fit.range_test, low=low, high=high)
        out.append(TEXTS.figure("range_test", chart, low=low, high=high))
    return out


def _topic_figures(fitted: TopicsOutput) -> list[Figure]:
    from mira_nb.charts import topics as charts

    n_topics = fitted.fit.n_topics
    return [
        TEXTS.figure(
            "top_features",
            charts.top_feature_bars(top_features(fitted, n_top=N_SHOWN)),
            feature=fitted.feature,
            n_top=N_SHOWN,
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
            median=float(np.median(fitted.effective)),
        ),
        TEXTS.figure(
            "redundancy",
            charts.redundancy_heatmap(fitted.correlation),
            n_features=len(fitted.features),
            feature=fitted.feature,
            highest=float(fitted.correlation.to_numpy()[np.triu_indices(n_topics, 1)].max()),
        ),
    ]

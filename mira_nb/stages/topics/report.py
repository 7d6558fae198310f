"""Tables, metrics, alerts and methods text of the topic-model stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mira_nb.core.topics.settings import (
    AUTO_EPOCHS,
    AUTO_STEPS,
    FEATURE_PSEUDOCOUNTS,
    FULL_DEPTH,
    MAX_TOPICS,
    MIN_TOPICS,
)
from mira_nb.keys import READ_DEPTH, TOPIC_ACTIVATIONS, TOPIC_FLAGS, TOPIC_MODEL, X_TOPICS
from mira_nb.stages.result import Alert, ExportFile, Metric, Slot, Table
from mira_nb.stages.texts import Texts

from .compute import N_TOP, REDUNDANT_R, UNUSED_SHARE, TopicsOutput, top_features
from .diagnostics import Diagnostics

TEXTS = Texts(__package__)

FEW_CELLS = 500
TECHNICAL_R = 0.7
"""Absolute correlation with a technical column from which a topic is named in an alert (chosen)."""


def slots(fitted: TopicsOutput) -> dict[Slot, Any]:
    """Return the values written into the MuData: topics, activations and the model's arrays."""
    modality, fit = fitted.modality, fitted.fit
    activations = np.full((fitted.modelled.size, fit.n_topics), np.nan)
    activations[fitted.modelled] = fitted.activations.to_numpy().T
    values: dict[Slot, Any] = {
        Slot(modality, "obsm", X_TOPICS): fit.topics,
        Slot(modality, "varm", TOPIC_ACTIVATIONS): activations,
        Slot(modality, "uns", TOPIC_MODEL): fit.to_arrays() | {"topic_names": np.array(fitted.names)},
    }
    if fitted.stability is not None:
        flags = np.array([fitted.flags.get(name, "") for name in fitted.names], dtype=object)
        values[Slot(modality, "uns", TOPIC_MODEL)][TOPIC_FLAGS] = flags
    if fit.read_depth is not None:
        values[Slot(modality, "obs", READ_DEPTH)] = fit.read_depth
    return values


def tables(fitted: TopicsOutput, diagnostics: Diagnostics) -> list[Table]:
    """Return the training record, the top features and the topics."""
    summary = pd.DataFrame(
        {
            "topic": fitted.names,
            "mean_proportion": fitted.topics.mean().to_numpy(),
            "max_proportion": fitted.topics.max().to_numpy(),
            "cells_above_half": (fitted.topics > 0.5).sum().to_numpy(),
            "alpha": fitted.fit.alpha,
        }
    )
    if fitted.stability is not None:
        summary = summary.join(fitted.stability)
        summary["flag"] = [fitted.flags.get(name, "") for name in fitted.names]
    return [
        TEXTS.table("training", fitted.fit.history.drop(columns="seconds"), n_held_out=fitted.n_held_out),
        TEXTS.table(
            "top_features",
            top_features(fitted),
            n_top=min(N_TOP, len(fitted.features)),
            feature=fitted.feature,
            n_features=len(fitted.features),
            n_not_modelled=fitted.n_not_modelled,
        ),
        TEXTS.table("topics", summary, tuned=fitted.stability is not None),
        TEXTS.table(
            "checks",
            diagnostics.checks(fitted.feature),
            feature=fitted.feature,
            n_cells=len(diagnostics.predictive.cells),
            n_all=len(fitted.topics),
        ),
        TEXTS.table(
            "baselines",
            diagnostics.baselines,
            n_topics=fitted.fit.n_topics,
            n_held_out=fitted.n_held_out,
            n_scored=len(diagnostics.baselines),
            sampled=diagnostics.baselines.get("n_training_cells", pd.Series(dtype=int)).nunique() > 1,
            mode=fitted.tuned.mode,
        ),
        TEXTS.table("technical", diagnostics.technical),
    ]


def files(fitted: TopicsOutput) -> list[ExportFile]:
    """Return the wall time of every epoch: tables hold no times, so that two runs with one seed are byte-equal."""
    times = fitted.fit.history[["epoch", "seconds"]].to_csv(index=False)
    return [ExportFile("timing.csv", times.encode(), TEXTS.text("timing"))]


def metrics(fitted: TopicsOutput, diagnostics: Diagnostics) -> list[Metric]:
    """Return the key figures of the fit."""
    model, profile = fitted.scored["model"], fitted.scored["profile"]
    return [
        TEXTS.metric("n_topics", fitted.fit.n_topics, modality=fitted.modality),
        TEXTS.metric("log_likelihood", round(model, 4), n_held_out=fitted.n_held_out),
        TEXTS.metric("gain", round(model - profile, 4)),
        TEXTS.metric(
            "effective_topics", round(float(np.median(fitted.effective)), 2), expected=diagnostics.expected_effective
        ),
        TEXTS.metric("seconds", round(sum(fitted.fit.seconds.values()), 1)),
    ]


def alerts(fitted: TopicsOutput, diagnostics: Diagnostics) -> list[Alert]:
    """Return warnings about cells, topics and training."""
    fit, out = fitted.fit, []
    n_cells = len(fit.topics)
    if fit.n_empty:
        out.append(TEXTS.alert("empty_cells", n_empty=fit.n_empty, n_cells=n_cells, feature=fitted.feature))
    if n_cells < FEW_CELLS:
        out.append(TEXTS.alert("few_cells", n_cells=n_cells, threshold=FEW_CELLS))
    unused = [name for name in fitted.names if fitted.topics[name].max() <= UNUSED_SHARE]
    if unused:
        out.append(TEXTS.alert("unused_topics", topics=unused, threshold=UNUSED_SHARE))
    if fitted.stability is not None:
        unstable = [name for name, n in zip(fitted.names, fitted.stability["found_in"], strict=True) if not n > 0]
        if unstable:
            out.append(TEXTS.alert("unstable_topics", topics=unstable))
    upper = np.triu(fitted.correlation.to_numpy(), 1)
    pairs = [(fitted.names[i], fitted.names[j]) for i, j in np.argwhere(upper > REDUNDANT_R)]
    if pairs:
        out.append(TEXTS.alert("redundant_topics", pairs=pairs, threshold=REDUNDANT_R))
    strong = diagnostics.technical[diagnostics.technical["spearman"].abs() >= TECHNICAL_R]
    if len(strong):
        found = [f"{row.topic} with {row.column} ({row.spearman:.2f})" for row in strong.itertuples()]
        out.append(TEXTS.alert("technical_topics", found=found, n_topics=strong["topic"].nunique()))
    scores = diagnostics.baselines
    better = scores.loc[
        scores["model_gain"].astype(float) < -2 * scores["standard_error"].astype(float), "method"
    ].tolist()
    if better:
        out.append(TEXTS.alert("baseline_better", methods=better, n_held_out=fitted.n_held_out))
    return out + _training_alerts(fitted)


def _training_alerts(fitted: TopicsOutput) -> list[Alert]:
    history, out = fitted.fit.history, []
    full = history[history["kl_weight"] >= 1]
    if len(full) >= 5:
        held_out = full["held_out_elbo"].to_numpy()
        gain = full["elbo"].iloc[-1] - full["elbo"].iloc[int(0.8 * (len(full) - 1))]
        if gain > 0.005 * abs(full["elbo"].iloc[-1]):
            out.append(TEXTS.alert("not_converged", gain=gain))
        if np.isfinite(held_out).all() and held_out[-1] < held_out.max() - 0.01 * abs(held_out.max()):
            out.append(TEXTS.alert("overfitting", best=held_out.max(), last=held_out[-1]))
    max_epochs = int(fitted.fit.settings.n_epochs)
    if len(history) < max_epochs:
        out.append(TEXTS.alert("stopped_early", n_epochs=len(history), max_epochs=max_epochs))
    gain = fitted.scored["model"] - fitted.scored["profile"]
    if gain <= 0:
        out.append(TEXTS.alert("no_gain", gain=gain))
    return out


def methods(fitted: TopicsOutput) -> str:
    """Return the methods paragraph of the fit that was made."""
    fit, settings = fitted.fit, fitted.fit.settings
    return TEXTS.methods(
        modality=fitted.modality,
        n_features=len(fitted.features),
        n_encoder=int(fit.encoder_features.sum()),
        n_hidden=settings.n_hidden,
        n_topics=fit.n_topics,
        n_topics_auto=fitted.params.settings().n_topics == "auto",
        tuned=fitted.tuned.mode,
        full_depth=FULL_DEPTH[fit.modality],
        min_topics=MIN_TOPICS,
        max_topics=MAX_TOPICS,
        initial_pseudocounts=settings.initial_pseudocounts,
        feature_pseudocounts=FEATURE_PSEUDOCOUNTS,
        dirichlet_variance=settings.dirichlet_variance,
        initialisation=settings.initialisation,
        restarts=settings.restarts,
        start_power=settings.start_power,
        warmup_epochs=settings.warmup_epochs,
        shrinkage=settings.shrinkage,
        shrinkage_power=fit.shrinkage_power,
        shrinkage_from=_power_from(fitted),
        n_epochs=len(fit.history),
        n_epochs_auto=fitted.params.settings().n_epochs == "auto" and "n_epochs" not in fitted.tuned.settings,
        auto_steps=AUTO_STEPS,
        auto_epochs=AUTO_EPOCHS,
        batch_size=settings.batch_size,
        dropout=settings.dropout,
        learning_rate_min=float(settings.learning_rate_min),
        learning_rate_max=float(settings.learning_rate_max),
        peak_at=settings.peak_at,
        kl_schedule=settings.kl_schedule,
        n_held_out=fitted.n_held_out,
        engine=settings.engine,
    )


def _power_from(fitted: TopicsOutput) -> str:
    """Return what decided the power of the shrinkage: tuning, parameter, held_out or, without held-out cells, none."""
    if "shrinkage_power" in fitted.tuned.settings:
        return "tuning"
    if fitted.params.settings().shrinkage_power != "auto":
        return "parameter"
    return "held_out" if fitted.n_held_out else "none"

"""Tables, figures, metrics, alerts and methods text of the topic-model stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mira_nb.keys import READ_DEPTH, TOPIC_ACTIVATIONS, TOPIC_MODEL, X_TOPICS
from mira_nb.stages.result import Alert, Metric, Slot, Table

from .compute import N_TOP, TopicsOutput, top_features

UNUSED_SHARE = 0.1
REDUNDANT_R = 0.9
FEW_CELLS = 500


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
    if fit.read_depth is not None:
        values[Slot(modality, "obs", READ_DEPTH)] = fit.read_depth
    return values


def tables(fitted: TopicsOutput) -> list[Table]:
    """Training curve, top features, topics."""
    where = "modelled" if fitted.n_not_modelled else "given"
    summary = pd.DataFrame(
        {
            "topic": fitted.names,
            "mean_share": fitted.topics.mean().to_numpy(),
            "max_share": fitted.topics.max().to_numpy(),
            "cells_above_half": (fitted.topics > 0.5).sum().to_numpy(),
            "alpha": fitted.fit.alpha,
        }
    )
    return [
        Table(
            "training",
            "Training record",
            "One row an epoch. loss: annealed negative ELBO a training cell; log_likelihood, kl and elbo a training "
            "cell with the draws of training; held_out_elbo a held-out cell with full KL weight (empty without "
            "held-out cells).",
            fitted.fit.history,
        ),
        Table(
            "top_features",
            f"{fitted.what.capitalize()}s of highest activation",
            f"The {N_TOP} {fitted.what}s of highest activation of each topic, of {len(fitted.features):,} {where}. "
            "Activation: weight of the topic on the feature, standardised by the feature's spread over cells.",
            top_features(fitted),
        ),
        Table(
            "topics",
            "Topics",
            "mean_share and max_share over all cells; cells_above_half: cells in which the topic makes up more than "
            "half; alpha: posterior median of the topic's Dirichlet parameter (small = sparse).",
            summary,
        ),
    ]


def metrics(fitted: TopicsOutput) -> list[Metric]:
    """Key figures of the fit."""
    kind = "Expression" if fitted.modality == "rna" else "Accessibility"
    scored = fitted.scored
    where = "held-out" if fitted.fit.held_out.any() else "all"
    return [
        Metric(f"{kind} topics", fitted.fit.n_topics, key=True, help="Number of topics of the model."),
        Metric(
            "Log-likelihood per count",
            round(scored["model"], 4),
            "nats",
            help=f"Mean log share of a count under the model, {where} cells; higher is better.",
        ),
        Metric(
            "Gain over the mean profile",
            round(scored["model"] - scored["profile"], 4),
            "nats per count",
            help="How much better the topics explain a count than one mean composition for all cells; above 0.",
        ),
        Metric(
            "Effective topics in a cell",
            round(float(np.median(fitted.effective)), 2),
            help="Median over cells of exp(entropy of the composition).",
        ),
        Metric("Fitting time", round(sum(fitted.fit.seconds.values()), 1), "s"),
    ]


def alerts(fitted: TopicsOutput) -> list[Alert]:
    """List findings about the fit that the reader must see."""
    fit, out = fitted.fit, []
    n_cells = len(fit.topics)
    if fit.n_empty:
        out.append(
            Alert(
                "warning",
                f"{fit.n_empty:,} of {n_cells:,} cells have no count in the modelled {fitted.what}s",
                "Their composition cannot be known; they were left out of training and carry the mean composition.",
                "Filter such cells before the analysis.",
            )
        )
    if n_cells < FEW_CELLS:
        out.append(
            Alert(
                "warning",
                f"Only {n_cells:,} cells",
                "Topic models need many cells to tell topics from noise.",
                "Read topics as tentative; ask for few topics.",
            )
        )
    unused = [name for name in fitted.names if fitted.topics[name].max() < UNUSED_SHARE]
    if unused:
        out.append(
            Alert(
                "warning",
                f"Topics hardly used: {', '.join(unused)}",
                f"No cell has more than {UNUSED_SHARE:.0%} of them.",
                "Lower n_topics.",
            )
        )
    upper = np.triu(fitted.correlation.to_numpy(), 1)
    pairs = [f"{fitted.names[i]} and {fitted.names[j]}" for i, j in np.argwhere(upper > REDUNDANT_R)]
    if pairs:
        out.append(
            Alert(
                "warning",
                f"Topics that say the same: {', '.join(pairs[:5])}{' ...' if len(pairs) > 5 else ''}",
                f"Their activations correlate above {REDUNDANT_R}.",
                "Lower n_topics.",
            )
        )
    return out + _training_alerts(fitted)


def _training_alerts(fitted: TopicsOutput) -> list[Alert]:
    history, out = fitted.fit.history, []
    full = history[history["kl_weight"] >= 1]
    if len(full) >= 5:
        held_out = full["held_out_elbo"].to_numpy()
        gain = full["elbo"].iloc[-1] - full["elbo"].iloc[int(0.8 * (len(full) - 1))]
        if gain > 0.005 * abs(full["elbo"].iloc[-1]):
            out.append(
                Alert(
                    "warning",
                    "Training had not levelled off",
                    f"The ELBO still rose by {gain:.1f} nats a cell in the last fifth of the epochs.",
                    "Raise n_epochs.",
                )
            )
        if np.isfinite(held_out).all() and held_out[-1] < held_out.max() - 0.01 * abs(held_out.max()):
            out.append(
                Alert(
                    "warning",
                    "The held-out ELBO fell during training",
                    f"From {held_out.max():.1f} at its best to {held_out[-1]:.1f} nats a cell: the model overfits.",
                    "Lower n_epochs, raise dropout, or set early_stopping.",
                )
            )
    if len(history) < fitted.fit.settings.n_epochs:
        out.append(
            Alert("info", f"Training stopped early after {len(history)} of {fitted.fit.settings.n_epochs} epochs",
                  "The held-out ELBO no longer rose.")
        )  # fmt: skip
    if fitted.scored["model"] <= fitted.scored["profile"]:
        out.append(
            Alert(
                "error",
                "The topics explain the counts no better than one mean profile",
                "Too few counts or cells, or training failed.",
                "Look at the training curve; check the input; try another seed.",
            )
        )
    return out

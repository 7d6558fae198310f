"""Tables, figures, metrics, alerts and methods text of the topic-model stages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mira_nb.keys import ATAC_TOPIC_PREFIX, RNA_TOPIC_PREFIX

from .base import Alert, Figure, Metric, Table

if TYPE_CHECKING:
    from mira_nb.core.topics.fit import TopicFit

    from ._topics import TopicsParams

N_TOP = 200
UNUSED_SHARE = 0.1
REDUNDANT_R = 0.9
FEW_CELLS = 500


@dataclass(frozen=True)
class Fitted:
    """A fit with the names of its parts."""

    modality: str
    fit: TopicFit
    counts: Any
    features: pd.Index
    n_not_modelled: int
    params: TopicsParams

    @cached_property
    def names(self) -> list[str]:
        """Names of the topics, by decreasing mean share."""
        prefix = RNA_TOPIC_PREFIX if self.modality == "rna" else ATAC_TOPIC_PREFIX
        return [f"{prefix}{t + 1}" for t in range(self.fit.n_topics)]

    @cached_property
    def topics(self) -> pd.DataFrame:
        """Share of each topic in each cell."""
        return pd.DataFrame(self.fit.topics, columns=self.names)

    @cached_property
    def activations(self) -> pd.DataFrame:
        """Activations psi, topics x modelled features."""
        return pd.DataFrame(self.fit.decoder.activations(), index=self.names, columns=self.features)

    @cached_property
    def correlation(self) -> pd.DataFrame:
        """Pearson correlation of activations between topics."""
        return self.activations.T.corr()

    @cached_property
    def effective(self) -> np.ndarray:
        """Effective number of topics of each cell, exp(entropy)."""
        share = np.maximum(self.fit.topics, 1e-12)
        return np.exp(-(share * np.log(share)).sum(1))

    @property
    def what(self) -> str:
        """What is counted."""
        return "gene" if self.modality == "rna" else "peak"

    @cached_property
    def scored(self) -> dict[str, float]:
        """Mean log share of a count under the model and under the mean profile of the training cells."""
        cells = self.fit.held_out if self.fit.held_out.any() else np.ones(len(self.fit.topics), bool)
        training = ~self.fit.held_out
        profile = np.asarray(self.counts[np.flatnonzero(training)].sum(0), float).ravel() + 0.5
        profile /= profile.sum()
        part = self.counts[np.flatnonzero(cells)]
        total = np.asarray(part.sum(0), float).ravel()
        return {
            "model": self.fit.log_likelihood_per_count(part, self.fit.topics[cells]),
            "profile": float(total @ np.log(profile) / max(total.sum(), 1)),
        }


def top_features(fitted: Fitted, *, n_top: int = N_TOP) -> pd.DataFrame:
    """Return the features of highest activation: topic, feature, activation, rank (ties in the given order)."""
    parts = []
    for name in fitted.names:
        values = fitted.activations.loc[name].to_numpy()
        order = np.argsort(-values, kind="stable")[:n_top]
        parts.append(
            pd.DataFrame(
                {
                    "topic": name,
                    "feature": fitted.features[order],
                    "activation": values[order],
                    "rank": np.arange(1, len(order) + 1),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def tables(fitted: Fitted) -> list[Table]:
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


def figures(fitted: Fitted) -> list[Figure]:
    """Model, training, range test, shares, sparsity, redundancy, top features."""
    from mira_nb.charts import topics as charts

    fit = fitted.fit
    n_out = int(fit.held_out.sum())
    held = (
        f"Orange: {n_out:,} cells kept out of training. Both curves should rise and level off; a held-out curve that "
        "falls while the training curve rises means overfitting: train for fewer epochs or raise dropout."
        if n_out
        else "No cells were kept out of training."
    )
    out = [
        _model_figure(fitted),
        Figure(
            "training",
            "Training",
            "Evidence lower bound (ELBO) a cell after each epoch, higher is better. While the weight of the KL term "
            f"rises (below, right) the curve may move down. {held}",
            chart=charts.training_curves(fit.history),
        ),
    ]
    if len(fit.range_test):
        low, high = float(fit.settings.learning_rate_min), float(fit.settings.learning_rate_max)
        out.append(
            Figure(
                "range_test",
                "Learning-rate range test",
                "Loss while the learning rate rises from step to step, before training, against what the mean profile "
                "gives the same cells. The dashed lines are the rates "
                f"taken for the start ({low:.1e}) and the peak ({high:.1e}) of the schedule; the peak should lie where "
                "the loss still falls or is flat, left of where it climbs.",
                chart=charts.range_test_chart(fit.range_test, low=low, high=high),
            )
        )
    out += [
        Figure(
            "top_features",
            f"Top {fitted.what}s of a topic",
            f"The 20 {fitted.what}s of highest activation of the topic chosen in the menu.",
            chart=charts.top_feature_bars(top_features(fitted, n_top=20)),
        ),
        Figure(
            "topic_shares",
            "Use of the topics",
            "Number of cells (colour, logarithmic) by share of each topic, and the topic's mean share. A topic that "
            "marks a cell state has cells at both ends; one that never exceeds a few percent is hardly used.",
            chart=charts.topic_shares(fitted.topics),
        ),
        Figure(
            "effective_topics",
            "Sparsity of the cells",
            "Effective number of topics of each cell: exp(entropy) of its composition, 1 = a single topic, "
            f"{fit.n_topics} = all equally. Well-separated states lie at the left.",
            chart=charts.effective_topics(fitted.effective),
        ),
        Figure(
            "redundancy",
            "Similarity of the topics",
            f"Pearson correlation of activations over {len(fitted.features):,} {fitted.what}s between topics. Off the "
            "diagonal, values near 1 mark topics that describe the same programme: ask for fewer topics then.",
            chart=charts.redundancy_heatmap(fitted.correlation),
        ),
    ]
    return out


def _model_figure(fitted: Fitted) -> Figure:
    from mira_nb.charts.architecture import architecture

    fit = fitted.fit
    chart = architecture(
        "rna" if fitted.modality == "rna" else "atac",
        n_features=len(fitted.features),
        n_encoder=int(fit.encoder_features.sum()),
        n_topics=fit.n_topics,
        n_hidden=fit.settings.n_hidden,
    )
    return Figure(
        "architecture",
        "The model",
        "The encoder (upper row) reads a cell's counts and gives the posterior of its topics; the decoder (lower row) "
        "turns topics into a composition over all features, from which the counts are drawn. Both are trained "
        "together; the prior keeps topics sparse. The numbers are those of this fit.",
        chart=chart,
        alt="Diagram of the topic model: encoder, topics, decoder and priors",
    )


def metrics(fitted: Fitted) -> list[Metric]:
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


def alerts(fitted: Fitted) -> list[Alert]:
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


def _training_alerts(fitted: Fitted) -> list[Alert]:
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
    if len(history) < fitted.params.n_epochs:
        out.append(
            Alert("info", f"Training stopped early after {len(history)} of {fitted.params.n_epochs} epochs",
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


def methods(fitted: Fitted) -> str:
    """Sentences for the methods section."""
    from ._topics_methods import methods_text

    return methods_text(fitted)

"""Fit of a topic model to one modality of a MuData, and the results derived from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mira_nb.errors import InputError
from mira_nb.keys import ATAC_TOPIC_PREFIX, ENCODER, MODELLED, RNA_TOPIC_PREFIX, TUNING
from mira_nb.stages.base import Context
from mira_nb.stages.texts import Texts

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.core.topics.fit import TopicFit
    from mira_nb.core.topics.settings import TopicSettings

    from .params import TopicsParams

TEXTS = Texts(__package__)


N_TOP = 200
UNUSED_SHARE = 0.1
"""Largest proportion in any cell up to which a topic counts as unused (chosen)."""
REDUNDANT_R = 0.9
"""Correlation of activations above which two topics count as duplicates (chosen)."""
LEAST_MATCH = 0.5


@dataclass(frozen=True)
class Tuned:
    """What a tuning chose for the model.

    Attributes
    ----------
    mode
        How it was chosen, '' without a tuning.
    settings
        Settings taken from it, by name.
    reference
        ``cells`` (positions), ``topics`` (cells x K), ``stability`` and ``found_in`` (K) of its stability check; empty
        without.
    baselines
        Held-out likelihood of the fit of the tuning, on cells it was not fitted to, and of simpler models; empty
        without.
    """

    mode: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    reference: Mapping[str, np.ndarray] = field(default_factory=dict)
    baselines: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class TopicsOutput:
    """A fitted topic model with the names of its topics and features.

    Attributes
    ----------
    modality
        Modality of the MuData that was modelled.
    fit
        The fitted model, its topics of the cells and its training record.
    counts
        Sparse counts of the modelled features, cells x modelled features.
    features
        Names of the modelled features.
    modelled
        True for the modelled features among all features of the modality.
    params
        Parameters of the stage.
    tuned
        What a tuning chose.
    """

    modality: Literal["rna", "atac"]
    fit: TopicFit
    counts: Any
    features: pd.Index
    modelled: np.ndarray
    params: TopicsParams
    tuned: Tuned = field(default_factory=Tuned)

    @property
    def n_not_modelled(self) -> int:
        """Number of features of the data that the model leaves out."""
        return int(self.modelled.size - self.modelled.sum())

    @property
    def used(self) -> dict[str, int | float | str]:
        """What ``auto`` became: number of topics, epochs, learning rates, warm-up, engine and device in use."""
        settings = self.fit.settings
        return {
            **self.tuned.settings,
            "n_topics": self.fit.n_topics,
            "learning_rate_min": float(settings.learning_rate_min),
            "learning_rate_max": float(settings.learning_rate_max),
            "n_epochs": int(settings.n_epochs),
            "warmup_epochs": int(settings.warmup_epochs),
            "start_power": float(settings.start_power),
            "engine": settings.engine,
            "device": settings.device,
        }

    @cached_property
    def names(self) -> list[str]:
        """Names of the topics, by decreasing mean proportion."""
        prefix = RNA_TOPIC_PREFIX if self.modality == "rna" else ATAC_TOPIC_PREFIX
        return [f"{prefix}{t + 1}" for t in range(self.fit.n_topics)]

    @cached_property
    def topics(self) -> pd.DataFrame:
        """Proportion of each topic in each cell, cells x topics; rows sum to one."""
        return pd.DataFrame(self.fit.topics, columns=self.names)

    @cached_property
    def activations(self) -> pd.DataFrame:
        """Activations psi, topics x modelled features."""
        return pd.DataFrame(self.fit.decoder.activations(), index=self.names, columns=self.features)

    @cached_property
    def correlation(self) -> pd.DataFrame:
        """Pearson correlation of activations between topics, topics x topics."""
        return self.activations.T.corr()

    @cached_property
    def effective(self) -> np.ndarray:
        """Effective number of topics per cell, exp(entropy) of its composition, (cells,)."""
        share = np.maximum(self.fit.topics, 1e-12)
        return np.exp(-(share * np.log(share)).sum(1))

    @property
    def feature(self) -> Literal["gene", "peak"]:
        """Kind of feature that is counted."""
        return "gene" if self.modality == "rna" else "peak"

    @cached_property
    def stability(self) -> pd.DataFrame | None:
        """Stability of each topic by that of its match in the tuning: stability, found_in, matched_r; None without.

        A topic without a match among the tuning's topics (correlation below 0.5 over its cells) has no values.
        """
        known = self.tuned.reference
        if not known:
            return None
        from mira_nb.core.tuning.stability import match

        columns, found = match(self.fit.topics[known["cells"]], known["topics"])
        frame = pd.DataFrame({"stability": known["stability"][columns], "found_in": known["found_in"][columns]})
        return frame.astype(float).where(pd.Series(found >= LEAST_MATCH), np.nan).assign(matched_r=found)

    @cached_property
    def flags(self) -> dict[str, str]:
        """Flags ``one seed only``, ``duplicate``, ``dead`` (joined by ``, ``) by topic; empty without a tuning.

        The first comes from the refits of the tuning, the others from the topics and activations of this fit.
        """
        if self.stability is None:
            return {}
        off = self.correlation.to_numpy() - 2 * np.eye(self.fit.n_topics)
        held = {
            "one seed only": ~(self.stability["found_in"].to_numpy(float) > 0),
            "duplicate": (off > REDUNDANT_R).any(1),
            "dead": self.fit.topics.max(0) <= UNUSED_SHARE,
        }
        found = {name: [flag for flag, on in held.items() if on[t]] for t, name in enumerate(self.names)}
        return {name: ", ".join(flags) for name, flags in found.items() if flags}

    @property
    def n_held_out(self) -> int:
        """Number of cells held out of training."""
        return int(self.fit.held_out.sum())

    @cached_property
    def scored(self) -> dict[str, float]:
        """Mean log probability per count, in nats, under the model and under the mean profile of the training cells."""
        from mira_nb.core.topics.data import column_totals

        every = np.arange(len(self.fit.topics))
        cells = np.flatnonzero(self.fit.held_out) if self.fit.held_out.any() else every
        profile = column_totals(self.counts, every[~self.fit.held_out]) + 0.5
        profile /= profile.sum()
        total = column_totals(self.counts, cells)
        part = self.counts if len(cells) == len(every) else self.counts[cells]
        return {
            "model": self.fit.log_likelihood_per_count(part, self.fit.topics[cells]),
            "profile": float(total @ np.log(profile) / max(total.sum(), 1)),
        }


def top_features(fitted: TopicsOutput, *, n_top: int = N_TOP) -> pd.DataFrame:
    """Return the top features per topic: topic, feature, activation, rank (ties in the order of the features)."""
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


def compute(data: MuData, params: TopicsParams, context: Context, modality: Literal["rna", "atac"]) -> TopicsOutput:
    """Fit the topic model of one modality.

    Raises
    ------
    InputError
        When no feature of the modality is modelled.
    """
    from mira_nb.core.topics.fit import fit_topic_model

    settings, tuned = tuned_settings(data, params, modality)
    part = data.mod[modality]
    modelled = _mask(data, modality, MODELLED)
    encoder = _mask(data, modality, ENCODER)[modelled]
    if not modelled.any():
        raise TEXTS.error(InputError, "nothing_modelled", modality=modality)
    counts = part.X if modelled.all() else part.X[:, np.flatnonzero(modelled)]
    fit = fit_topic_model(
        counts,
        modality="expression" if modality == "rna" else "accessibility",
        settings=settings,
        encoder_features=encoder,
        seed=context.seed,
        n_threads=context.n_threads,
        progress=lambda fraction, message: context.progress(0.95 * fraction, message),
    )
    return TopicsOutput(modality, fit, counts, part.var_names[modelled], modelled, params, tuned)


def tuned_settings(data: MuData, params: TopicsParams, modality: Literal["rna", "atac"]) -> tuple[TopicSettings, Tuned]:
    """Return the settings of the fit: where ``n_topics`` is ``auto`` and a tuning was made, with its choice.

    Settings that differ from their defaults stay as the user gave them.
    """
    settings = params.settings()
    stored = data.mod[modality].uns.get(TUNING)
    if settings.n_topics != "auto" or stored is None:
        return settings, Tuned()
    defaults = type(params)().model_dump()
    chosen = json.loads(str(stored["settings"]))
    taken = {name: value for name, value in chosen.items() if getattr(settings, name) == defaults.get(name)}
    taken["n_topics"] = int(stored["n_topics"])
    reference = {
        name: np.asarray(stored[name]) for name in ("cells", "topics", "stability", "found_in") if name in stored
    }
    baselines = pd.DataFrame(json.loads(str(stored.get("baselines", "{}"))))
    return replace(settings, **taken), Tuned(str(stored["mode"]), taken, reference, baselines)


def _mask(data: MuData, modality: str, column: str) -> np.ndarray:
    part = data.mod[modality]
    if column not in part.var:
        return np.ones(part.n_vars, bool)
    return np.asarray(part.var[column], bool)

"""The phases of a fit: split, factorisation, warm-up, training, prediction.

All before training is done by the compiled engine on the CPU, so that both engines start from the same parameters and
learning rates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.numerics.threads import Workers, library_threads
from mira_nb.typing import Progress

from .compiled import CompiledEngine
from .data import CellData, column_totals, n_batches, pooled_shares
from .fitted import TopicFit
from .network import Network
from .network_store import decoder_of, encoder_weights, order_topics
from .nmf import Factorisation
from .settings import AUTO_EPOCHS, AUTO_STEPS, Auto, Modality, TopicSettings, learning_rates
from .shrinkage import held_out_power, shrinkage_factors
from .train import Engine, Trainer, posterior_means
from .warmstart import (
    WARM_STEPS,
    WarmUp,
    factorise,
    sharpened,
    start_from_factorisation,
    start_from_moments,
    warm_up,
)

MIN_HELD_OUT = 10
"""Held-out cells below which none is kept out: their ELBO would say nothing (chosen)."""


class Fitting:
    """One fit; see :func:`mira_nb.core.topics.fit.fit_topic_model` for the arguments."""

    def __init__(
        self, counts: sparse.csr_matrix, filled: NDArray[np.intp], modality: Modality, encoder: NDArray[np.bool_],
        settings: TopicSettings, seed: int, n_threads: int, progress: Progress | None,
    ) -> None:  # fmt: skip
        self.n_all = int(counts.shape[0])
        self.filled = filled
        self.modality: Modality = modality
        self.encoder = encoder
        self.settings = settings
        self.seed = seed
        self.n_threads = n_threads
        self._progress = progress or (lambda fraction, message: None)
        self._span = (0.0, 1.0)
        self.seconds: dict[str, float] = {}
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(int(self.rng.integers(2**62)))
        kept = counts if len(filled) == self.n_all else counts[filled]
        self.training, self.held_out = self._split(len(filled))
        self.shares = pooled_shares(kept, self.training)
        self.data = CellData(kept, modality, encoder, self.shares)

    def _split(self, n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        n_out = round(self.settings.holdout_fraction * n)
        if n_out < MIN_HELD_OUT:
            return np.arange(n), np.arange(0)
        order = self.rng.permutation(n)
        return np.sort(order[n_out:]), np.sort(order[:n_out])

    @contextmanager
    def _phase(self, name: str, first: float, last: float) -> Iterator[None]:
        started = time.monotonic()
        self._span = (first, last)
        self.report(0.0, name)
        yield
        self.seconds[name] = time.monotonic() - started

    def report(self, fraction: float, message: str) -> None:
        """Report progress within the current phase."""
        first, last = self._span
        self._progress(first + (last - first) * fraction, message)

    def _say(self, message: str) -> Callable[[float], None]:
        return lambda fraction: self.report(fraction, message)

    def run(self, start: Factorisation | None = None) -> TopicFit:
        """Run all phases in order, from a factorisation of the training cells where one is given."""
        n_training = len(self.training)
        shorten = self.settings.n_epochs == "auto"
        s = self.settings = _resolved(self.settings, n_training)
        with Workers(self.n_threads) as workers, library_threads(1):
            network = Network(
                self.modality, self.data.counts.shape[1], int(self.encoder.sum()), int(s.n_topics), s, self.generator
            )
            start_from_moments(network, self.data, self.training)
            trainer = Trainer(self.data, s, self.training, self.held_out, workers, self.rng)

            def compiled() -> CompiledEngine:
                return CompiledEngine(network, s, n_training, workers, self.generator)

            low, high = learning_rates(s, self.modality)
            if s.initialisation == "nmf":
                self._warm_start(compiled(), workers, start)
            engine: Engine
            if s.engine == "pyro":
                from .svi import PyroEngine

                engine = PyroEngine(network.to(torch.device(s.device)), s, n_training, self.generator)
            else:
                engine = compiled()
            with self._phase("training", 0.25, 0.97), engine.session():
                history = trainer.run(
                    engine, low, high, self.report, seed=int(self.rng.integers(2**62)), shorten=shorten
                )
            if shorten:
                self.settings = replace(self.settings, n_epochs=len(history))
            with self._phase("prediction", 0.97, 1.0):
                network.to("cpu")
                return self._result(network, workers, history, replace(
                    self.settings, learning_rate_min=low, learning_rate_max=high))  # fmt: skip

    def _warm_start(self, engine: CompiledEngine, workers: Workers, start: Factorisation | None) -> None:
        s, network = self.settings, engine.network
        with self._phase("factorisation", 0.0, 0.18):
            found = start or factorise(
                self.data, self.training, int(s.n_topics), s.restarts, self.rng, workers,
                self._say("factorising the counts for a start"), pseudocounts=s.initial_pseudocounts,
            )  # fmt: skip
            found = sharpened(found, float(s.start_power))
            start_from_factorisation(
                network, found, self.data, self.training, self.encoder, self.rng, shrink=s.shrinkage != "none"
            )
        with self._phase("warm-up", 0.18, 0.25):
            how = WarmUp(int(s.warmup_epochs), s.batch_size, self.rng, self.generator)
            warm_up(engine, found, self.data, self.training, how, self._say("warming up the encoder"))

    def _shrink(self, network: Network, topics: NDArray[np.float64]) -> float:
        """Scale every feature's contrasts by what its counts support; returns the power that was taken."""
        decoder = decoder_of(network)
        totals = column_totals(self.data.counts, self.training)
        factors = shrinkage_factors(
            totals, decoder.affine()[0], topics[self.training], self.data.depth[self.training], decoder.dispersion
        )
        given = self.settings.shrinkage_power
        if given == "auto":
            power = held_out_power(factors, decoder, self.data.counts[self.held_out], topics[self.held_out])
        else:
            power = float(given)
        with torch.no_grad():
            network.gamma.mul_(torch.from_numpy(factors**power))
        return power

    def _result(
        self, network: Network, workers: Workers, history: list[dict[str, Any]], settings: TopicSettings,
    ) -> TopicFit:  # fmt: skip
        found, found_depth = posterior_means(network, self.data, workers, progress=self._say("predicting topics"))
        power = self._shrink(network, found) if settings.shrinkage == "empirical_bayes" else 0.0
        order = np.argsort(-found.mean(0), kind="stable")
        order_topics(network, order)
        found = found[:, order]
        topics = np.repeat(found.mean(0)[None], self.n_all, 0)
        topics[self.filled] = found
        topics /= topics.sum(1, keepdims=True)
        depth = None
        if found_depth is not None:
            depth = np.zeros(self.n_all)
            depth[self.filled] = found_depth
        held_out = np.zeros(self.n_all, bool)
        held_out[self.filled[self.held_out]] = True
        return TopicFit(
            modality=self.modality,
            topics=topics,
            decoder=decoder_of(network),
            read_depth=depth,
            history=pd.DataFrame(history),
            settings=settings,
            encoder_features=self.encoder,
            shares=self.shares,
            alpha=network.alpha_loc.detach().double().exp().numpy(),
            weights=encoder_weights(network),
            shrinkage_power=power,
            held_out=held_out,
            n_empty=self.n_all - len(self.filled),
            seconds=dict(self.seconds),
        )


def _resolved(settings: TopicSettings, n_training: int) -> TopicSettings:
    """Return the settings with ``auto`` replaced where device, engine and epochs of the warm-up are concerned."""
    device = settings.device
    if device == "auto":
        device = "cuda" if settings.engine != "compiled" and torch.cuda.is_available() else "cpu"
    engine = settings.engine
    if engine == "auto":
        engine = "compiled" if device == "cpu" else "pyro"
    per_epoch = n_batches(n_training, settings.batch_size)
    n_epochs = settings.n_epochs
    if n_epochs == "auto":
        n_epochs = min(max(AUTO_STEPS // per_epoch, AUTO_EPOCHS[0]), AUTO_EPOCHS[1])
    warm: int | Auto = settings.warmup_epochs
    if settings.initialisation == "random":
        warm = 0
    elif warm == "auto":
        warm = -(-WARM_STEPS // per_epoch)
    power = 1.0 if settings.start_power == "auto" else settings.start_power
    return replace(settings, device=device, engine=engine, n_epochs=n_epochs, warmup_epochs=warm, start_power=power)

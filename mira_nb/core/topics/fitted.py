"""A fitted topic model: topics, decoder, prediction of new cells, storage."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.errors import InputError

from .data import CellData, check_counts
from .decoder import Decoder, log_share_per_count
from .settings import Modality, TopicSettings

FORMAT = 1


@dataclass(frozen=True)
class TopicFit:
    """A fitted topic model.

    Attributes
    ----------
    modality
        ``"expression"`` or ``"accessibility"``.
    topics
        (cells, K) composition softmax(mu) of every cell given, rows sum to 1; topics by decreasing mean proportion.
    decoder
        Topics to composition over the modelled features.
    read_depth
        exp of the posterior mean of log n, (cells,), expression only.
    history
        One row per epoch: epoch, loss, log_likelihood, kl, elbo, held_out_elbo (all per cell), kl_weight,
        learning_rate, seconds.
    settings
        Settings used, with every "auto" replaced by its value.
    encoder_features
        (features,) mask of features that the encoder reads.
    shares
        (features,) pooled fractions of the training cells, which deviance residuals refer to.
    alpha
        (K,) posterior median of the Dirichlet's parameters.
    weights
        Encoder weights by name.
    held_out
        (cells,) mask of cells kept out of training.
    n_empty
        Cells without any count in the modelled features; they were left out of training and are given the mean
        composition.
    shrinkage_power
        Power of the empirical-Bayes factors under which held-out cells were most likely (0: contrasts as trained).
    seconds
        Seconds of each phase.
    """

    modality: Modality
    topics: NDArray[np.float64]
    decoder: Decoder
    read_depth: NDArray[np.float64] | None
    history: pd.DataFrame
    settings: TopicSettings
    encoder_features: NDArray[np.bool_]
    shares: NDArray[np.float64]
    alpha: NDArray[np.float64]
    weights: Mapping[str, NDArray[Any]]
    held_out: NDArray[np.bool_]
    n_empty: int
    shrinkage_power: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def n_topics(self) -> int:
        """Number of topics K."""
        return self.decoder.n_topics

    def encode(
        self, counts: Any, *, missing: NDArray[np.bool_] | None = None, n_threads: int = 1
    ) -> NDArray[np.float64]:
        """Return topics (cells, K) of new cells with counts over the same features, see :meth:`predict`."""
        return self.predict(counts, missing=missing, n_threads=n_threads)[0]

    def predict(
        self, counts: Any, *, missing: NDArray[np.bool_] | None = None, n_threads: int = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Predict topics (cells, K) of cells over the same features, and for expression read depths (cells,).

        Parameters
        ----------
        counts
            (cells, features) raw counts.
        missing
            (features,) which were not measured; their columns hold no counts. Genes that are missing have a residual
            of zero, as if they were seen as often as in the training cells on average, and read depths are those
            expected over all genes. Missing peaks count as closed: the encoder averages over open peaks only.
        n_threads
            Number of threads.

        Raises
        ------
        InputError
            If the number of features differs or the counts are not counts.
        """
        from mira_nb.core.numerics.threads import Workers, library_threads

        from .network_store import network_of
        from .train import posterior_means

        matrix = check_counts(counts, self.modality)
        if matrix.shape[1] != self.decoder.n_features:
            raise InputError(
                f"the cells have {matrix.shape[1]} features", expected=f"the model's {self.decoder.n_features}"
            )
        filled = np.flatnonzero(np.diff(matrix.indptr))
        topics = np.repeat(self.topics.mean(0)[None], matrix.shape[0], 0)
        depth = np.zeros(matrix.shape[0]) if self.modality == "expression" else None
        if len(filled):
            shares, measured = _over_measured(self.shares, missing)
            data = CellData(matrix[filled], self.modality, self.encoder_features, shares)
            data.depth = data.depth / measured  # the encoder was trained on depths over all genes
            with Workers(n_threads) as workers, library_threads(1):
                network = network_of(
                    self.weights, self.modality, self.decoder.n_features, self.encoder_features, self.settings,
                    n_topics=self.n_topics,
                )  # fmt: skip
                topics[filled], found = posterior_means(network, data, workers)
            if depth is not None and found is not None:
                depth[filled] = found
        return topics, depth

    def log_likelihood_per_count(self, counts: Any, topics: NDArray[np.floating] | None = None) -> float:
        """Return the mean log-probability per count; ``topics`` are encoded from the counts when not given."""
        matrix = check_counts(counts, self.modality)
        shares = self.encode(matrix) if topics is None else np.asarray(topics, np.float64)
        return log_share_per_count(matrix, self.decoder, shares)

    def to_arrays(self) -> dict[str, Any]:
        """Return all that prediction needs as plain arrays and strings (for ``uns``)."""
        out = self.decoder.to_arrays()
        out |= {f"weight:{name}": value for name, value in self.weights.items()}
        out |= {
            "alpha": self.alpha,
            "encoder_features": self.encoder_features,
            "shares": self.shares,
            "mean_topics": self.topics.mean(0),
            "settings": json.dumps({"format": FORMAT, "modality": self.modality, **self.settings.to_dict()}),
        }
        return out

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], *, topics: NDArray[np.floating] | None = None) -> TopicFit:
        """Build a model from :meth:`to_arrays`, with the ``topics`` of the fitted cells when stored elsewhere.

        Without them :attr:`topics` holds one row, the mean composition. The history is empty.
        """
        stored = json.loads(str(arrays["settings"]))
        if stored.get("format") != FORMAT:
            raise InputError(f"the stored topic model has format {stored.get('format')}", expected=f"format {FORMAT}")
        known = np.asarray(arrays["mean_topics"])[None] if topics is None else np.asarray(topics)
        prefix = "weight:"
        return cls(
            modality=stored["modality"],
            topics=np.asarray(known, np.float64),
            decoder=Decoder.from_arrays(dict(arrays)),
            read_depth=None,
            history=pd.DataFrame(),
            settings=TopicSettings.from_dict(stored),
            encoder_features=np.asarray(arrays["encoder_features"], bool),
            shares=np.asarray(arrays["shares"]),
            alpha=np.asarray(arrays["alpha"]),
            weights={k.removeprefix(prefix): np.asarray(v) for k, v in arrays.items() if k.startswith(prefix)},
            held_out=np.zeros(len(known), bool),
            n_empty=0,
        )

    def save(self, path: str | Path) -> None:
        """Write the model as a compressed ``.npz`` of plain arrays (no pickled code)."""
        arrays = self.to_arrays()
        arrays["settings"] = np.frombuffer(arrays["settings"].encode(), np.uint8)
        arrays["topics"] = self.topics
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        Path(path).write_bytes(buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> TopicFit:
        """Read a model written by :meth:`save`; refuses pickled content."""
        with np.load(Path(path), allow_pickle=False) as stored:
            arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
        arrays["settings"] = arrays["settings"].tobytes().decode()
        return cls.from_arrays(arrays, topics=arrays.pop("topics"))


def _over_measured(
    shares: NDArray[np.float64] | None, missing: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float64] | None, float]:
    """Return pooled fractions over the measured genes (zero for the others), and the fraction of counts they hold."""
    if shares is None or missing is None or not missing.any():
        return shares, 1.0
    measured = np.where(missing, 0.0, shares)
    fraction = float(measured.sum() / shares.sum())
    return measured / fraction, fraction

"""The linear decoder of a fitted topic model: topics -> composition over features.

    rho_i = softmax( gamma * (Z_i beta - mu_bn) / sigma_bn + b )            (Extended Methods, Model architecture)
    psi_tj = sign(gamma_j) (beta_tj - mu_bn_j) / sigma_bn_j                 (Topic Analysis)

It is plain numpy, so that every later stage can use a stored model without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.typing import Floats

_CELLS = 2048
"""Cells whose logits are held together."""
_ROWS = 512
"""Cells whose counts are converted together."""


@dataclass(frozen=True)
class Decoder:
    """Parameters of the decoder over F modelled features and K topics.

    Attributes
    ----------
    beta
        (K, F) topic-feature weights.
    bn_mean, bn_var
        (F,) running batch-normalisation statistics.
    gamma, bias
        (F,) scale and shift of each feature.
    dispersion
        (F,) negative-binomial dispersion theta (expression only).
    eps
        Added to the variance before the square root.
    """

    beta: Floats
    bn_mean: Floats
    bn_var: Floats
    gamma: Floats
    bias: Floats
    dispersion: Floats | None = None
    eps: float = 1e-5

    @property
    def n_topics(self) -> int:
        """Number of topics K."""
        return int(self.beta.shape[0])

    @property
    def n_features(self) -> int:
        """Number of modelled features F."""
        return int(self.beta.shape[1])

    def activations(self) -> Floats:
        """Return topic activations psi, (K, F)."""
        return np.sign(self.gamma) * (self.beta - self.bn_mean) / np.sqrt(self.bn_var + self.eps)

    def affine(self) -> tuple[Floats, Floats]:
        """Return weights W (K, F) and offset c (F,) with logits = Z W + c (batch norm folded in)."""
        scale = self.gamma / np.sqrt(self.bn_var + self.eps)
        return self.beta * scale, self.bias - self.bn_mean * scale

    def logits(self, topics: Floats, features: Any = slice(None)) -> Floats:
        """Return the unnormalised log composition, (n, len(features)), of cells with topics (n, K)."""
        weights, offset = self.affine()
        return topics @ weights[:, features] + offset[features]

    def log_normalizer(self, topics: Floats, *, block: int = 4096) -> Floats:
        """Return the log sum over all features of exp(logits), (n,), in blocks of cells and features."""
        weights, offset = self.affine()
        out = np.empty(len(topics))
        for first in range(0, len(topics), _CELLS):
            rows = slice(first, first + _CELLS)
            top = np.full(len(topics[rows]), -np.inf)
            total = np.zeros(len(top))
            for start in range(0, self.n_features, block):
                part = topics[rows] @ weights[:, start : start + block] + offset[start : start + block]
                peak = np.maximum(top, part.max(axis=1))
                total = total * np.exp(top - peak) + np.exp(part - peak[:, None]).sum(axis=1)
                top = peak
            out[rows] = top + np.log(total)
        return out

    def log_composition(
        self, topics: Floats, features: Any = slice(None), *, normalizer: Floats | None = None
    ) -> Floats:
        """Return log rho, (n, len(features)); normalised over all features even when only some are asked for."""
        norm = self.log_normalizer(topics) if normalizer is None else normalizer
        return self.logits(topics, features) - norm[:, None]

    def composition(self, topics: Floats, features: Any = slice(None), *, normalizer: Floats | None = None) -> Floats:
        """Return imputed rates rho, (n, len(features))."""
        return np.exp(self.log_composition(topics, features, normalizer=normalizer))

    def to_arrays(self) -> dict[str, Any]:
        """Return plain arrays for storage in ``uns``."""
        out: dict[str, Any] = {
            name: np.asarray(getattr(self, name)) for name in ("beta", "bn_mean", "bn_var", "gamma", "bias")
        }
        if self.dispersion is not None:
            out["dispersion"] = np.asarray(self.dispersion)
        out["eps"] = float(self.eps)
        return out

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> Decoder:
        """Return the decoder from :meth:`to_arrays`; other entries are ignored."""
        dispersion = arrays.get("dispersion")
        return cls(
            beta=np.asarray(arrays["beta"]),
            bn_mean=np.asarray(arrays["bn_mean"]),
            bn_var=np.asarray(arrays["bn_var"]),
            gamma=np.asarray(arrays["gamma"]),
            bias=np.asarray(arrays["bias"]),
            dispersion=None if dispersion is None else np.asarray(dispersion),
            eps=float(arrays.get("eps", 1e-5)),
        )


def log_share_per_count(counts: sparse.csr_matrix, decoder: Decoder, topics: NDArray[np.floating]) -> float:
    """Return the mean of log rho_ij over all counts, without a cells x features array."""
    weights, offset = decoder.affine()
    total = n_counts = 0.0
    for first in range(0, counts.shape[0], _ROWS):
        rows = slice(first, first + _ROWS)
        part = counts[rows].astype(np.float64)
        depth = np.asarray(part.sum(axis=1)).ravel()
        total += float((topics[rows] * (part @ weights.T)).sum() + (part @ offset).sum())
        total -= float(depth @ decoder.log_normalizer(topics[rows]))
        n_counts += float(depth.sum())
    return total / n_counts

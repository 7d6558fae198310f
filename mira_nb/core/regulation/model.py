"""What the LITE and NITE models are made of: priors, inputs, fitted parameters, and their formulas in plain numpy.

Everything here follows Extended Methods, MIRA regulatory potential (RP) model. Three choices the text leaves open:

* Batch normalisation makes the likelihood blind to the common scale of all a (expression and topic coefficients
  alike). Independent normal priors are isotropic, so they say nothing about direction: the data and the other priors
  choose the direction of a, and its length is reported at the prior's root mean square. Without this convention
  the maximum would lie at a = 0.
* Log-normal parameters (decay distances, gamma) are maximised on the log scale, where the prior is normal and its mode
  the stated median of 15 kb; ``natural_scale=True`` takes the density in the natural scale (mode 3.6 kb).
* Accessibility enters as 10,000 x rho; because of the first point this only sets the units of mu_bn and sigma_bn
  (``docs/decisions/27-rp-scale.md``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammaln

from mira_nb.core.topics.decoder import Decoder
from mira_nb.typing import Floats

from .geometry import DOWNSTREAM, PROXIMAL, UPSTREAM

RATE_SCALE: Final = 1e4
Gauge = Literal["median", "model"]


@dataclass(frozen=True)
class Priors:
    """Priors of the regulatory potential models (``docs/decisions/26-rp-priors.md``; a: see the module).

    Attributes
    ----------
    decay_median_kb, decay_log_sd
        Log-normal prior of the decay distances Delta.
    gamma_log_mean, gamma_log_sd
        Log-normal prior of gamma.
    bias_sd
        Normal prior of b (variance 25).
    theta_shape, theta_rate
        Gamma prior of the dispersion.
    natural_scale
        Take log-normal densities in the natural scale instead of the log scale.
    """

    decay_median_kb: float = 15.0
    decay_log_sd: float = 1.2
    gamma_log_mean: float = 0.0
    gamma_log_sd: float = 1.0
    bias_sd: float = 5.0
    theta_shape: float = 2.0
    theta_rate: float = 0.5
    natural_scale: bool = False

    def packed(self, *, theta_fixed: bool) -> Floats:
        """Return the array the compiled kernels take."""
        return np.array(
            [
                math.log(self.decay_median_kb), self.decay_log_sd, self.gamma_log_mean, self.gamma_log_sd, self.bias_sd,
                self.theta_shape, self.theta_rate, float(self.natural_scale), float(theta_fixed),
            ]
        )  # fmt: skip


def expression_normalizer(decoder: Decoder, topics: NDArray, *, gauge: Gauge = "median") -> Floats:
    """Return the log denominator of the composition under the expression topic model, (N,).

    A softmax does not change when the same function of a cell's topics is added to the logits of all genes, so the
    topic model fixes its denominator only up to such a function, at the whim of its training. A single gene's
    numerator lambda has no part in that, so the denominator must be pinned.

    Parameters
    ----------
    gauge
        ``"median"``: the logit of the median gene does not depend on the topics (most genes are taken not to change);
        ``"model"``: as the fitted decoder happens to be.
    """
    out = decoder.log_normalizer(topics)
    if gauge == "median":
        out = out - topics @ np.median(decoder.affine()[0], axis=1)
    return np.asarray(out, dtype=np.float64)


@dataclass(frozen=True)
class Cells:
    """The cells' side of the models.

    Attributes
    ----------
    counts
        (N, G) raw counts of the genes to fit, CSC.
    log_depth
        (N,) log effective read depth log n_i of the expression topic model.
    log_normalizer
        (N,) log of the sum over all genes of exp(batchnorm(Z_i beta)), the denominator of rho.
    topics
        (N, K) accessibility topics.
    decoder
        Decoder of the accessibility topic model over the peaks the peak sets refer to.
    peak_normalizer
        (N,) log normaliser of the accessibility decoder; computed when not given.
    """

    counts: sparse.csc_matrix
    log_depth: Floats
    log_normalizer: Floats
    topics: Floats
    decoder: Decoder
    peak_normalizer: Floats

    @classmethod
    def build(
        cls,
        counts: sparse.spmatrix,
        *,
        log_depth: NDArray,
        log_normalizer: NDArray,
        topics: NDArray,
        decoder: Decoder,
    ) -> Cells:
        """Convert dtypes and layouts and compute the accessibility normaliser."""
        topics = np.ascontiguousarray(topics, dtype=np.float64)
        return cls(
            counts=sparse.csc_matrix(counts, dtype=np.float64),
            log_depth=np.asarray(log_depth, dtype=np.float64),
            log_normalizer=np.asarray(log_normalizer, dtype=np.float64),
            topics=topics,
            decoder=decoder,
            peak_normalizer=np.asarray(decoder.log_normalizer(topics), dtype=np.float64),
        )

    @property
    def n_cells(self) -> int:
        """Number of cells N."""
        return int(self.topics.shape[0])

    @property
    def offset(self) -> Floats:
        """Log n_i minus the log normaliser: log mu_ij = offset_i + lambda_ij."""
        return self.log_depth - self.log_normalizer


class PeakRates:
    """Imputed accessibility 10,000 x rho of any few peaks, with the decoder's affine form computed once."""

    def __init__(self, decoder: Decoder, topics: Floats, normalizer: Floats) -> None:
        weights, offset = decoder.affine()
        self._weights = np.ascontiguousarray(weights.T, dtype=np.float64)
        self._offset = np.asarray(offset, dtype=np.float64) + math.log(RATE_SCALE)
        self._topics = np.ascontiguousarray(topics.T, dtype=np.float64)
        self._normalizer = np.asarray(normalizer, dtype=np.float64)

    def block(self, peaks: NDArray[np.int64], cells: NDArray[np.int64] | None = None) -> Floats:
        """Return (peaks, cells) rates."""
        topics = self._topics if cells is None else self._topics[:, cells]
        normalizer = self._normalizer if cells is None else self._normalizer[cells]
        out = self._weights[peaks] @ topics
        out += self._offset[peaks][:, None]
        out -= normalizer
        return np.exp(out, out=out)


@dataclass(frozen=True)
class Fits:
    """MAP estimates of one model (LITE, or NITE when `a_topics` is there) for G genes; NaN where a gene has none.

    Attributes
    ----------
    a
        (G, 3) weights of the upstream, proximal and downstream sets; NaN for an empty set.
    decay_kb
        (G, 2) decay distances upstream and downstream, kb; NaN for an empty set.
    gamma, bias, theta
        (G,) parameters of the negative binomial generalised linear model.
    bn_mean, bn_sd
        (G,) batch-normalisation statistics of c over all cells.
    log_likelihood, log_posterior
        (G,) at the estimate. The posterior leaves out the length of a (see the module) and constants of x.
    iterations
        (G,) iterations of the final L-BFGS run.
    converged
        (G,) whether the stopping rule was met before the limit of iterations.
    a_topics
        (G, K) coefficients of the accessibility topics, or None.
    """

    a: Floats
    decay_kb: Floats
    gamma: Floats
    bias: Floats
    theta: Floats
    bn_mean: Floats
    bn_sd: Floats
    log_likelihood: Floats
    log_posterior: Floats
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]
    a_topics: Floats | None = None

    @property
    def fitted(self) -> NDArray[np.bool_]:
        """(G,) genes with an estimate."""
        return np.isfinite(self.log_likelihood)


def peak_weights(distance: NDArray, region: NDArray, a: NDArray, decay_kb: NDArray) -> Floats:
    """Return the weight of each peak, a_eta 2^(-distance / Delta_eta), 1 if proximal; `distance` in bp."""
    kb = np.asarray(distance, dtype=np.float64) / 1e3
    out = np.zeros(len(kb))
    for code, position in ((UPSTREAM, 0), (DOWNSTREAM, 1)):
        part = region == code
        if part.any():
            out[part] = a[code] * np.exp2(-kb[part] / decay_kb[position])
    near = region == PROXIMAL
    if near.any():
        out[near] = a[PROXIMAL]
    return out


def potential(
    rates: Floats, weights: Floats, *, topics: NDArray | None = None, a_topics: NDArray | None = None
) -> Floats:
    """Compute the potential c_i, (cells,): rates (peaks, cells) times peak weights, plus topics times coefficients."""
    out = weights @ rates if len(weights) else np.zeros(rates.shape[1])
    return out if topics is None or a_topics is None else out + topics @ a_topics


def log_rate(c: Floats, *, gamma: float, bias: float, bn_mean: float, bn_sd: float) -> Floats:
    """Return lambda_i = gamma (c_i - mu_bn) / sigma_bn + b."""
    return gamma * (c - bn_mean) / bn_sd + bias


def negative_binomial(counts: NDArray, log_mean: NDArray, theta: float) -> Floats:
    """Return the log probability of counts under NegativeBinomial(mean, dispersion theta), elementwise."""
    mean = np.exp(log_mean)
    terms = gammaln(counts + theta) - gammaln(theta) - gammaln(counts + 1.0) + theta * math.log(theta)
    return terms + counts * log_mean - (counts + theta) * np.log(theta + mean)


def log_prior(
    priors: Priors, *, decay_kb: NDArray, gamma: float, bias: float, theta: float | None, present: tuple[bool, bool]
) -> float:
    """Return the log prior without constants; `theta` None leaves its term out (NITE keeps LITE's theta).

    `present` says whether the upstream and the downstream set have peaks; an empty set has no decay distance.
    """
    out = -0.5 * ((math.log(gamma) - priors.gamma_log_mean) / priors.gamma_log_sd) ** 2
    out -= 0.5 * (bias / priors.bias_sd) ** 2
    if priors.natural_scale:
        out -= math.log(gamma)
    for value, there in zip(decay_kb, present, strict=True):
        if there:
            out -= 0.5 * (math.log(value / priors.decay_median_kb) / priors.decay_log_sd) ** 2
            out -= math.log(value) if priors.natural_scale else 0.0
    if theta is not None:
        out += (priors.theta_shape - 1.0) * math.log(theta) - priors.theta_rate * theta
    return out

"""Settings of a topic model and the size rule for the number of topics."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from mira_nb.errors import ParameterError

Modality = Literal["expression", "accessibility"]
Auto = Literal["auto"]
DirichletVariance = Literal["laplace", "prodlda"]
KlSchedule = Literal["linear", "cyclic"]
Anneal = Literal["cosine", "linear"]
Initialisation = Literal["nmf", "random"]
Shrinkage = Literal["empirical_bayes", "none"]
Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class TopicSettings:
    """Everything a fit depends on besides the counts and the seed.

    Attributes
    ----------
    n_topics
        Number of topics K, or ``"auto"`` for :func:`topics_for_size`.
    n_epochs
        Passes over the training cells (exactly this many unless ``patience`` stops earlier).
    batch_size
        Cells a step; batches are made equal in size, so none is left with a single cell.
    learning_rate_min, learning_rate_max
        Start and peak of the one-cycle schedule; ``"auto"`` takes them from a learning-rate range test.
    peak_at
        Share of training after which the learning rate peaks.
    anneal
        Shape of the rise and fall of the learning rate.
    adam_beta1, adam_beta2, adam_epsilon
        Adam's decay rates and smoothing.
    dropout
        Dropout of the encoder's hidden layers; for accessibility also the rate d at which open peaks are left out.
    n_hidden
        Width of hidden layers and peak embeddings.
    kl_schedule
        Weight of the KL term: ``"linear"`` from 0 to 1 over the first half, or ``"cyclic"`` with three such rises.
    dirichlet_variance
        Laplace variance of the Dirichlet: the paper's, or ProdLDA's own.
    initial_pseudocounts
        J: the prior mean of the sum of the Dirichlet's parameters; the factorisation that training on peaks starts from
        adds J / K counts to every topic of a cell.
    initialisation
        ``"nmf"`` starts from a Kullback-Leibler factorisation of the counts, ``"random"`` from noise.
    warmup_epochs
        Passes in which the encoder alone learns the factorisation's topics (``"nmf"`` only); small data take as many
        more as make 300 steps.
    restarts
        Random starts of the factorisation, of which the most likely among the reproducible ones is kept (see
        :func:`.warmstart.most_reproducible`); fewer where counts x topics are many.
    holdout_fraction
        Share of cells kept out of training to follow the held-out ELBO.
    patience
        Stop after this many epochs without a better held-out ELBO once the KL weight is one; 0 never stops early.
    shrinkage
        ``"empirical_bayes"`` scales each feature's contrasts by what its counts support, at the start and, as far as
        that makes held-out cells more likely, after training (see :mod:`.shrinkage`); ``"none"`` does neither.
    device
        ``"cpu"`` trains with the compiled objective, others with dense torch; ``"auto"`` takes CUDA when there.
    """

    n_topics: int | Auto = "auto"
    n_epochs: int = 40
    batch_size: int = 128
    learning_rate_min: float | Auto = "auto"
    learning_rate_max: float | Auto = "auto"
    peak_at: float = 1 / 3
    anneal: Anneal = "cosine"
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    dropout: float = 0.2
    n_hidden: int = 128
    kl_schedule: KlSchedule = "linear"
    dirichlet_variance: DirichletVariance = "laplace"
    initial_pseudocounts: float = 50.0
    initialisation: Initialisation = "nmf"
    warmup_epochs: int = 20
    restarts: int = 7
    holdout_fraction: float = 0.05
    patience: int = 0
    shrinkage: Shrinkage = "empirical_bayes"
    device: Device = "auto"

    def __post_init__(self) -> None:
        """Check every value; the message names the setting."""
        if self.n_topics != "auto" and int(self.n_topics) < 2:
            raise ParameterError(
                f"n_topics = {self.n_topics}: a composition needs at least two topics",
                remedy="set n_topics to 2 or more, or to auto",
            )
        rules: list[tuple[str, bool, str]] = [
            ("n_epochs", self.n_epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 2, "at least 2"),
            ("dropout", 0 <= self.dropout < 1, "from 0 to below 1"),
            ("n_hidden", self.n_hidden >= 1, "at least 1"),
            ("peak_at", 0 < self.peak_at < 1, "between 0 and 1"),
            ("adam_epsilon", self.adam_epsilon > 0, "above 0"),
            ("initial_pseudocounts", self.initial_pseudocounts > 0, "above 0"),
            ("warmup_epochs", self.warmup_epochs >= 0, "0 or more"),
            ("restarts", self.restarts >= 1, "at least 1"),
            ("holdout_fraction", 0 <= self.holdout_fraction <= 0.5, "from 0 to 0.5"),
            ("patience", self.patience >= 0, "0 or more"),
        ]
        low, high = self.learning_rate_min, self.learning_rate_max
        rules += [(n, v == "auto" or float(v) > 0, "above 0, or auto") for n, v in
                  (("learning_rate_min", low), ("learning_rate_max", high))]  # fmt: skip
        if low != "auto" and high != "auto":
            rules.append(("learning_rate_max", float(high) > float(low), f"above learning_rate_min = {low}"))
        for name, fine, wanted in rules:
            if not fine:
                raise ParameterError(f"{name} = {getattr(self, name)!r}", expected=wanted)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for storage as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TopicSettings:
        """Inverse of :meth:`to_dict`."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


# bounds of the peak learning rate: above, training forgets the factorisation it starts from; below, it does not get far
RATE_BOUNDS: dict[Modality, tuple[float, float]] = {"expression": (1e-3, 5e-3), "accessibility": (1e-2, 2e-2)}
# counts that the factorisation of peaks adds to every topic in the pooled proportions, a peak on average
FEATURE_PSEUDOCOUNTS = 0.2
# the size rule: counts above which a cell counts in full, and the limits of the number of topics
FULL_DEPTH: dict[Modality, float] = {"expression": 250.0, "accessibility": 500.0}
MIN_TOPICS, MAX_TOPICS = 4, 40


def topics_for_size(n_cells: int, median_count: float, modality: Modality) -> int:
    """Derive the number of topics from the size of the data.

    sqrt(cells x min(1, median count of a cell / D)) / 4, rounded, from 4 to 40, with D = 250 transcripts or 500 open
    peaks: 11 for 2,000 well-measured cells, 25 for 10,000, fewer where cells hold little information.
    """
    measured = n_cells * min(1.0, median_count / FULL_DEPTH[modality])
    return int(min(MAX_TOPICS, max(MIN_TOPICS, round(math.sqrt(measured) / 4))))

"""Settings of a topic model and the size rule for the number of topics."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from mira_nb.errors import ParameterError

Modality = Literal["expression", "accessibility"]
Auto = Literal["auto"]
DirichletVariance = Literal["laplace", "prodlda"]
KlSchedule = Literal["linear", "cyclic", "none"]
Anneal = Literal["cosine", "linear"]
Initialisation = Literal["nmf", "random"]
Shrinkage = Literal["empirical_bayes", "none"]
Device = Literal["auto", "cpu", "cuda", "mps"]
EngineName = Literal["auto", "compiled", "pyro"]


def setting(
    default: Any, help: str, *, unit: str = "", advanced: bool = False, **bounds: float
) -> Any:  # fmt: skip
    """Return a dataclass field that users may set.

    Parameters
    ----------
    default, help, unit
        Default value, description and unit, as forms, templates and command-line help show them.
    advanced
        Whether forms fold it away.
    **bounds
        ``ge``, ``gt``, ``le`` and ``lt``: what numbers must satisfy (``"auto"`` is exempt).
    """
    return field(default=default, metadata={"help": help, "unit": unit, "advanced": advanced, "bounds": bounds})


@dataclass(frozen=True)
class TopicSettings:
    """Settings of a topic model: all a fit depends on besides the counts and the seed.

    This is their only home: the parameters of the stages ``topics_rna`` and ``topics_atac`` are made from the fields
    below that have a help text (:func:`mira_nb.stages.params.fields_from`); those without one are not for users.
    Where modalities differ, :data:`MODALITY_DEFAULTS` replaces the default.

    Attributes
    ----------
    peak_at
        Fraction of training after which the learning rate peaks (``docs/decisions/07-optimiser.md``).
    adam_beta1, adam_beta2
        Decay rates of Adam's moments (the defaults of Kingma and Ba 2015).

    Raises
    ------
    ParameterError
        If a value is out of bounds; the message names the setting.
    """

    n_topics: int | Auto = setting(
        "auto",
        "Number of topics; auto takes the choice of the tuning and, for what is left at its default here, the other "
        "settings tuned with it. Without a tuning the size of the data decides: sqrt(cells x min(1, median count per "
        "cell / D)) / 4, from 4 to 40, with D = 250 transcripts or 500 open peaks.",
        unit="topics", ge=2, le=500,
    )  # fmt: skip
    n_epochs: int | Auto = setting(
        "auto",
        "Number of passes over the training cells; auto takes as many as make 3,000 optimiser steps, from 4 to 40, and "
        "shortens the rest of the learning-rate schedule once the held-out ELBO has levelled off.",
        unit="epochs", ge=1, le=10_000,
    )  # fmt: skip
    batch_size: int = setting(128, "Number of cells per training step.", unit="cells", ge=2, le=100_000)
    learning_rate_min: float | Auto = setting(
        "auto", "Learning rate at the start of training; auto takes a tenth of the peak.", gt=0, le=1
    )
    learning_rate_max: float | Auto = setting(
        "auto", "Peak learning rate, a third of the way through training; auto is 0.005 for RNA and 0.02 for ATAC.",
        gt=0, le=1,
    )  # fmt: skip
    dropout: float = setting(
        0.2,
        "Fraction of the encoder's hidden units, and for accessibility of a cell's open peaks, dropped in each "
        "training step.",
        ge=0, lt=1,
    )  # fmt: skip
    n_hidden: int = setting(128, "Number of nodes per hidden layer of the encoder.", unit="nodes", ge=2, le=4096)
    initialisation: Initialisation = setting(
        "nmf",
        "Initial weights: nmf = from a Kullback-Leibler factorisation of the counts, random = from noise.",
    )
    restarts: int = setting(
        5,
        "Number of random starts of the factorisation, compared on a sample of the cells; the most likely reproducible "
        "one is continued with all cells.",
        ge=1, le=50, advanced=True,
    )  # fmt: skip
    start_power: float | Auto = setting(
        "auto",
        "Power to which the factorisation's topic proportions are raised, each cell's summing to 1 again, before "
        "training starts from them: above 1 cells start purer. auto takes that of the tuning, else 1.",
        ge=1, le=10, advanced=True,
    )  # fmt: skip
    warmup_epochs: int | Auto = setting(
        "auto",
        "Number of epochs in which only the encoder is trained, on the factorisation's topics; auto takes as many as "
        "make 300 optimiser steps.",
        unit="epochs", ge=0, le=1000, advanced=True,
    )  # fmt: skip
    holdout_fraction: float = setting(
        0.05, "Fraction of the cells held out of training to monitor the held-out ELBO.", ge=0, le=0.5, advanced=True
    )
    early_stopping: int = setting(
        0,
        "Number of epochs without a better held-out ELBO after which training stops; 0 trains exactly n_epochs.",
        unit="epochs", ge=0, le=1000, advanced=True,
    )  # fmt: skip
    initial_pseudocounts: float = setting(
        50.0,
        "J, the prior mean of the sum of the Dirichlet parameters.",
        gt=0, le=1e6, advanced=True,
    )  # fmt: skip
    dirichlet_variance: DirichletVariance = setting(
        "laplace",
        "Laplace variance of the normal approximation to the Dirichlet: as in the paper, or as in ProdLDA.",
        advanced=True,
    )
    kl_schedule: KlSchedule = setting(
        "linear",
        "Annealing of the KL term: linear = weight 0 to 1 over the first half of training, cyclic = three such rises, "
        "none = weight 1 throughout.",
        advanced=True,
    )
    peak_at: float = 1 / 3
    anneal: Anneal = setting("cosine", "Shape of the rise and fall of the learning rate.", advanced=True)
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = setting(
        1e-8, "Epsilon of Adam, added to the denominator of its steps.", gt=0, le=1, advanced=True
    )
    shrinkage: Shrinkage = setting(
        "empirical_bayes",
        "empirical_bayes shrinks each feature's contrasts between topics to what its counts support, after training "
        "only as far as that raises the held-out likelihood; none leaves them as trained.",
        advanced=True,
    )
    shrinkage_power: float | Auto = setting(
        "auto",
        "Power to which the factors of the empirical-Bayes shrinkage are raised; auto takes that of the tuning, else "
        "the one under which held-out cells are most likely (0, no shrinkage, when none are held out).",
        ge=0, le=1, advanced=True,
    )  # fmt: skip
    engine: EngineName = setting(
        "auto",
        "What trains: compiled = the compiled objective, on the CPU; pyro = the same model, guide, start and schedule "
        "by pyro.infer.SVI on any device (the reference, slower on a CPU); auto = compiled on the CPU, pyro elsewhere.",
        advanced=True,
    )
    device: Device = setting(
        "auto", "Device to train on: auto takes a CUDA device when there is one, else the CPU.", advanced=True
    )

    def __post_init__(self) -> None:
        """Check every value; the message names the setting."""
        for item in fields(self):
            value = getattr(self, item.name)
            for rule, bound in item.metadata.get("bounds", {}).items():
                holds, wanted = _RULES[rule]
                if value != "auto" and not holds(float(value), bound):
                    raise ParameterError(f"{item.name} = {value!r}", expected=f"{wanted} {bound:g}")
        low, high = self.learning_rate_min, self.learning_rate_max
        if low != "auto" and high != "auto" and not float(high) > float(low):
            raise ParameterError(f"learning_rate_max = {high!r}", expected=f"above learning_rate_min = {low}")
        if not 0 < self.peak_at < 1:
            raise ParameterError(f"peak_at = {self.peak_at!r}", expected="between 0 and 1")
        if self.engine == "compiled" and self.device not in ("auto", "cpu"):
            raise ParameterError(
                f"engine = 'compiled' with device = {self.device!r}",
                expected="the CPU, the only device of the compiled engine",
                remedy="set engine to pyro or auto, or device to cpu",
            )

    @classmethod
    def for_modality(cls, modality: Modality, **values: Any) -> TopicSettings:
        """Return settings with the defaults of a modality, replaced by the given values."""
        return cls(**MODALITY_DEFAULTS[modality] | values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for storage as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TopicSettings:
        """Return settings from :meth:`to_dict`; unknown entries are ignored."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


_RULES: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "ge": (operator.ge, "at least"),
    "gt": (operator.gt, "above"),
    "le": (operator.le, "at most"),
    "lt": (operator.lt, "below"),
}

MODALITY_DEFAULTS: dict[Modality, dict[str, Any]] = {"expression": {"dropout": 0.05}, "accessibility": {}}
"""Defaults that differ from those of :class:`TopicSettings`.

Less dropout for expression: the deviance residuals of hundreds of genes overfit little, and with more the planted
programme of the embedded data that is unrelated to the trajectory is lost.
"""

PEAK_RATE: dict[Modality, float] = {"expression": 5e-3, "accessibility": 2e-2}
"""Peak learning rate where none is given, in the place of a range test (``docs/decisions/07-optimiser.md``)."""

START_OF_PEAK = 10
"""The learning rate starts at its peak over this where no start is given (chosen; 25 in torch's ``OneCycleLR``)."""

AUTO_STEPS, AUTO_EPOCHS = 3000, (4, 40)
"""Optimiser steps of a fit whose epochs are not given, and least and most epochs (``docs/decisions/04-epochs.md``)."""

FEATURE_PSEUDOCOUNTS = 0.2
"""Counts per peak, on average, that the factorisation adds to every topic in the pooled proportions.

Chosen on planted topics (no source in the paper).
"""

FULL_DEPTH: dict[Modality, float] = {"expression": 250.0, "accessibility": 500.0}
"""Size rule of the number of topics: median count per cell above which a cell counts in full (chosen, no source)."""

MIN_TOPICS, MAX_TOPICS = 4, 40
"""Size rule: limits of the number of topics (chosen, no source)."""


def topics_for_size(n_cells: int, median_count: float, modality: Modality) -> int:
    """Derive the number of topics from the size of the data.

    sqrt(cells x min(1, median count per cell / D)) / 4, rounded, from 4 to 40, with D = 250 transcripts or 500 open
    peaks: 11 for 2,000 well-measured cells, 25 for 10,000, fewer where cells hold little information.
    """
    measured = n_cells * min(1.0, median_count / FULL_DEPTH[modality])
    return int(min(MAX_TOPICS, max(MIN_TOPICS, round(math.sqrt(measured) / 4))))


def learning_rates(settings: TopicSettings, modality: Modality) -> tuple[float, float]:
    """Return the learning rates at the start and at the peak, with ``auto`` replaced."""
    low, high = settings.learning_rate_min, settings.learning_rate_max
    if high == "auto":
        high = PEAK_RATE[modality] if low == "auto" else max(PEAK_RATE[modality], 2 * float(low))
    return float(high) / START_OF_PEAK if low == "auto" else float(low), float(high)

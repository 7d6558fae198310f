"""Parameters of the stages topics_rna and topics_atac."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mira_nb.stages.params import Params, param

if TYPE_CHECKING:
    from mira_nb.core.topics.settings import TopicSettings


TopicCount = Annotated[int, Field(ge=2, le=500)] | Literal["auto"]
Rate = Annotated[float, Field(gt=0, le=1)] | Literal["auto"]


class TopicsParams(Params):
    """Parameters of a topic model."""

    n_topics: TopicCount = param(
        "auto",
        "Number of topics; auto derives it from the size of the data: sqrt(cells x min(1, median count per cell / D)) "
        "/ 4, from 4 to 40, with D = 250 transcripts or 500 open peaks.",
        unit="topics",
    )
    n_epochs: int = param(40, "Number of passes over the training cells.", unit="epochs", ge=1, le=10_000)
    batch_size: int = param(128, "Number of cells per training step.", unit="cells", ge=2, le=100_000)
    learning_rate_min: Rate = param(
        "auto", "Learning rate at the start of training; auto takes it from the learning-rate range test."
    )
    learning_rate_max: Rate = param(
        "auto", "Peak learning rate, a third of the way through training; auto takes it from the range test."
    )
    dropout: float = param(0.2, "Fraction of the encoder's hidden units dropped in each training step.", ge=0, lt=1)
    n_hidden: int = param(128, "Number of nodes per hidden layer of the encoder.", unit="nodes", ge=2, le=4096)
    initialisation: Literal["nmf", "random"] = param(
        "nmf",
        "Initial weights: nmf = from a Kullback-Leibler factorisation of the counts, random = from noise.",
    )
    restarts: int = param(
        7,
        "Number of random starts of the factorisation, of which the most likely reproducible one is kept (fewer for "
        "large data).",
        ge=1,
        le=50,
        advanced=True,
    )
    warmup_epochs: int = param(
        20,
        "Number of epochs in which only the encoder is trained, on the factorisation's topics (more for "
        "small data, to make 300 steps).",
        unit="epochs",
        ge=0,
        le=1000,
        advanced=True,
    )
    holdout_fraction: float = param(
        0.05, "Fraction of the cells held out of training to monitor the held-out ELBO.", ge=0, le=0.5, advanced=True
    )
    early_stopping: int = param(
        0,
        "Number of epochs without a better held-out ELBO after which training stops; 0 trains exactly n_epochs.",
        unit="epochs",
        ge=0,
        le=1000,
        advanced=True,
    )
    initial_pseudocounts: float = param(
        50.0, "J, the prior mean of the sum of the Dirichlet parameters.", gt=0, le=1e6, advanced=True
    )
    dirichlet_variance: Literal["laplace", "prodlda"] = param(
        "laplace",
        "Laplace variance of the normal approximation to the Dirichlet: as in the paper, or as in ProdLDA.",
        advanced=True,
    )
    kl_schedule: Literal["linear", "cyclic"] = param(
        "linear",
        "Annealing of the KL term: weight 0 to 1 over the first half of training, or three such cycles.",
        advanced=True,
    )
    anneal: Literal["cosine", "linear"] = param(
        "cosine", "Shape of the rise and fall of the learning rate.", advanced=True
    )
    adam_epsilon: float = param(
        1e-8, "Epsilon of Adam, added to the denominator of its steps.", gt=0, le=1, advanced=True
    )
    shrinkage: Literal["empirical_bayes", "none"] = param(
        "empirical_bayes",
        "empirical_bayes shrinks each feature's contrasts between topics to what its counts support, after training "
        "only as far as that raises the held-out likelihood; none leaves them as trained.",
        advanced=True,
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = param(
        "auto", "Device to train on: auto takes a CUDA device when there is one, else the CPU.", advanced=True
    )

    def settings(self) -> TopicSettings:
        """Return the settings of the topic model."""
        from mira_nb.core.topics.settings import TopicSettings

        values = self.model_dump()
        values["patience"] = values.pop("early_stopping")
        return TopicSettings(**values)


class TopicsRnaParams(TopicsParams):
    """Parameters of the stage topics_rna.

    Less dropout than for accessibility: the deviance residuals of hundreds of genes overfit little, and with more the
    planted programme that is unrelated to the trajectory is lost.
    """

    dropout: float = param(0.05, "Fraction of the encoder's hidden units dropped in each training step.", ge=0, lt=1)


class TopicsAtacParams(TopicsParams):
    """Parameters of the stage topics_atac."""

    dropout: float = param(
        0.2,
        "Fraction of a cell's open peaks, and of the encoder's hidden units, dropped in each training step.",
        ge=0,
        lt=1,
    )

"""Parameters of the stages tuning_rna and tuning_atac."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mira_nb.stages.params import Params, param

TrialCount = Annotated[int, Field(ge=1, le=10_000)] | Literal["auto"]


class TuningParams(Params):
    """Parameters of a tuning."""

    mode: Literal["paper", "quick", "none"] = param(
        "quick",
        "How the number of topics is chosen: paper = Bayesian search with cross-validation, as published; quick = "
        "factorisations of a sample and few short fits; none = the size rule.",
    )
    n_trials: TrialCount = param(
        "auto",
        "Largest number of trials; auto takes 75 up to 5,000 cells and 32 beyond in the mode paper, what the bounds "
        "need in the mode quick.",
        unit="trials",
    )
    n_folds: int = param(5, "Number of folds of the cross-validation in the mode paper.", unit="folds", ge=2, le=20)
    n_seeds: int = param(
        5, "Number of refits of the chosen model by which the stability of its topics is judged; 0 = none.", ge=0, le=50
    )
    learning_curve: bool = param(
        False,
        "Fit the chosen model to a quarter, half and four fifths of the cells as well, and tell whether more cells "
        "would change its topics; not in the mode none, nor without refits (n_seeds = 0).",
    )
    min_topics: int = param(2, "Smallest number of topics that is tried.", unit="topics", ge=2, le=500)
    max_topics: int = param(40, "Largest number of topics that is tried.", unit="topics", ge=2, le=500)

    @model_validator(mode="after")
    def _ordered(self) -> TuningParams:
        if self.max_topics < self.min_topics:
            raise ValueError(f"max_topics = {self.max_topics} is below min_topics = {self.min_topics}")
        return self


class TuningRnaParams(TuningParams):
    """Parameters of the stage tuning_rna."""


class TuningAtacParams(TuningParams):
    """Parameters of the stage tuning_atac."""

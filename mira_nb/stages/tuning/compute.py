"""Tuning of the topic model of one modality of a MuData."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mira_nb.errors import InputError
from mira_nb.keys import ENCODER, MODELLED
from mira_nb.stages.base import Context
from mira_nb.stages.texts import Texts

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.core.tuning.result import Tuning

    from .params import TuningParams

TEXTS = Texts(__package__)

NOT_SEARCHED = ("adam_epsilon", "dropout", "batch_size", "n_epochs")
"""Settings that the published tuning searches and the mode quick does not."""


@dataclass(frozen=True)
class TuningOutput:
    """A tuning with what its report needs.

    Attributes
    ----------
    modality
        Modality of the MuData.
    tuning
        The search and its choice.
    params
        Parameters of the stage.
    n_cells
        Cells of the data.
    n_modelled
        Modelled features.
    """

    modality: Literal["rna", "atac"]
    tuning: Tuning
    params: TuningParams
    n_cells: int
    n_modelled: int

    @property
    def used(self) -> dict[str, int]:
        """What ``auto`` became: the number of trials made."""
        return {"n_trials": len(self.tuning.trials)}

    @property
    def more_cells(self) -> str:
        """The sentence on what more cells would change; '' without a learning curve."""
        from mira_nb.core.tuning.learning_curve import SHORTFALL
        from mira_nb.core.tuning.stability import FOUND

        curve = self.tuning.learning_curve
        if curve is None:
            return ""
        quarter, half, most, whole = (curve.summary.iloc[row] for row in range(4))
        return TEXTS.text(
            "more_cells",
            quarter=quarter,
            half=half,
            most=most,
            whole=whole,
            shortfall=curve.shortfall(),
            least=SHORTFALL,
            lost=curve.lost(FOUND),
            found=FOUND,
        )


def compute(data: MuData, params: TuningParams, context: Context, modality: Literal["rna", "atac"]) -> TuningOutput:
    """Tune the topic model of one modality.

    Raises
    ------
    InputError
        When no feature of the modality is modelled.
    """
    from mira_nb.core.topics.settings import Modality, TopicSettings
    from mira_nb.core.tuning.result import Processors, SearchPlan
    from mira_nb.core.tuning.tune import tune

    part = data.mod[modality]
    modelled = _mask(data, modality, MODELLED)
    if not modelled.any():
        raise TEXTS.error(InputError, "nothing_modelled", modality=modality)
    kind: Modality = "expression" if modality == "rna" else "accessibility"
    tuning = tune(
        part.X if modelled.all() else part.X[:, np.flatnonzero(modelled)],
        modality=kind,
        plan=SearchPlan(
            mode=params.mode,
            bounds=(params.min_topics, params.max_topics),
            n_trials=None if params.n_trials == "auto" else params.n_trials,
            n_folds=params.n_folds,
            n_seeds=params.n_seeds,
            learning_curve=params.learning_curve,
        ),
        settings=TopicSettings.for_modality(kind),
        encoder_features=_mask(data, modality, ENCODER)[modelled],
        seed=context.seed,
        folder=context.work_dir,
        progress=lambda fraction, message: context.progress(0.95 * fraction, message),
        processors=Processors(
            n_threads=context.n_threads, run_all=context.compute.map, n_workers=context.compute.n_workers
        ),
    )
    return TuningOutput(modality, tuning, params, part.n_obs, int(modelled.sum()))


def _mask(data: MuData, modality: str, column: str) -> np.ndarray:
    part = data.mod[modality]
    if column not in part.var:
        return np.ones(part.n_vars, bool)
    return np.asarray(part.var[column], bool)

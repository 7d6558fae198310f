"""Topic models of a finished run, for topics of new cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mira_nb.errors import InputError
from mira_nb.keys import ATAC, PREPARE, RNA, TOPICS_ATAC, TOPICS_RNA
from mira_nb.stages.shared.model import Model, model_of

from .messages import refusal
from .store import RunStore, read_h5mu

if TYPE_CHECKING:
    from mudata import MuData

TOPIC_STAGES = {RNA: TOPICS_RNA, ATAC: TOPICS_ATAC}


def load_model(run: str | Path, modality: Literal["rna", "atac"]) -> Model:
    """Load the topic model of a run: :func:`mira_nb.load_model`."""
    if modality not in TOPIC_STAGES:
        raise InputError(f"there is no modality {modality!r}", expected="rna or atac")
    return model_of(load_run(run, (PREPARE, TOPIC_STAGES[modality])), modality)


def load_run(run: str | Path, stages: tuple[str, ...]) -> MuData:
    """Load a run's data with the values of the given stages.

    Raises
    ------
    InputError
        There is no run in the folder, or one of the stages is not done.
    """
    store = RunStore(Path(run))
    store.existing_record()
    lacking = [name for name in stages if name not in store.finished()]
    if lacking:
        raise refusal(
            InputError,
            "run_stage_not_done",
            path=store.record.path,
            stage=lacking[0],
            stages=stages,
            run=run,
            until=stages[-1],
        )
    if store.input_path.exists():
        return store.load_data(stages)
    return read_h5mu(store.root / "results.h5mu")

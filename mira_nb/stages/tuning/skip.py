"""When a tuning is not needed."""

from __future__ import annotations

from mira_nb.stages.base import AllParams
from mira_nb.stages.texts import Texts

TEXTS = Texts(__package__)


def reason_to_skip(topics_stage: str, parameters: AllParams) -> str:
    """Return that the number of topics of a topic model was given ('' when it is ``auto``)."""
    given = getattr(parameters.get(topics_stage), "n_topics", "auto")
    return "" if given == "auto" else TEXTS.text("given", stage=topics_stage, n_topics=given)

"""When a tuning is not needed."""

from __future__ import annotations

from mira_nb.stages.base import AllParams


def reason_to_skip(topics_stage: str, parameters: AllParams) -> str:
    """Return that the number of topics of a topic model was given ('' when it is ``auto``)."""
    given = getattr(parameters.get(topics_stage), "n_topics", "auto")
    return "" if given == "auto" else f"{topics_stage}.n_topics = {given} was given, so there is nothing to choose"

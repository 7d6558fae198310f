"""Parameters of the stages topics_rna and topics_atac.

Names, defaults, help and bounds (also those of ``n_topics``) stand in :mod:`mira_nb.core.topics.settings`.
"""

from __future__ import annotations

from mira_nb.core.topics.settings import MODALITY_DEFAULTS, TopicSettings
from mira_nb.stages.params import Params, fields_from


class TopicsParams(Params):
    """Parameters of a topic model: those settings of :class:`TopicSettings` that have a help text."""

    def settings(self) -> TopicSettings:
        """Return the settings of the topic model."""
        return TopicSettings(**self.model_dump())


@fields_from(TopicSettings, **MODALITY_DEFAULTS["expression"])
class TopicsRnaParams(TopicsParams):
    """Parameters of the stage topics_rna."""


@fields_from(TopicSettings, **MODALITY_DEFAULTS["accessibility"])
class TopicsAtacParams(TopicsParams):
    """Parameters of the stage topics_atac."""

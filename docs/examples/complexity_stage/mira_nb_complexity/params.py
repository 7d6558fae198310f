"""Parameters of the stage complexity."""

from __future__ import annotations

from mira_nb.stages.params import Params, param


class ComplexityParams(Params):
    """Parameters of the stage complexity."""

    low: float = param(
        0.7, "Cells below this ratio of genes found to genes expected at their depth are counted as simple.", gt=0, lt=1
    )

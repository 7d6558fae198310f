"""What is particular to a stage's panel: the words that tell a reader what to look at first.

Everything else (form, run, figures, tables) comes from the stage itself and its result. A new stage needs one entry
here; a test holds this list and the stages to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mira_nb import keys


@dataclass(frozen=True)
class View:
    """Texts of one stage's panel.

    Attributes
    ----------
    look
        What to look at when the result is there.
    tune
        Which parameters to change, and when.
    """

    look: str
    tune: str


VIEWS: Final[dict[str, View]] = {
    keys.PREPARE: View(
        "Counts per cell should form one peak, and the marker genes of the cell types you expect should be among the "
        "modelled genes.",
        "Model more genes if markers that you know are missing; every further gene costs training time.",
    ),
    keys.TOPICS_RNA: View(
        "The loss on held-out cells should have flattened, and most topics should be high in one region of the map.",
        "Take more topics if one topic covers cells that you know to differ, fewer if topics are copies of each other.",
    ),
    keys.TOPICS_ATAC: View(
        "The loss on held-out cells should have flattened, and most topics should be high in one region of the map.",
        "Take more topics if one topic covers cells that you know to differ, fewer if topics are copies of each other.",
    ),
    keys.JOINT_STAGE: View(
        "Known cell types should lie apart, and cells of different batches should mix within each type.",
        "A higher resolution gives more and smaller clusters; more neighbours give a smoother map.",
    ),
    keys.ENRICHMENT: View(
        "The first terms of a topic should fit the cells in which the topic is high.",
        "Fewer top genes make the terms more specific; more of them make small sets detectable.",
    ),
    keys.MOTIFS: View(
        "The factors at the top of a topic should be expressed in the cells in which the topic is high.",
        "A smaller p-value keeps stronger sites only; a higher quantile looks at the most characteristic peaks only.",
    ),
    keys.TRAJECTORY: View(
        "Pseudotime should grow from the start cell outwards, and each terminal state should be a cell type that you "
        "expect to be an end point.",
        "Name a start cell if the beginning is wrong; raise the branch threshold if branches part too early.",
    ),
    keys.REGULATION: View(
        "Most genes should be fitted, and the distances over which peaks act should be some ten kilobases.",
        "A wider window catches more distant peaks and takes longer.",
    ),
    keys.DRIVERS: View(
        "Factors at the top should have a motif and be expressed when the genes of the query are.",
        "Name your own gene lists as queries to ask for the factors that drive them.",
    ),
    keys.COMPARISONS: View(
        "Read the effect size before the p-value: with many cells small differences are significant.",
        "Choose the annotation whose groups you want to compare.",
    ),
}

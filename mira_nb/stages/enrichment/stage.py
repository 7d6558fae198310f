"""Stage enrichment: which gene sets are over-represented among the top genes of each expression topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import ENRICHMENT, ENRICHMENT_UNS, JOINT_STAGE, PREPARE, TOPICS_RNA
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import EnrichmentParams

if TYPE_CHECKING:
    from collections.abc import Container

    from mudata import MuData

    from mira_nb.io.resources import Resources


class EnrichmentStage(Stage[EnrichmentParams]):
    """Gene-set over-representation of every expression topic."""

    name: ClassVar[str] = ENRICHMENT
    title: ClassVar[str] = "Gene sets of expression topics"
    purpose: ClassVar[str] = "Names the biology of each expression topic by the gene sets its top genes fall into."
    Params: ClassVar[type[Params]] = EnrichmentParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE, TOPICS_RNA)
    uses: ClassVar[tuple[str, ...]] = (JOINT_STAGE,)
    resources: ClassVar[tuple[tuple[str, ...], ...]] = (("gene_sets",),)
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot(
            "rna",
            "uns",
            keys.ENRICHMENT_UNS,
            "table, one row per topic and term",
            "p-values, odds ratios, overlaps",
        ),
    )
    look: ClassVar[str] = "The first terms of a topic should fit the cells in which the topic is high."
    tune: ClassVar[str] = "Fewer top genes make the terms more specific; more of them make small sets detectable."

    def reads_clusters(self, params: EnrichmentParams, resources: Resources, present: Container[Slot]) -> bool:
        """Return False: clusters change nothing here."""
        return False

    def run(self, data: MuData, params: EnrichmentParams, context: Context) -> Result:
        """Test all gene sets against the top genes of every topic."""
        from mira_nb.stages.shared.flags import mark_figures, mark_tables, topic_flags

        from .compute import compute
        from .figures import figures
        from .report import alerts, files, methods, metrics, tables

        tested = compute(data, params, context)
        context.progress(0.85, "figures")
        flags = topic_flags(data)
        return Result(
            slots={Slot("rna", "uns", ENRICHMENT_UNS): tested.table},
            tables=mark_tables(tables(tested), flags),
            figures=mark_figures(figures(tested), flags),
            metrics=metrics(tested),
            alerts=alerts(tested),
            files=files(tested),
            methods=methods(tested),
        )

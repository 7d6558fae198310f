"""Stage regulation: LITE and NITE models of each gene, NITE scores, chromatin differential, primed genes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import MOTIFS, PREPARE, REGULATION, TOPICS_ATAC, TOPICS_RNA, TRAJECTORY
from mira_nb.stages.base import Context, Memory, Stage, no_better_groups
from mira_nb.stages.params import Params
from mira_nb.stages.result import Deferred, Result, Slot

from .params import RegulationParams

if TYPE_CHECKING:
    from collections.abc import Container

    from mudata import MuData

    from mira_nb.io.resources import Resources


OVER_LINEAGES = (
    "topic_nite_streams",
    "state_nite",
    "terminal_nite",
    "primed_genes",
    "state_nite_tests",
    "terminal_nite_tests",
)
"""Figures and tables over the lineages, which carry the verdict on them."""


class RegulationStage(Stage[RegulationParams]):
    """Tell genes that follow the chromatin around them (LITE) from genes that follow the cell's state (NITE)."""

    name: ClassVar[str] = REGULATION
    title: ClassVar[str] = "LITE and NITE regulation"
    purpose: ClassVar[str] = (
        "Predicts each gene's expression from the accessibility around it, and finds genes, cells and programmes whose "
        "expression the local chromatin does not explain."
    )
    Params: ClassVar[type[Params]] = RegulationParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE, TOPICS_RNA, TOPICS_ATAC)
    uses: ClassVar[tuple[str, ...]] = (keys.JOINT_STAGE, MOTIFS, TRAJECTORY)
    resources: ClassVar[tuple[tuple[str, ...], ...]] = (("tss",),)
    optional_resources: ClassVar[tuple[str, ...]] = ("groups", "labels")
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot(
            "rna",
            "varm",
            keys.RP_PARAMETERS,
            "genes x parameters",
            "as named; decay distances in kb",
        ),
        Slot("rna", "layers", keys.LITE_PREDICTION, "cells x genes", "predicted fraction of the counts"),
        Slot("rna", "layers", keys.NITE_PREDICTION, "cells x genes", "predicted fraction of the counts"),
        Slot("rna", "layers", keys.CHROMATIN_DIFFERENTIAL, "cells x genes", "natural log of LITE over NITE prediction"),
        Slot(
            "rna",
            "var",
            keys.NITE_SCORE,
            "genes",
            "likelihood ratio, scaled by the cells that express the gene",
        ),
        Slot(
            "joint",
            "obs",
            keys.NITE_SCORE,
            "cells",
            "likelihood ratio, scaled by the genes expressed in the cell",
        ),
    )
    also_writes: ClassVar[tuple[Slot, ...]] = (
        Slot("rna", "var", keys.NITE_PVALUE, "genes", "p-value"),
        Slot("rna", "var", keys.NITE_FDR, "genes", "false discovery rate"),
        Slot("rna", "var", keys.NITE_SHARE, "genes", "fraction, 0 to 1"),
        Slot("rna", "uns", keys.PRIMED_GENES, "mapping", "class of each gene at each branch, where there is one"),
        Slot("rna", "uns", keys.PEAK_SETS, "mapping", "peaks of each gene, with distances in bp"),
        Slot("rna", "uns", keys.GENE_MODELS, "mapping", "bodies and exons of genes, where the file of --tss has them"),
    )
    memory: ClassVar[Memory] = Memory(740, 9.5, 6)
    look: ClassVar[str] = (
        "Most genes should be fitted, and links of peaks and genes should be more common near the start sites."
    )
    tune: ClassVar[str] = "A wider window catches more distant peaks and takes longer."

    def reads_clusters(self, params: RegulationParams, resources: Resources, present: Container[Slot]) -> bool:
        """Return whether clusters are the groups compared, or may be those of a branch that is named."""
        return bool(params.branches) or no_better_groups(resources, present)

    def run(self, data: MuData, params: RegulationParams, context: Context) -> Result:
        """Fit LITE and NITE models, test them, and report."""
        from mira_nb.stages.shared.flags import mark_figures, topic_flags
        from mira_nb.stages.shared.verdicts import (
            caveat_alerts,
            data_caveats,
            mark_lineage_figures,
            mark_lineage_tables,
        )

        from .compute import compute
        from .figures import figures, track_files
        from .primed import primed_genes, stored_classes
        from .report import alerts, methods, metrics, tables

        def part(first: float, last: float):  # type: ignore[no-untyped-def]
            return lambda fraction, message: context.progress(first + (last - first) * fraction, message)

        found = compute(data, params, context, part(0.0, 0.9))
        context.progress(0.92, "tables and figures")
        limits = data_caveats(data)
        return Result(
            slots={
                Slot("rna", "varm", keys.RP_PARAMETERS): found.parameters(),
                Slot("rna", "layers", keys.LITE_PREDICTION): Deferred(partial(found.layer, "lite")),
                Slot("rna", "layers", keys.NITE_PREDICTION): Deferred(partial(found.layer, "nite")),
                Slot("rna", "layers", keys.CHROMATIN_DIFFERENTIAL): Deferred(partial(found.layer, "differential")),
                Slot("rna", "var", keys.NITE_SCORE): found.per_gene(found.nite_score),
                Slot("rna", "var", keys.NITE_PVALUE): found.per_gene(found.pvalue),
                Slot("rna", "var", keys.NITE_FDR): found.per_gene(found.fdr),
                Slot("rna", "var", keys.NITE_SHARE): found.per_gene(found.nite_share),
                Slot("rna", "uns", keys.PEAK_SETS): found.stored_sets(),
                **({Slot("rna", "uns", keys.GENE_MODELS): found.models} if found.models else {}),
                Slot("rna", "uns", keys.PRIMED_GENES): stored_classes(primed_genes(found)),
                Slot("joint", "obs", keys.NITE_SCORE): found.cell_score,
            },
            tables=mark_lineage_tables(tables(found), limits, names=OVER_LINEAGES),
            figures=mark_lineage_figures(mark_figures(figures(found), topic_flags(data)), limits, names=OVER_LINEAGES),
            metrics=metrics(found),
            alerts=[*alerts(found), *caveat_alerts(limits)],
            files=track_files(found),
            methods=methods(found),
        )

"""Stage motifs: transcription factor binding sites in peaks, their enrichment in topics and scores in cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import JOINT_STAGE, MOTIF_HITS, MOTIF_SCORES, MOTIFS, MOTIFS_UNS, PREPARE, TOPICS_ATAC
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import MotifsParams

if TYPE_CHECKING:
    from collections.abc import Container

    from mudata import MuData

    from mira_nb.io.resources import Resources


class MotifsStage(Stage[MotifsParams]):
    """Motif hits, their enrichment in accessibility topics, and motif scores of cells."""

    name: ClassVar[str] = MOTIFS
    title: ClassVar[str] = "Motifs of accessibility topics"
    purpose: ClassVar[str] = (
        "Finds the binding sites of transcription factors in the peaks, tests which are enriched in each "
        "accessibility topic, and scores every factor in every cell."
    )
    Params: ClassVar[type[Params]] = MotifsParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE, TOPICS_ATAC)
    uses: ClassVar[tuple[str, ...]] = (JOINT_STAGE,)
    resources: ClassVar[tuple[tuple[str, ...], ...]] = (("motif_hits",), ("genome", "motifs"))
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("atac", "varm", keys.MOTIF_HITS, "peaks x motifs, sparse", "1 where the motif occurs, else 0"),
        Slot("atac", "uns", keys.MOTIFS_UNS, "table, one row per motif", "identifiers and names of the factors"),
        Slot("joint", "obsm", keys.MOTIF_SCORES, "cells x motifs", "standard deviations over cells"),
    )
    look: ClassVar[str] = (
        "The factors at the top of a topic should be expressed in the cells in which the topic is high."
    )
    tune: ClassVar[str] = (
        "A smaller p-value keeps stronger sites only; a higher quantile looks at the most characteristic peaks only."
    )

    def reads_clusters(self, params: MotifsParams, resources: Resources, present: Container[Slot]) -> bool:
        """Return False: clusters change nothing here."""
        return False

    def run(self, data: MuData, params: MotifsParams, context: Context) -> Result:
        """Find or read hits, test them in topics, score them in cells, and report."""
        from mira_nb.stages.shared.flags import mark_figures, mark_tables, topic_flags

        from .compute import compute
        from .figures import figures
        from .report import alerts, files, methods, metrics, tables

        done = compute(data, params, context)
        context.progress(0.85, "figures")
        flags = topic_flags(data)
        return Result(
            slots={
                Slot("atac", "varm", MOTIF_HITS): done.found.hits,
                Slot("atac", "uns", MOTIFS_UNS): done.motifs,
                Slot("joint", "obsm", MOTIF_SCORES): done.scores,
            },
            tables=mark_tables(tables(done), flags),
            figures=mark_figures(figures(done), flags),
            metrics=metrics(done),
            alerts=alerts(done),
            files=files(done),
            methods=methods(done),
        )

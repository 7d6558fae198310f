"""Stage motifs: sites of transcription factors in peaks, in topics and in cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from mira_nb.keys import (
    JOINT_STAGE,
    MOTIF_HITS,
    MOTIF_SCORES,
    MOTIFS,
    MOTIFS_UNS,
    PREPARE,
    TOPICS_ATAC,
)

from .base import Context, Params, Result, Slot, Stage, param

if TYPE_CHECKING:
    from mudata import MuData


class MotifsParams(Params):
    """Parameters of the stage motifs."""

    pvalue: float = param(
        1e-5,
        "A site is a hit when random sequence scores as high at one position with at most this chance. Not used for "
        "precomputed hits.",
        gt=0,
        le=0.01,
    )
    top_quantile: float = param(
        0.2,
        "Share of the modelled peaks, the most activated ones, that counts as a topic's top peaks in the test.",
        unit="share",
        gt=0,
        lt=1,
    )
    letters: Literal["uniform", "peaks"] = param(
        "uniform",
        "Random sequence for the p value: all four letters equally frequent, or as frequent as in the peaks (fewer "
        "hits of GC-rich motifs in GC-rich peaks).",
        advanced=True,
    )
    pseudocount: float = param(
        0.01, "Added to each position of a motif's count matrix.", unit="counts", gt=0, le=10, advanced=True
    )
    level: float = param(0.05, "False discovery rate below which a motif is called enriched.", gt=0, lt=1)
    family_similarity: float = param(
        0.4,
        "Motifs whose hits have at least this cosine similarity (average linkage) form one family.",
        gt=0,
        le=1,
        advanced=True,
    )
    show: list[str] = param(
        [], "Factors to draw on the map of cells; empty: the best of each accessibility topic's enriched families."
    )
    n_show: int = param(
        24, "At most this many factors are drawn when none are named.", unit="factors", ge=1, le=100, advanced=True
    )


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

    def run(self, data: MuData, params: MotifsParams, context: Context) -> Result:
        """Find or read hits, test them in topics, score them in cells."""
        from ._motifs_figures import figures
        from ._motifs_hits import find_hits
        from ._motifs_report import alerts, files, methods, metrics, tables
        from ._motifs_tests import analyse

        found = find_hits(data, params, context)
        context.progress(0.7, "testing topics and scoring cells")
        done = analyse(data, params, found)
        context.progress(0.85, "figures")
        return Result(
            slots={
                Slot("atac", "varm", MOTIF_HITS): found.hits,
                Slot("atac", "uns", MOTIFS_UNS): done.motifs,
                Slot("joint", "obsm", MOTIF_SCORES): done.scores,
            },
            tables=tables(done),
            figures=figures(done),
            metrics=metrics(done),
            alerts=alerts(done),
            files=files(done),
            methods=methods(done),
        )

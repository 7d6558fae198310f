"""Stage comparisons: what differs between groups of cells, tested."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb.keys import (
    COMPARISONS,
    COVERAGE,
    JOINT_STAGE,
    LINEAGE_STATE,
    MOTIFS,
    PREPARE,
    REGULATION,
    TOPICS_ATAC,
    TOPICS_RNA,
    TRAJECTORY,
)
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import ComparisonsParams

if TYPE_CHECKING:
    from mudata import MuData


class ComparisonsStage(Stage[ComparisonsParams]):
    """Tests of genes, topics, motif scores and NITE scores between groups; topics shared by groups.

    Rank-sum tests over cells and, where --batch names enough samples, paired t-tests over samples.
    """

    name: ClassVar[str] = COMPARISONS
    title: ClassVar[str] = "Comparisons"
    reads_layers: ClassVar[bool] = False
    purpose: ClassVar[str] = (
        "Tests which genes, topics, motif scores and NITE scores differ between groups of cells, and says which topics "
        "the groups share."
    )
    Params: ClassVar[type[Params]] = ComparisonsParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE, TOPICS_RNA, TOPICS_ATAC, JOINT_STAGE)
    uses: ClassVar[tuple[str, ...]] = (MOTIFS, TRAJECTORY, REGULATION)
    optional_resources: ClassVar[tuple[str, ...]] = ("groups", "labels", "batch", "fragments")
    writes: ClassVar[tuple[Slot, ...]] = ()
    also_writes: ClassVar[tuple[Slot, ...]] = (
        Slot("atac", "uns", COVERAGE, "mapping", "cuts of each group around start sites; with --fragments"),
    )
    look: ClassVar[str] = "Read the effect size before the p-value: with many cells small differences are significant."
    tune: ClassVar[str] = "Choose the annotation whose groups you want to compare."

    def run(self, data: MuData, params: ComparisonsParams, context: Context) -> Result:
        """Choose the groups, test every quantity, classify the topics and draw."""
        from mira_nb.stages.shared.flags import mark_figures, topic_flags
        from mira_nb.stages.shared.verdicts import caveat_alerts, data_caveats

        from .compute import compute
        from .coverage import fragment_coverage
        from .figures import figures
        from .report import alerts, methods, metrics, tables

        done = compute(data, params, context)
        limits = data_caveats(data) if done.grouping == LINEAGE_STATE else []
        context.progress(0.85, "coverage of fragments")
        coverage = fragment_coverage(data, context.resources)
        context.progress(0.9, "figures")
        return Result(
            slots={Slot("atac", "uns", COVERAGE): coverage} if coverage else {},
            tables=tables(done),
            figures=mark_figures(figures(done), topic_flags(data)),
            metrics=metrics(done),
            alerts=[*alerts(done), *caveat_alerts(limits)],
            methods=methods(done, coverage_width=coverage.get("width", 0)),
        )

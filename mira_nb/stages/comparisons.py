"""Stage comparisons: what differs between groups of cells, tested."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from mira_nb.keys import COMPARISONS, JOINT_STAGE, MOTIFS, PREPARE, REGULATION, TOPICS_ATAC, TOPICS_RNA, TRAJECTORY

from .base import Context, Params, Result, Stage, param

if TYPE_CHECKING:
    from mudata import MuData


class ComparisonsParams(Params):
    """Parameters of the stage comparisons."""

    grouping: Literal["auto", "groups", "lineage_state", "leiden"] = param(
        "auto",
        "Which groups of cells are compared: the annotation given with --groups, the states of the lineage tree, or "
        "the "
        "Leiden clusters; auto takes the first of these that there is.",
    )
    contrast: Literal["auto", "pairs", "rest"] = param(
        "auto", "Compare every two groups (pairs) or every group with all others (rest); auto: pairs up to 6 groups."
    )
    pairs: list[str] = param([], "Contrasts by name, as 'group 1 | group 2'; replaces the contrasts above.")
    genes: list[str] = param([], "Genes to test; empty: all modelled genes.")
    draw: list[str] = param([], "Genes to draw; empty: the gene that best marks each group.")
    n_draw: int = param(6, "At most this many genes are drawn when none are named.", unit="genes", ge=1, le=40)
    alpha: float = param(0.05, "Adjusted p below this gets a star.", gt=0, lt=1)
    shared_fraction: float = param(
        0.5,
        "A topic belongs to a group whose mean proportion is at least this share of the highest group's.",
        gt=0,
        le=1,
    )
    min_cells: int = param(10, "Groups with fewer cells are not compared.", unit="cells", ge=3, le=1000)
    min_cells_per_sample: int = param(
        10,
        "With --batch: a sample takes part in a test over samples when it holds this many cells of both groups.",
        unit="cells",
        ge=2,
        le=1000,
    )


class ComparisonsStage(Stage[ComparisonsParams]):
    """Tests of genes, topics, motif scores and NITE scores between groups; topics shared by groups.

    Rank-sum tests over cells and, where --batch names enough samples, paired t-tests over samples.
    """

    name: ClassVar[str] = COMPARISONS
    title: ClassVar[str] = "Comparisons"
    purpose: ClassVar[str] = (
        "Tests which genes, topics, motif scores and NITE scores differ between groups of cells, and says which topics "
        "the groups share."
    )
    Params: ClassVar[type[Params]] = ComparisonsParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE, TOPICS_RNA, TOPICS_ATAC, JOINT_STAGE)
    uses: ClassVar[tuple[str, ...]] = (MOTIFS, TRAJECTORY, REGULATION)
    optional_resources: ClassVar[tuple[str, ...]] = ("groups", "batch")

    def run(self, data: MuData, params: ComparisonsParams, context: Context) -> Result:
        """Choose the groups, test every quantity, classify the topics and draw."""
        from ._comparisons_figures import figures
        from ._comparisons_report import alerts, methods, metrics, tables
        from ._comparisons_run import compare

        done = compare(data, params, context)
        context.progress(0.85, "figures")
        return Result(
            tables=tables(done),
            figures=figures(done),
            metrics=metrics(done),
            alerts=alerts(done),
            methods=methods(done),
        )

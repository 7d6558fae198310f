"""Stage drivers: in-silico deletion of every factor for every gene, and tests of gene sets for driver factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import DRIVERS, MOTIFS, REGULATION

from .base import Context, Params, Result, Slot, Stage, param

if TYPE_CHECKING:
    from mudata import MuData


class DriversParams(Params):
    """Parameters of the stage drivers."""

    n_cells: int = param(
        1500,
        "Cells on which a gene is scored, drawn in equal numbers from quanta of its expression.",
        unit="cells",
        ge=50,
    )
    n_bins: int = param(20, "Quanta of expression.", ge=1, le=500, advanced=True)
    queries: dict[str, list[str]] = param(
        {}, "Gene sets of your own to test besides those of topics and groups: {name: [gene, ...]}."
    )
    n_top: int = param(
        150, "Genes of an automatic query: top genes of a topic, marker genes of a group.", ge=5, le=5000
    )
    topics: bool = param(True, "Test the top genes of each expression topic.")
    groups: bool = param(True, "Test the marker genes of each group of cells.")
    level: float = param(0.05, "False discovery rate below which a factor is called a driver.", gt=0, lt=1)
    compare: list[str] = param([], "Two queries for the two-set scatter; empty: the two with most drivers.")
    factors: list[str] = param(
        [], "Two factors whose targets are compared in NITE score; empty: the best drivers of the compared queries."
    )
    n_targets: int = param(150, "Targets of a factor: its genes of highest association score.", ge=5, advanced=True)


class DriversStage(Stage[DriversParams]):
    """Factors that regulate a gene or a set of genes."""

    name: ClassVar[str] = DRIVERS
    title: ClassVar[str] = "Driver factors"
    purpose: ClassVar[str] = (
        "Masks the binding sites of each factor in the LITE models and finds the factors whose loss hurts a set of "
        "genes "
        "most."
    )
    Params: ClassVar[type[Params]] = DriversParams
    needs: ClassVar[tuple[str, ...]] = (REGULATION, MOTIFS)
    uses: ClassVar[tuple[str, ...]] = (keys.JOINT_STAGE, keys.TRAJECTORY)
    optional_resources: ClassVar[tuple[str, ...]] = ("groups",)

    def run(self, data: MuData, params: DriversParams, context: Context) -> Result:
        """Score genes and factors, test queries, draw."""
        from ._drivers_fit import find_drivers
        from ._drivers_report import alerts, figures, methods, metrics, tables

        found = find_drivers(data, params, context)
        context.progress(0.95, "tables and figures")
        return Result(
            slots={Slot("rna", "varm", keys.ISD_SCORES): found.score_frame()},
            tables=tables(found),
            figures=figures(found),
            metrics=metrics(found),
            alerts=alerts(found),
            methods=methods(found),
        )

"""Stage drivers: in-silico deletion of every factor for every gene, and tests of gene sets for driver factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import DRIVERS, MOTIFS, REGULATION
from mira_nb.stages.base import Context, Stage, no_better_groups
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import DriversParams

if TYPE_CHECKING:
    from collections.abc import Container

    from mudata import MuData

    from mira_nb.io.resources import Resources


class DriversStage(Stage[DriversParams]):
    """Find the factors that regulate a gene or a set of genes."""

    name: ClassVar[str] = DRIVERS
    title: ClassVar[str] = "Driver factors"
    reads_layers: ClassVar[bool] = False
    purpose: ClassVar[str] = (
        "Masks the binding sites of each factor in the LITE models and finds the factors whose loss hurts a set of "
        "genes most."
    )
    Params: ClassVar[type[Params]] = DriversParams
    needs: ClassVar[tuple[str, ...]] = (REGULATION, MOTIFS)
    uses: ClassVar[tuple[str, ...]] = (keys.JOINT_STAGE, keys.TRAJECTORY)
    optional_resources: ClassVar[tuple[str, ...]] = ("groups", "labels", "genome", "motifs")
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("rna", "varm", keys.ISD_SCORES, "genes x motifs", "-2 log likelihood ratio"),
    )
    look: ClassVar[str] = "Factors at the top should have a motif and be expressed when the genes of the query are."
    tune: ClassVar[str] = "Name your own gene lists as queries to ask for the factors that drive them."

    def reads_clusters(self, params: DriversParams, resources: Resources, present: Container[Slot]) -> bool:
        """Return whether clusters are the groups compared."""
        return no_better_groups(resources, present)

    def run(self, data: MuData, params: DriversParams, context: Context) -> Result:
        """Score genes and factors, test gene sets for drivers, and report."""
        from mira_nb.stages.shared.cells import cell_groups
        from mira_nb.stages.shared.verdicts import caveat_alerts, data_caveats

        from .compute import compute
        from .figures import figures
        from .report import alerts, methods, metrics, tables

        found = compute(data, params, context)
        groups = cell_groups(data, context.resources)
        context.progress(0.95, "tables and figures")
        return Result(
            slots={Slot("rna", "varm", keys.ISD_SCORES): found.score_frame()},
            tables=tables(found),
            figures=figures(found),
            metrics=metrics(found),
            alerts=[*alerts(found), *(caveat_alerts(data_caveats(data)) if groups is None else [])],
            methods=methods(found),
        )

"""Stage trajectory: pseudotime, terminal states, fate probabilities, lineage tree, streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import JOINT_STAGE, MOTIFS, TRAJECTORY
from mira_nb.stages.base import Context, Memory, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import TrajectoryParams

if TYPE_CHECKING:
    from collections.abc import Container

    from mudata import MuData

    from mira_nb.io.resources import Resources


OVER_LINEAGES = ("lineage_tree", "terminal_states", "continuity", "branch_times", "threshold_sweep")
"""Tables that depend on which lineages there are and where they begin."""


class TrajectoryStage(Stage[TrajectoryParams]):
    """Infer Palantir pseudotime on the joint graph, fate probabilities, lineage tree; draw stream graphs."""

    name: ClassVar[str] = TRAJECTORY
    title: ClassVar[str] = "Trajectory"
    purpose: ClassVar[str] = (
        "Orders cells along their differentiation, finds where it ends and branches, and draws topics, genes and motif "
        "scores along it."
    )
    Params: ClassVar[type[Params]] = TrajectoryParams
    needs: ClassVar[tuple[str, ...]] = (JOINT_STAGE,)
    uses: ClassVar[tuple[str, ...]] = (keys.TUNING_RNA, keys.TUNING_ATAC, MOTIFS)
    optional_resources: ClassVar[tuple[str, ...]] = ("start_cell", "groups", "labels", "batch")
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot("joint", "obs", keys.PSEUDOTIME, "cells", "0 (start) to 1; NaN outside the trajectory"),
        Slot("joint", "obs", keys.LINEAGE_STATE, "cells", "node of the lineage tree"),
        Slot("joint", "obsm", keys.FATE_PROBABILITIES, "cells x lineages", "probability, rows sum to 1"),
        Slot("joint", "obsp", keys.TRANSPORT_MAP, "cells x cells, sparse", "probability of a step, rows sum to 1"),
        Slot(
            "joint",
            "uns",
            keys.LINEAGE_TREE,
            "mapping",
            "nodes with parent, branch time (pseudotime), number of cells",
        ),
    )
    also_writes: ClassVar[tuple[Slot, ...]] = (
        Slot(
            "joint",
            "obs",
            keys.PSEUDOTIME_ALTERNATIVE,
            "cells",
            "0 to 1, in the other orientation where the direction is open",
        ),
        Slot("joint", "obs", keys.LINEAGE_STATE_ALTERNATIVE, "cells", "node, in the other orientation"),
        Slot(
            "joint",
            "obsm",
            keys.FATE_PROBABILITIES_ALTERNATIVE,
            "cells x lineages",
            "probability, in the other orientation",
        ),
    )
    memory: ClassVar[Memory] = Memory(620, 10.5)
    look: ClassVar[str] = (
        "Pseudotime should grow from the start cell outwards, and each terminal state should be a cell type "
        "that you expect to be an end point."
    )
    tune: ClassVar[str] = (
        "Name a start cell if the beginning is wrong; raise the branch threshold if branches separate too early."
    )

    def reads_clusters(self, params: TrajectoryParams, resources: Resources, present: Container[Slot]) -> bool:
        """Return False: clusters change nothing here."""
        return False

    def run(self, data: MuData, params: TrajectoryParams, context: Context) -> Result:
        """Infer the trajectory and draw it."""
        from mira_nb.stages.shared.flags import mark_figures, topic_flags
        from mira_nb.stages.shared.verdicts import mark_lineage_figures, mark_lineage_tables

        from .compute import compute
        from .figures import figures
        from .orientation import caveats
        from .report import alerts, methods, metrics, slots, tables

        traced = compute(data, params, context)
        context.progress(0.75, "streams")
        limits = caveats(traced)
        shown = figures(traced, context)
        over = [figure.name for figure in shown if figure.name not in ("diffusion_spectrum", "orientation_maps")]
        drawn = mark_lineage_figures(shown, limits, names=over)
        return Result(
            slots=slots(traced),
            tables=mark_lineage_tables(tables(traced), limits, names=OVER_LINEAGES),
            figures=mark_figures(drawn, topic_flags(data)),
            metrics=metrics(traced),
            alerts=alerts(traced),
            methods=methods(traced),
        )

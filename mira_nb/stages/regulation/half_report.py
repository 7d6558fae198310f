"""Tables, key figure, alert and figure of the NITE calls with half of the cells."""

from __future__ import annotations

from mira_nb.charts.regulation import half_scatter
from mira_nb.core.regulation.learning_curve import FEWEST_CELLS, FEWEST_GENES, N_NULL
from mira_nb.stages.result import Alert, Figure, Metric, Table
from mira_nb.stages.texts import Texts

from .compute import RegulationOutput

TEXTS = Texts(__package__)


def half_tables(found: RegulationOutput) -> list[Table]:
    """Return the agreement of the calls, and the genes behind it; nothing where no halves were fitted."""
    halves, p = found.halves, found.params
    if halves is None:
        return []
    return [
        TEXTS.table(
            "learning_curve",
            halves.table,
            level=p.level,
            min_share=p.min_share,
            n_null=N_NULL,
            sentence=halves.sentence,
        ),
        TEXTS.table("learning_curve_genes", halves.gene_table(found.genes)),
    ]


def half_figures(found: RegulationOutput) -> list[Figure]:
    """Return the scores with half of the cells against those with all."""
    if found.halves is None:
        return []
    chart = half_scatter(found.halves.points(found.genes))
    return [TEXTS.figure("learning_curve", chart, sentence=found.halves.sentence)]


def half_metrics(found: RegulationOutput) -> list[Metric]:
    """Return the mean agreement of the calls of half of the cells with those of all."""
    if found.halves is None:
        return []
    value = round(found.halves.mean("jaccard"), 3)
    return [TEXTS.metric("half_of_cells", value, sentence=found.halves.sentence)]


def half_alerts(found: RegulationOutput) -> list[Alert]:
    """Return that cells or genes are too few, where halves were asked for."""
    if found.halves is not None or not found.params.learning_curve:
        return []
    return [
        TEXTS.alert(
            "no_learning_curve",
            fewest_cells=FEWEST_CELLS,
            fewest_genes=FEWEST_GENES,
            n_cells=found.cells.n_cells,
            n_genes=int(found.ok.sum()),
        )
    ]

"""Tables, figures, metrics, alerts and methods text of the stage drivers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.stages.result import Alert, Metric, Table
from mira_nb.stages.texts import Texts

from .compute import COLUMNS, FURTHER, LEAST_GENES, DriversOutput
from .targets import SAME_GENES, same_programme, target_comparison

TEXTS = Texts(__package__)

MAX_LISTED = 200
"""Genes of a set that the table of gene sets lists."""


def tables(found: DriversOutput) -> list[Table]:
    """Return the tables: driver tests, gene sets, comparison of two factors' targets."""
    columns = [*COLUMNS, *FURTHER]
    names = np.array(found.genes, dtype=object)
    sizes = pd.DataFrame(
        {
            "query": list(found.queries),
            "source": [found.sources[name] for name in found.queries],
            "n_genes": [int(mask.sum()) for mask in found.queries.values()],
            "same_as": [", ".join(same_programme(found, name)) for name in found.queries],
            "genes": [", ".join(names[mask][:MAX_LISTED]) for mask in found.queries.values()],
        }
    )
    out = [
        TEXTS.table(
            "driver_factors",
            found.table[columns],
            n_tests=len(found.table),
            n_decoys=found.n_decoys,
            n_drivers=_n_drivers(found),
            level=found.params.level,
            least=found.params.min_effect,
        ),
        TEXTS.table("queries", sizes, n_listed=MAX_LISTED, least=SAME_GENES),
    ]
    if len(found.contrast):
        out.append(
            TEXTS.table(
                "primed_contrast",
                found.contrast,
                n_decoys=found.n_decoys,
                level=found.params.level,
                least=found.params.min_effect,
                n_lineages=found.contrast["query"].nunique(),
                n_called=int(found.contrast["called"].astype(bool).sum()),
            )
        )
    _, row = target_comparison(found)
    if len(row):
        out.append(TEXTS.table("target_nite_test", row))
    return out


def _n_drivers(found: DriversOutput) -> int:
    """Count the called pairs of gene set and factor."""
    return int(found.table["called"].astype(bool).sum())


def metrics(found: DriversOutput) -> list[Metric]:
    """Return the key figures."""
    return [
        TEXTS.metric("genes_scored", int(found.scored.sum())),
        TEXTS.metric("factors", len(found.labels)),
        TEXTS.metric("gene_sets_tested", int(found.table["query"].nunique()), least=LEAST_GENES),
        TEXTS.metric(
            "driver_factors",
            int(found.table.loc[found.table["called"].astype(bool), "motif_id"].nunique()),
            level=found.params.level,
            least=found.params.min_effect if found.n_decoys else None,
            n_pairs=_n_drivers(found),
        ),
    ]


def alerts(found: DriversOutput) -> list[Alert]:
    """Return which gene sets could not be tested, which names were not found and which factors have no sites."""
    out = [TEXTS.alert("unknown_genes", query=name, genes=missing) for name, missing in found.unknown.items()]
    if found.skipped:
        out.append(TEXTS.alert("small_gene_sets", sizes=found.skipped, least=LEAST_GENES))
    silent = int((np.nan_to_num(found.deletion.n_sites).sum(axis=0) == 0).sum())
    if not found.n_decoys:
        out.append(TEXTS.alert("no_decoys", level=found.params.level))
    if silent:
        out.append(TEXTS.alert("silent_factors", n_silent=silent))
    return out


def methods(found: DriversOutput) -> str:
    """Return the paragraph for the methods section."""
    used = found.deletion.n_cells[found.scored]
    return TEXTS.methods(
        n_genes=int(found.scored.sum()),
        n_factors=len(found.labels),
        n_cells=int(used.max()) if len(used) else 0,
        n_bins=found.params.n_bins,
        n_sets=len(found.queries),
        sources=set(found.sources.values()),
        n_top=found.params.n_top,
        n_decoys=found.n_decoys,
        n_match=found.params.n_match,
        matched=found.matched,
        lineages=[item.names[0] for item in found.lineages],
        level=found.params.level,
        least=found.params.min_effect,
    )

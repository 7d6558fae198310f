"""Association scores of all genes with all factors, and driver tests of gene sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from natsort import natsorted, ns
from numpy.typing import NDArray
from scipy import sparse

from mira_nb.core.regulation.deletion import DeletionScores, driver_test
from mira_nb.core.statistics.rank_tests import benjamini_hochberg, log2_fold_change, rank_sum
from mira_nb.counts import scaled
from mira_nb.errors import StoreError
from mira_nb.keys import (
    ATAC,
    LEIDEN,
    LINEAGE_STATE,
    MOTIF_HITS,
    MOTIFS_UNS,
    NITE_SCORE,
    RNA,
    TOPIC_ACTIVATIONS,
)
from mira_nb.stages.base import Context
from mira_nb.stages.shared.cells import cell_groups, topic_frame
from mira_nb.stages.texts import Texts
from mira_nb.typing import Floats, Ints

from .factors import cell_weights, factor_expression, families
from .matched import add_decoy_test
from .primed import CONTRAST_COLUMNS, LineageSets, add_sets, contrast_tests, lineage_sets
from .scores import score

if TYPE_CHECKING:
    from mudata import MuData

    from .params import DriversParams

TEXTS = Texts(__package__)


COLUMNS = (
    "query",
    "factor",
    "motif_id",
    "statistic",
    "pvalue",
    "adj_pvalue",
    "effect_size",
    "called",
    "n_query",
    "n_background",
)
"""Columns of the contract; further ones follow."""

FURTHER = (
    "log10_pvalue",
    "matched_pvalue",
    "excess_effect",
    "excess_low",
    "excess_high",
    "family",
    "best_of_family",
    "factor_expression",
    "factor_log2_fold",
)

LEAST_GENES = 3
"""Genes that a gene set and its background need for a test."""


@dataclass(frozen=True)
class DriversOutput:
    """Results of the stage drivers; arrays over genes follow `genes`, columns over factors follow `labels`.

    Attributes
    ----------
    genes
        Genes that the stage regulation was asked to model.
    position
        Their positions in the RNA matrix, (G,).
    factors
        One row per factor: id, name.
    labels
        Unique names of the factors.
    deletion
        Association scores, (G, factors).
    queries
        Masks of the gene sets over the genes, (G,) each.
    sources
        Where each gene set comes from.
    skipped
        Gene sets too small to test: numbers of their genes and of background genes with a LITE model.
    unknown
        Names of the user's gene sets that are no genes of the regulation stage.
    table
        One row per tested gene set and factor: :data:`COLUMNS`, :data:`FURTHER`, label.
    lineages
        Sets of the lineages of every branch: primed genes, and those that are not.
    contrast
        Tests of primed against not primed genes, one row per lineage and factor.
    n_decoys
        Decoys scored beside the factors.
    matched
        What decoys match of the peaks.
    nite_score
        NITE score of the genes, (G,).
    """

    data: MuData
    params: DriversParams
    genes: list[str]
    position: Ints
    factors: pd.DataFrame
    labels: list[str]
    deletion: DeletionScores
    queries: dict[str, NDArray[np.bool_]]
    sources: dict[str, str]
    skipped: dict[str, tuple[int, int]]
    unknown: dict[str, list[str]]
    table: pd.DataFrame
    lineages: list[LineageSets]
    contrast: pd.DataFrame
    n_decoys: int
    matched: tuple[str, ...]
    nite_score: Floats

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Genes with association scores."""
        return np.asarray(np.isfinite(self.deletion.scores).all(axis=1))

    def score_frame(self) -> pd.DataFrame:
        """Return the scores over all genes of the RNA matrix, NaN where there is no LITE model."""
        rna = self.data.mod[RNA]
        out = np.full((rna.n_vars, len(self.labels)), np.nan, dtype=np.float32)
        out[self.position] = self.deletion.scores
        return pd.DataFrame(out, index=rna.var_names, columns=self.labels)


def stored_motifs(data: MuData) -> tuple[pd.DataFrame, Any]:
    """Return the table of motifs (id, name ...) and the hits (peaks x factors) as the stage motifs leaves them.

    Raises
    ------
    StoreError
        The stage motifs has not run, or its parts do not fit together.
    """
    atac = data.mod[ATAC]
    if MOTIF_HITS not in atac.varm or MOTIFS_UNS not in atac.uns:
        raise TEXTS.error(StoreError, "no_hits")
    hits = sparse.csr_matrix(atac.varm[MOTIF_HITS])
    stored = atac.uns[MOTIFS_UNS]
    kept = [name for name in ("id", "name", "genes", "in_expr", "family") if name in stored]
    frame = pd.DataFrame({name: np.asarray(stored[name]).astype(str) for name in kept})
    if len(frame) != hits.shape[1]:
        raise TEXTS.error(StoreError, "hits_do_not_fit", n_motifs=len(frame), n_stored=hits.shape[1])
    return frame, hits


def factor_labels(factors: pd.DataFrame) -> list[str]:
    """Return unique names of the factors; those with several motifs carry the motif's id too."""
    twice = factors["name"].duplicated(keep=False)
    labels = factors["name"].where(~twice, factors["name"] + " " + factors["id"])
    return [str(label) for label in labels.where(~labels.duplicated(), factors["id"])]


def compute(data: MuData, params: DriversParams, context: Context) -> DriversOutput:
    """Score all fitted genes against all factors, then test every gene set for driver factors.

    Raises
    ------
    StoreError
        The stages motifs or regulation have not run, or their results do not fit together.
    """
    factors, hits = stored_motifs(data)
    found = score(data, params, context, hits)
    genes, position = found.genes, found.position
    context.progress(0.9, "driver tests")
    scores = found.deletion.scores
    scored = np.asarray(np.isfinite(scores).all(axis=1))
    lineages = lineage_sets(data, genes, scored) if params.primed else []
    queries, sources, unknown = _queries(data, params, context, genes, position, scored)
    add_sets(lineages, queries, sources)
    sizes = {name: (int(mask.sum()), int((scored & ~mask).sum())) for name, mask in queries.items()}
    skipped = {name: size for name, size in sizes.items() if min(size) < LEAST_GENES}
    labels = factor_labels(factors)
    tested = {name: mask for name, mask in queries.items() if name not in skipped}
    family = families(factors, labels, context, min_similarity=params.family_similarity)
    named = factors.assign(label=labels, family=family)
    table, contrast = pd.DataFrame(columns=[*COLUMNS, *FURTHER, "label"]), pd.DataFrame(columns=list(CONTRAST_COLUMNS))
    if tested:
        weights = cell_weights(data, list(tested), sources, tested, genes, _labels(data, context))
        rows = _published_tests(found.deletion, tested, named, factor_expression(data, factors, weights))
        masks = np.stack(list(tested.values()))[:, scored]
        table = add_decoy_test(rows, scores[scored], found.decoys[scored], masks, found.designs, params)
        contrast = contrast_tests(lineages, scores, found.decoys, named, found.designs, params, least=LEAST_GENES)
    return DriversOutput(
        data=data,
        params=params,
        genes=genes,
        position=position,
        factors=factors,
        labels=labels,
        deletion=found.deletion,
        queries=queries,
        sources=sources,
        skipped=skipped,
        unknown=unknown,
        table=table,
        lineages=lineages,
        contrast=contrast,
        n_decoys=found.decoys.shape[1],
        matched=found.matched,
        nite_score=data.mod[RNA].var[NITE_SCORE].to_numpy(float)[position],
    )


def _published_tests(
    deletion: DeletionScores,
    queries: dict[str, NDArray[np.bool_]],
    factors: pd.DataFrame,
    expression: tuple[Floats, Floats],
) -> list[pd.DataFrame]:
    """Return one table per gene set, rows in the order of the factors: the paper's test, and what is known of them."""
    rows = []
    for number, (name, mask) in enumerate(queries.items()):
        test = driver_test(deletion.scores, mask)
        test.insert(0, "query", name)
        test.insert(1, "factor", factors["name"].to_numpy())
        test.insert(2, "motif_id", factors["id"].to_numpy())
        test["family"], test["label"] = factors["family"].to_numpy(), factors["label"].to_numpy()
        test["factor_expression"], test["factor_log2_fold"] = (values[number] for values in expression)
        rows.append(test)
    return rows


def _queries(
    data: MuData,
    params: DriversParams,
    context: Context,
    genes: list[str],
    position: Ints,
    scored: NDArray[np.bool_],
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, str], dict[str, list[str]]]:
    """Return masks over the genes for the user's sets, topics and groups, their sources, and names not found."""
    queries: dict[str, NDArray[np.bool_]] = {}
    sources, unknown = {}, {}
    lower = {name.casefold(): i for i, name in reversed(list(enumerate(genes)))}
    for name, members in params.queries.items():
        mask = np.zeros(len(genes), dtype=bool)
        found = [lower[str(x).casefold()] for x in members if str(x).casefold() in lower]
        mask[found] = True
        queries[name], sources[name] = mask & scored, "gene list"
        missing = [str(x) for x in members if str(x).casefold() not in lower]
        if missing:
            unknown[name] = missing
    size = min(params.n_top, max(int(scored.sum()) // 4, 3))
    if params.topics and TOPIC_ACTIVATIONS in data.mod[RNA].varm:
        values = np.asarray(data.mod[RNA].varm[TOPIC_ACTIVATIONS], dtype=np.float64)[position]
        for t, name in enumerate(topic_frame(data, RNA).columns):
            _add(queries, sources, f"topic {name}", values[:, t], scored, size, "top genes of an expression topic")
    labels = _labels(data, context) if params.groups else None
    if labels is not None and labels.nunique() > 1:
        counts = sparse.csr_matrix(data.mod[RNA].X, dtype=np.float64)
        expression = scaled(counts[:, position], np.asarray(counts.sum(axis=1)).ravel())
        for name in natsorted(labels.unique(), alg=ns.IGNORECASE):
            inside = (labels == name).to_numpy()
            if min(inside.sum(), (~inside).sum()) < 3:
                continue
            one, other = expression[inside], expression[~inside]
            adjusted = benjamini_hochberg(rank_sum(one, other).pvalue)
            change = log2_fold_change(one, other, pseudocount=0.01)
            rank = np.where((adjusted < 0.05) & (change > 0), change, -np.inf)
            _add(queries, sources, f"markers of {name}", rank, scored, size, "marker genes of a group")
    return queries, sources, unknown


def _add(
    queries: dict[str, NDArray[np.bool_]],
    sources: dict[str, str],
    name: str,
    rank: Floats,
    scored: NDArray[np.bool_],
    size: int,
    source: str,
) -> None:
    """Add the best `size` scored genes of a ranking as the gene set `name`."""
    usable = np.where(scored & np.isfinite(rank), rank, -np.inf)
    order = np.argsort(-usable, kind="stable")[:size]
    mask = np.zeros(len(rank), dtype=bool)
    mask[order[np.isfinite(usable[order])]] = True
    queries[name], sources[name] = mask, source


def _labels(data: MuData, context: Context) -> pd.Series | None:
    """Return the groups of cells: given by the user, else lineage states, else clusters; None without any."""
    given = cell_groups(data, context.resources)
    if given is not None:
        return given
    for key in (LINEAGE_STATE, LEIDEN):
        if key in data.obs:
            values = data.obs[key].astype(str)
            return values.replace({"": "no state", "nan": "no state"})
    return None

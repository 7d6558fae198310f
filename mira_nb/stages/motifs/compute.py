"""Motif enrichment in topics, motif scores of cells, motif families, and expression of the factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.motifs import (
    motif_families,
    normalize_motif_scores,
    rank_correlation,
    raw_motif_scores,
    topic_enrichment,
)
from mira_nb.core.statistics.rank_tests import benjamini_hochberg
from mira_nb.core.topics.decoder import Decoder
from mira_nb.errors import InputError, StoreError
from mira_nb.keys import ATAC, ATAC_TOPIC_PREFIX, MODELLED, TOPIC_ACTIVATIONS, TOPIC_MODEL
from mira_nb.stages.base import Context
from mira_nb.stages.shared.cells import gene_expression, topic_frame
from mira_nb.stages.texts import Texts

from .hits import FoundHits, find_hits

if TYPE_CHECKING:
    from mudata import MuData

    from .params import MotifsParams

TEXTS = Texts(__package__)


CONTRACT = ("topic", "motif_id", "factor", "odds_ratio", "log10_pvalue", "pvalue", "adj_pvalue")
"""Columns of the published enrichment table."""


@dataclass(frozen=True)
class MotifsOutput:
    """Results of the stage motifs.

    Attributes
    ----------
    motifs
        One row per motif: the columns of `FoundHits.motifs`, and family (text).
    enrichment
        One row per topic and motif: :data:`CONTRACT`, label, odds_low, odds_high, log10_adj_pvalue, n_hits_top,
        n_hits, n_top, n_peaks; sorted by p-value within each topic.
    scores
        Standardised motif scores, (cells, motifs), columns = labels.
    expression
        One row per motif and gene of its factor in the data: label, family, gene, mean_expression (log-normalised),
        share_expressing (fraction of cells), correlation, pvalue, adj_pvalue.
    topics
        Names of the accessibility topics.
    n_tested
        Peaks tested: modelled and with known sequence.
    n_modelled
        Peaks of the accessibility topic model.
    """

    data: MuData
    params: MotifsParams
    found: FoundHits
    motifs: pd.DataFrame
    enrichment: pd.DataFrame
    scores: pd.DataFrame
    expression: pd.DataFrame
    topics: list[str]
    n_tested: int
    n_modelled: int

    @property
    def significant(self) -> pd.DataFrame:
        """Rows of `enrichment` below the chosen false discovery rate."""
        return self.enrichment[self.enrichment["adj_pvalue"] < self.params.level]


def compute(data: MuData, params: MotifsParams, context: Context) -> MotifsOutput:
    """Find or read hits, test them in topics and score them in cells.

    Raises
    ------
    StoreError
        The accessibility topic model is missing or covers other peaks.
    ResourceError
        Neither hits nor a genome with motifs were given, or a file cannot be read.
    InputError
        Fewer than two modelled peaks have a known sequence.
    """
    found = find_hits(data, params, context)
    context.progress(0.7, "testing topics and scoring cells")
    return _analyse(data, params, found)


def _analyse(data: MuData, params: MotifsParams, found: FoundHits) -> MotifsOutput:
    """Test the motifs in topics, score them in cells, group them, and compare scores with expression."""
    atac = data.mod[ATAC]
    for container, key in ((atac.varm, TOPIC_ACTIVATIONS), (atac.uns, TOPIC_MODEL)):
        if key not in container:
            raise TEXTS.error(StoreError, "key_missing", key=key)
    activations = np.asarray(atac.varm[TOPIC_ACTIVATIONS], dtype=np.float64)
    modelled = np.isfinite(activations).all(axis=1)
    if MODELLED in atac.var:
        modelled &= atac.var[MODELLED].to_numpy(bool)
    tested = np.flatnonzero(modelled & found.known)
    if len(tested) < 2:
        raise TEXTS.error(InputError, "few_sequences", n_tested=len(tested), n_modelled=int(modelled.sum()))
    topics = [f"{ATAC_TOPIC_PREFIX}{i}" for i in range(1, activations.shape[1] + 1)]
    enrichment = topic_enrichment(
        activations[tested], found.hits[tested], top_quantile=params.top_quantile, topics=topics
    )
    motifs = found.motifs.copy()
    motifs["family"] = _family_names(
        motifs, enrichment, motif_families(found.hits[tested], min_similarity=params.family_similarity)
    )
    scores = _scores(data, found.hits, np.flatnonzero(modelled), list(motifs["label"]))
    return MotifsOutput(
        data=data,
        params=params,
        found=found,
        motifs=motifs,
        enrichment=_named(enrichment, motifs),
        scores=scores,
        expression=_expression(data, motifs, scores),
        topics=topics,
        n_tested=len(tested),
        n_modelled=int(modelled.sum()),
    )


def _named(enrichment: pd.DataFrame, motifs: pd.DataFrame) -> pd.DataFrame:
    """Add the motifs' names to the tests and sort each topic's rows by p-value."""
    rows = enrichment["motif"].to_numpy()
    for column, source in (("motif_id", "id"), ("factor", "name"), ("label", "label"), ("family", "family")):
        enrichment[column] = motifs[source].to_numpy()[rows]
    topic = pd.factorize(enrichment["topic"])[0]
    order = np.lexsort([rows, enrichment["log10_pvalue"].to_numpy(), topic])
    first = list(CONTRACT)
    rest = [name for name in enrichment.columns if name not in {*first, "motif"}]
    return enrichment.iloc[order][[*first, *rest]].reset_index(drop=True)


def _family_names(motifs: pd.DataFrame, enrichment: pd.DataFrame, groups: np.ndarray) -> list[str]:
    """Return the family of every motif, named after its most enriched member."""
    best = enrichment.groupby("motif")["log10_pvalue"].min().reindex(range(len(motifs))).to_numpy()
    names: dict[int, str] = {}
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        lead = members[np.argmin(best[members])]
        others = len(members) - 1
        names[int(group)] = str(motifs["label"].iloc[lead]) + (f" and {others} similar" if others else "")
    return [names[int(group)] for group in groups]


def _scores(data: MuData, hits: sparse.csr_matrix, modelled: np.ndarray, labels: list[str]) -> pd.DataFrame:
    """Return standardised motif scores, (cells, motifs), from the imputed accessibility of the modelled peaks."""
    atac = data.mod[ATAC]
    decoder = Decoder.from_arrays(atac.uns[TOPIC_MODEL])
    if decoder.n_features != len(modelled):
        raise TEXTS.error(StoreError, "model_does_not_fit", n_features=decoder.n_features, n_modelled=len(modelled))
    topics = topic_frame(data, ATAC).to_numpy()
    weights, offset = decoder.affine()
    raw = raw_motif_scores(topics, weights, offset, decoder.log_normalizer(topics), hits[modelled])
    scores = normalize_motif_scores(raw).astype(np.float32)
    return pd.DataFrame(scores, index=data.obs_names, columns=labels)


def _expression(data: MuData, motifs: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Compute mean expression of each factor's genes and their Spearman correlation with the motif score over cells."""
    pairs = [
        (str(row.label), str(row.family), gene)
        for row in motifs.itertuples()
        for gene in str(row.genes).split(";")
        if gene
    ]
    columns = ["label", "family", "gene", "mean_expression", "share_expressing", "correlation", "pvalue", "adj_pvalue"]
    if not pairs:
        return pd.DataFrame(columns=columns)
    genes = list(dict.fromkeys(gene for *_, gene in pairs))
    values = gene_expression(data, genes)
    x = values[[gene for *_, gene in pairs]].to_numpy()
    y = scores[[label for label, *_ in pairs]].to_numpy(dtype=np.float64)
    rho, pvalue = rank_correlation(x, y)
    frame = pd.DataFrame(pairs, columns=["label", "family", "gene"])
    frame["mean_expression"] = x.mean(axis=0)
    frame["share_expressing"] = (x > 0).mean(axis=0)
    frame["correlation"], frame["pvalue"] = rho, pvalue
    frame["adj_pvalue"] = benjamini_hochberg(pvalue)
    return frame


def _keyed(names: pd.Series, labels: pd.Series) -> dict[str, str]:
    """Map names in capitals to labels; among equal names the first counts."""
    out: dict[str, str] = {}
    for name, label in zip(names, labels, strict=True):
        out.setdefault(str(name).upper(), str(label))
    return out


def shown_motifs(done: MotifsOutput) -> tuple[list[str], list[str]]:
    """Return labels of the motifs to draw, and requested names that match no motif.

    Without requested names, topics take turns: each time the next best enriched family of the topic is represented by
    its best member whose gene is in the data (else by its best member).
    """
    labels = _keyed(done.motifs["label"], done.motifs["label"])
    names = _keyed(done.motifs["name"], done.motifs["label"])
    ids = _keyed(done.motifs["id"], done.motifs["label"])
    known = {**ids, **names, **labels}
    asked = done.params.show
    missing = [name for name in asked if name.upper() not in known]
    picked = list(dict.fromkeys(known[name.upper()] for name in asked if name.upper() in known))
    if picked:
        return picked, missing
    expressed = set(done.motifs.loc[done.motifs["in_expr"], "label"])
    queues = []
    for topic in done.topics:
        part = done.significant[done.significant["topic"] == topic]
        queue = []
        for _, family in part.groupby("family", sort=False):
            inside = [label for label in family["label"] if label in expressed]
            queue.append((inside or list(family["label"]))[0])
        queues.append(queue)
    for turn in range(max(map(len, queues), default=0)):
        for queue in queues:
            if turn < len(queue) and queue[turn] not in picked and len(picked) < done.params.n_show:
                picked.append(queue[turn])
    return picked, missing

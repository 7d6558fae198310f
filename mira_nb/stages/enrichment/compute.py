"""Tests of the stage enrichment: top genes against local collections and, when asked for, the Enrichr service."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mira_nb.core.statistics.enrichment import (
    COLUMNS,
    ENRICHR_BACKGROUND,
    over_representation,
    top_features,
    unique_symbols,
)
from mira_nb.errors import OfflineError, ResourceError, StoreError
from mira_nb.io.enrichr import EnrichrClient, default_cache
from mira_nb.io.gene_sets import GeneSets, match_gene_sets, name_gene_sets, read_gene_sets
from mira_nb.io.messages import Finding
from mira_nb.keys import MODELLED, RNA, TOPIC_ACTIVATIONS
from mira_nb.stages.base import Context
from mira_nb.stages.texts import Texts

if TYPE_CHECKING:
    from mudata import MuData

    from .params import EnrichmentParams

TEXTS = Texts(__package__)


MIN_TOP = 5


@dataclass(frozen=True)
class EnrichmentOutput:
    """All that the stage computed.

    Attributes
    ----------
    table
        Listed rows: gene sets with an overlap, the most significant per topic and collection.
    top
        Topic to its top genes, most activated first.
    activations
        Activations of the modelled genes, genes x topics.
    libraries
        Gene sets of each local collection.
    findings
        What the reader must know about the collections.
    background_size
        Number of genes in the background of the test.
    n_tests
        Number of gene sets tested per topic, over all local collections.
    n_listed_out
        Number of rows with an overlap that are not listed.
    online
        Libraries that the Enrichr service was queried for.
    online_problem
        Error of that service; empty when there was none.
    """

    data: MuData
    params: EnrichmentParams
    table: pd.DataFrame
    top: dict[str, list[str]]
    activations: pd.DataFrame
    libraries: list[GeneSets]
    findings: list[Finding]
    background_size: int
    n_modelled: int
    n_top: int
    n_tests: int
    n_listed_out: int
    online: list[str]
    online_problem: str

    @property
    def significant(self) -> pd.DataFrame:
        """Listed rows with an adjusted p value below the chosen false discovery rate."""
        return self.table[self.table["adj_pvalue"] < self.params.level]


def topic_activations(data: MuData, modality: str, prefix: str) -> pd.DataFrame:
    """Return the activations of the modelled features, features x topics.

    Raises
    ------
    StoreError
        The topic model has not been fitted.
    """
    part = data.mod[modality]
    if TOPIC_ACTIVATIONS not in part.varm:
        raise TEXTS.error(StoreError, "no_activations", modality=modality, key=TOPIC_ACTIVATIONS)
    values = np.asarray(part.varm[TOPIC_ACTIVATIONS], dtype=float)
    columns = [f"{prefix}{i}" for i in range(1, values.shape[1] + 1)]
    frame = pd.DataFrame(values, index=part.var_names.astype(str), columns=columns)
    usable = np.isfinite(values).all(axis=1)
    if MODELLED in part.var:
        usable &= part.var[MODELLED].to_numpy(bool)
    return frame[usable]


def compute(data: MuData, params: EnrichmentParams, context: Context) -> EnrichmentOutput:
    """Test every collection for over-representation among the top genes of every topic."""
    activations = topic_activations(data, RNA, "e")
    n_modelled = len(activations)
    n_top = max(min(params.n_top, int(n_modelled * params.max_share)), min(MIN_TOP, n_modelled))
    names = list(activations.index)
    lists = top_features(activations.to_numpy(), names, n_top=n_top)
    top = dict(zip(activations.columns, lists, strict=True))
    var = data.mod[RNA].var
    libraries = [name_gene_sets(read_gene_sets(path, var), var) for path in context.resources.gene_sets]
    background: int | Collection[str]
    if params.background == "modelled":
        background = names
        size = len(unique_symbols(names))
    else:
        background = ENRICHR_BACKGROUND if params.background == "enrichr" else params.background
        size = background
    parts, n_tests = [], 0
    findings: list[Finding] = []
    for i, library in enumerate(libraries):
        context.progress(0.1 + 0.6 * i / len(libraries), f"testing {library.name}")
        found = over_representation(top, library.sets, ontology=library.name, background=background)
        n_tests += found["term"].nunique()
        findings += [*library.findings, *match_gene_sets(library, names).findings]
        parts.append(found)
    full = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
    overlapping = full[full["genes"] != ""]
    listed = overlapping.groupby(["topic", "ontology"], sort=False).head(params.max_terms)
    online, problem = _ask_enrichr(top, params, context)
    table = pd.concat([listed, online], ignore_index=True) if len(online) else listed
    return EnrichmentOutput(
        data=data,
        params=params,
        table=_sorted(table, list(top)),
        top=top,
        activations=activations,
        libraries=libraries,
        findings=findings,
        background_size=int(size),
        n_modelled=n_modelled,
        n_top=n_top,
        n_tests=n_tests,
        n_listed_out=len(overlapping) - len(listed),
        online=sorted(online["ontology"].unique()) if len(online) else [],
        online_problem=problem,
    )


def _sorted(table: pd.DataFrame, topics: list[str]) -> pd.DataFrame:
    position = {name: i for i, name in enumerate(topics)}
    order = np.lexsort([table["pvalue"].to_numpy(float), table["topic"].map(position).to_numpy(float)])
    return table.iloc[order].reset_index(drop=True)[list(COLUMNS)]


def _ask_enrichr(top: dict[str, list[str]], params: EnrichmentParams, context: Context) -> tuple[pd.DataFrame, str]:
    """Query the service; its failure must not cost the local results. Returns rows and the error, if any."""
    empty = pd.DataFrame(columns=list(COLUMNS))
    if not params.online_libraries:
        return empty, ""
    client = EnrichrClient(url=params.enrichr_url.rstrip("/"), cache=default_cache())
    parts = []
    total = len(top) * len(params.online_libraries)
    try:
        for i, (topic, genes) in enumerate(top.items()):
            for j, library in enumerate(params.online_libraries):
                done = (i * len(params.online_libraries) + j) / total
                context.progress(0.7 + 0.15 * done, f"Enrichr: {library}, topic {topic}")
                found = client.enrich(unique_symbols(genes), library).head(params.max_terms)
                found = found.assign(ontology=f"{library} (online)")
                parts.append(found.assign(topic=topic)[list(COLUMNS)])
    except (OfflineError, ResourceError) as error:
        return (pd.concat(parts, ignore_index=True) if parts else empty), str(error)
    return pd.concat(parts, ignore_index=True), ""

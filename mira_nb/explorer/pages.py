"""What a run knows of one gene, factor or topic, collected from the tables of its stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from mira_nb.errors import StoreError
from mira_nb.keys import (
    DRIVERS,
    ENRICHMENT,
    ISD_SCORES,
    LEIDEN,
    MOTIFS,
    REGULATION,
    RNA,
    RNA_TOPIC_PREFIX,
    TOPIC_ACTIVATIONS,
    TOPICS_ATAC,
    TOPICS_RNA,
)
from mira_nb.sentences import entries, fill

from .cells import CellData, Feature, position

MOST: Final = 10
"""Rows of a list."""


@dataclass(frozen=True)
class Part:
    """One list of a page: a heading, and a table or a sentence."""

    heading: str
    table: pd.DataFrame | None = None
    text: str = ""


def page(data: CellData, feature: Feature) -> list[Part]:
    """Return what the run knows of a gene, factor or topic; nothing for other features."""
    makers = {"gene": gene_page, "nite": gene_page, "motif": factor_page, "topic": topic_page}
    return makers[feature.kind](data, feature.name) if feature.kind in makers else []


def gene_page(data: CellData, gene: str) -> list[Part]:
    """Return a gene's model, topics and regulators."""
    words, parts = _words("gene"), []
    models = _table(data, REGULATION, "genes")
    row = models[models["gene"] == gene] if "gene" in models else models.iloc[:0]
    if len(row):
        known = row.iloc[0].dropna()
        facts = [(label, known[name]) for name, label in words["facts"].items() if name in known]
        parts.append(Part(words["regulation"], pd.DataFrame(facts, columns=words["columns"])))
    elif REGULATION in data.done:
        parts.append(Part(words["regulation"], text=words["no_model"]))
    topics = _activations(data, gene)
    if len(topics):
        parts.append(Part(words["topics"], topics))
    scores = data.slot(DRIVERS, RNA, "varm", ISD_SCORES) if DRIVERS in data.done else None
    if isinstance(scores, pd.DataFrame) and gene in scores.index:
        best = pd.Series(scores.to_numpy(dtype=float)[position(scores.index, gene)], scores.columns).nlargest(MOST)
        table = pd.DataFrame({"factor": best.index, "pISD": best.to_numpy()})
        parts.append(Part(words["regulators"], table[table["pISD"] > 0]))
    return parts


def factor_page(data: CellData, motif: str) -> list[Part]:
    """Return the topics that a factor's motif is enriched in, and the gene sets that it drives."""
    words, parts, factor, tested = _words("factor"), [], data.factors.get(motif, motif), ("pvalue", "adj_pvalue")
    for stage, name, heading, columns in (
        (MOTIFS, "motif_enrichment", words["topics"], ("topic", "odds_ratio", *tested)),
        (DRIVERS, "driver_factors", words["drives"], ("query", "effect_size", *tested, "called")),
    ):
        found = _table(data, stage, name)
        if "factor" in found:
            mine = found[found["factor"].isin([motif, factor])].sort_values("pvalue").head(MOST)
            parts.append(Part(heading, _named(data, mine[[column for column in columns if column in mine]])))
    if factor in data.genes:
        parts.append(Part(words["gene"], text=fill(words["measured"], {"factor": factor})))
    return parts


def topic_page(data: CellData, topic: str) -> list[Part]:
    """Return a topic's top features, gene sets and motifs, and the clusters that have most of it."""
    expression = topic.startswith(RNA_TOPIC_PREFIX)
    words, parts = _words("topic"), []
    top = ("feature", "activation")
    sources: list[tuple[str, str, str, tuple[str, ...]]] = [
        (TOPICS_RNA, "top_features", words["genes"], top),
        (ENRICHMENT, "enrichment", words["sets"], ("term", "odds_ratio", "overlap", "adj_pvalue")),
    ]
    if not expression:
        sources = [
            (TOPICS_ATAC, "top_features", words["peaks"], top),
            (MOTIFS, "motif_enrichment", words["motifs"], ("factor", "odds_ratio", "adj_pvalue")),
        ]
    for stage, name, heading, columns in sources:
        found = _table(data, stage, name)
        if "topic" in found:
            mine = found[found["topic"] == topic]
            if "adj_pvalue" in mine:
                mine = mine.sort_values("adj_pvalue", kind="stable")
            parts.append(Part(heading, mine[[column for column in columns if column in mine]].head(MOST)))
    if LEIDEN in data.annotations and topic in data.topics:
        mean = pd.Series(data.topics[topic]).groupby(data.annotations[LEIDEN].astype(str).to_numpy()).mean()
        best = mean.sort_values(ascending=False).head(5)
        labels = data.kept.labels()
        clusters = [labels.get(str(name), str(name)) for name in best.index]
        rows = zip(clusters, best.to_numpy(), strict=True)
        parts.append(Part(words["clusters"], pd.DataFrame(rows, columns=words["columns"])))
    return parts


def _words(kind: str) -> dict[str, Any]:
    words: dict[str, Any] = entries(__package__, "pages.yaml")[kind]
    return words


def _table(data: CellData, stage: str, name: str) -> pd.DataFrame:
    if stage not in data.done:
        return pd.DataFrame()
    try:
        return data.store.table(stage, name)
    except StoreError:
        return pd.DataFrame()


def _activations(data: CellData, gene: str) -> pd.DataFrame:
    """Return the expression topics by the activation of a gene, the highest first."""
    if TOPICS_RNA not in data.done or gene not in data.genes:
        return pd.DataFrame()
    values: Any = data.slot(TOPICS_RNA, RNA, "varm", TOPIC_ACTIVATIONS)
    row = pd.Series(np.asarray(values[position(data.genes, gene)], dtype=np.float64))
    row.index = [f"{RNA_TOPIC_PREFIX}{i + 1}" for i in range(len(row))]
    best = row.dropna().nlargest(5)
    return _named(data, pd.DataFrame({"topic": best.index, "activation": best.to_numpy()}))


def _named(data: CellData, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose topics carry the names that the user gave them."""
    if "topic" not in frame:
        return frame
    called = data.kept.topics()
    return frame.assign(topic=[f"{name}: {called[name]}" if name in called else name for name in frame["topic"]])

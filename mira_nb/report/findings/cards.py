"""Topic cards: what each topic is, its partner in the other assay, where it is highest, and what drives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from mira_nb.charts import theme
from mira_nb.report.colors import STATE_COLUMN

from .facts import Facts, Row, number, true
from .texts import thresholds

if TYPE_CHECKING:
    import pandas as pd

N_SHOWN: Final = 3
"""Genes, motifs and drivers that a card names."""


@dataclass(frozen=True)
class Card:
    """One topic in one line.

    Attributes
    ----------
    topic, assay
        Its name, and ``rna`` or ``atac``.
    terms, features, motifs, drivers
        Its best gene sets, its top genes (none for peaks), its best motifs and its drivers, best first.
    partner, correlation
        The topic of the other assay that is its mutual best match over cells, and their correlation.
    state
        Lineage state, group or cluster of the cells where its mean is highest.
    links
        Element of the report that proves each part, by the part's name.
    """

    topic: str
    assay: Literal["rna", "atac"]
    terms: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    motifs: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    partner: str = ""
    correlation: float | None = None
    state: str = ""
    links: dict[str, str] = field(default_factory=dict)

    @property
    def meaning(self) -> str:
        """Return gene sets, genes and motifs as one line."""
        parts = [", ".join(self.terms[:1]), ", ".join(self.features), ", ".join(self.motifs)]
        return " · ".join(text for text in parts if text)

    def record(self) -> dict[str, Any]:
        """Return the entry of ``findings.json``."""
        return {
            "topic": self.topic,
            "assay": self.assay,
            "gene_sets": list(self.terms),
            "genes": list(self.features),
            "motifs": list(self.motifs),
            "partner": self.partner,
            "correlation": None if self.correlation is None else round(self.correlation, 4),
            "state": self.state,
            "drivers": list(self.drivers),
        }


def called_drivers(facts: Facts) -> list[Row]:
    """Return the called rows of the table of drivers."""
    return [row for row in facts.rows("drivers", "driver_factors") if true(row.get("called"))]


def topic_cards(facts: Facts) -> list[Card]:
    """Return a card per topic, in the order of their names, expression first."""
    cells = facts.cells("joint", "umap_joint")
    names = {assay: topic_names(facts, assay) for assay in ("rna", "atac")}
    partner_of = partners(facts)
    where = highest_in(facts, cells, names["rna"] + names["atac"])
    alpha = thresholds()["alpha"]
    terms = _best(facts.rows("enrichment", "enrichment"), "term", "adj_pvalue", alpha)
    motifs = _best(
        [row for row in facts.rows("motifs", "motif_enrichment") if (number(row.get("odds_ratio")) or 0) > 1],
        "factor", "adj_pvalue", alpha,
    )  # fmt: skip
    rows = called_drivers(facts)
    drivers = _best(
        [Row({**row, "topic": row["query"].removeprefix("topic ")}) for row in rows], "factor", "adj_pvalue", alpha
    )
    genes = _best(facts.rows("topics_rna", "top_features"), "feature", "rank", float("inf"))
    out = []
    for topic in names["rna"] + names["atac"]:
        is_rna = topic in names["rna"]
        partner, correlation = partner_of.get(topic, ("", None))
        out.append(
            Card(
                topic=topic,
                assay="rna" if is_rna else "atac",
                terms=terms.get(topic, ()) if is_rna else (),
                features=genes.get(topic, ()) if is_rna else (),
                motifs=() if is_rna else motifs.get(topic, ()),
                drivers=drivers.get(topic, ()) if is_rna else (),
                partner=partner,
                correlation=correlation,
                state=where.get(topic, ""),
                links={
                    "topic": facts.link("topics_rna" if is_rna else "topics_atac", "top_features"),
                    "meaning": facts.link("enrichment", "terms")
                    if is_rna
                    else facts.link("motifs", "motif_enrichment"),
                    "drivers": facts.link("drivers", "driver_bars"),
                },
            )
        )
    return out


def partners(facts: Facts) -> dict[str, tuple[str, float]]:
    """Return the partner of every topic that has one, with the correlation of the two over cells.

    Two topics are partners when each is the other's best match and they correlate by at least the stated threshold.
    """
    out = {}
    for row in facts.rows("joint", "partners"):
        value = number(row["correlation"])
        if true(row["mutual"]) and value is not None and value >= thresholds()["partner"]:
            out[row["topic"]], out[row["match"]] = (row["match"], value), (row["topic"], value)
    return out


def topic_names(facts: Facts, assay: str) -> list[str]:
    """Return the topics of an assay in natural order; older runs name them in the table of top features alone."""
    stage = f"topics_{assay}"
    rows = facts.rows(stage, "topics") or facts.rows(stage, "top_features")
    return theme.natural_sort(dict.fromkeys(row["topic"] for row in rows if row["topic"]))


def _best(rows: list[Row], name: str, by: str, limit: float) -> dict[str, tuple[str, ...]]:
    """Return the first names of every topic by a column, those within the limit only."""
    found: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        value = number(row.get(by))
        if value is not None and value < limit:
            found.setdefault(row["topic"], []).append((value, row[name]))
    return {topic: tuple(dict.fromkeys(text for _, text in sorted(items)))[:N_SHOWN] for topic, items in found.items()}


def highest_in(facts: Facts, cells: pd.DataFrame | None, names: list[str]) -> dict[str, str]:
    """Return the lineage state (else the group, else the cluster) in which the mean of each topic is highest."""
    if cells is None:
        return {}
    groups = None
    states = facts.cells("trajectory", "umap_trajectory")
    if states is not None and STATE_COLUMN in states and len(states) == len(cells):
        groups = states[STATE_COLUMN]
    if groups is None or groups.nunique() < 2:  # without lineages every cell is in the root
        column = next((c for c in cells.columns if cells[c].dtype == object or str(cells[c].dtype) == "category"), None)
        groups = None if column is None else cells[column]
    known = [name for name in names if name in cells]
    if groups is None or not known:
        return {}
    means = cells[known].groupby(groups.astype(str).to_numpy()).mean()
    return {topic: str(means[topic].idxmax()) for topic in known}

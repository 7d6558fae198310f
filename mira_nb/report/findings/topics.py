"""Topic pages: top features, gene sets, motifs, drivers, partner and state of every topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mira_nb.report import embed, wording
from mira_nb.report.colors import Palette
from mira_nb.report.names import named

from .cards import Card, called_drivers
from .facts import Facts, Row, number
from .texts import thresholds

N_FEATURES: Final = 24
N_ROWS: Final = 8


def page_id(topic: str) -> str:
    """Return the element id of a topic's page."""
    return f"topic-page-{embed.slug(topic)}"


def topic_pages(
    facts: Facts, cards: Sequence[Card], palette: Palette, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return one page per topic for the template, in the order of the cards."""
    features = {assay: _by_topic(facts.rows(f"topics_{assay}", "top_features"), "rank") for assay in ("rna", "atac")}
    sets = _by_topic(facts.rows("enrichment", "enrichment"), "adj_pvalue")
    enriched = [row for row in facts.rows("motifs", "motif_enrichment") if (number(row["odds_ratio"]) or 0) > 1]
    motifs = _by_topic(enriched, "adj_pvalue")
    drivers = _by_topic(
        [Row({**row, "topic": row["query"].removeprefix("topic ")}) for row in called_drivers(facts)], "adj_pvalue"
    )
    return [
        {
            "id": page_id(card.topic),
            "topic": card.topic,
            "label": named(card.topic, names),
            "assay": "expression" if card.assay == "rna" else "accessibility",
            "color": palette.topics.get(card.topic, "#7a828c"),
            "meaning": card.meaning,
            "partner": named(card.partner, names),
            "partner_id": page_id(card.partner) if card.partner else "",
            "correlation": "" if card.correlation is None else f"{card.correlation:.2f}",
            "state": card.state,
            "features": [row["feature"] for row in features[card.assay].get(card.topic, [])[:N_FEATURES]],
            "tables": [
                _table("Gene sets", sets.get(card.topic, []), (("term", "Gene set"), ("overlap", "Overlap"), *_TESTS)),
                _table("Motifs", motifs.get(card.topic, []), (("factor", "Factor"), *_TESTS)),
                _table(
                    "Called drivers",
                    drivers.get(card.topic, []),
                    (("factor", "Factor"), ("effect_size", "Effect size"), ("adj_pvalue", "Adjusted p")),
                ),
            ],
            "links": card.links,
        }
        for card in cards
    ]


_TESTS: Final = (("odds_ratio", "Odds ratio"), ("adj_pvalue", "Adjusted p"))


def _by_topic(rows: Sequence[Row], by: str) -> dict[str, list[Row]]:
    """Return the rows of every topic, best first; rows without a value are left out."""
    out: dict[str, list[tuple[float, int, Row]]] = {}
    for place, row in enumerate(rows):
        value = number(row[by])
        if value is not None:
            out.setdefault(row["topic"], []).append((value, place, row))
    return {topic: [row for _, _, row in sorted(found)] for topic, found in out.items()}


def _table(title: str, rows: Sequence[Row], columns: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the best rows below the threshold, how many there are, and of how many that were tested."""
    alpha = thresholds()["alpha"]
    found = [row for row in rows if (number(row["adj_pvalue"]) or 0.0) < alpha]
    shown = [[_cell(row[name]) for name, _ in columns] for row in found[:N_ROWS]]
    numeric = [cell["number"] for cell in shown[0]] if shown else [False] * len(columns)
    head = [{"text": words, "number": is_number} for (_, words), is_number in zip(columns, numeric, strict=True)]
    count = f"{wording.number(len(found))} of {wording.number(len(rows))} with adjusted p < {alpha:g}"
    return {"title": title, "columns": head, "rows": shown, "count": count, "n_tested": len(rows)}


def _cell(text: str) -> dict[str, Any]:
    value = number(text)
    return {"text": text if value is None else wording.number(value), "number": value is not None}

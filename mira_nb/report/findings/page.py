"""The first screen for the template: pictures, sentences with their verdicts, and rows of topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup

from mira_nb.report import embed
from mira_nb.report.colors import Palette
from mira_nb.report.figures import Archive, chart_view
from mira_nb.report.names import named, named_text, topic_names
from mira_nb.report.texts import phrase

from .cards import Card
from .collect import Findings
from .facts import Facts
from .model import ICONS, WORDS
from .pictures import joint_map, lineage_tree
from .topics import page_id, topic_pages

PICTURES: Final = (
    ("result-map", "Joint map", "joint", "umap_joint", "No joint map"),
    ("result-tree", "Lineage tree", "trajectory", "lineage_tree", "No lineage tree"),
)


def first_screen(
    facts: Facts, findings: Findings, palette: Palette, archive: Archive, blocks: list[Markup]
) -> dict[str, Any]:
    """Return what the template shows; charts add their specification to `blocks`, their rows to `archive`."""
    specs = {"result-map": joint_map(facts, palette), "result-tree": palette.apply(lineage_tree(facts))}
    pictures = []
    for identifier, title, stage, figure, nothing in PICTURES:
        spec = specs[identifier]
        if spec:
            view = chart_view(spec, archive, names=topic_names(facts.run.root))
            blocks.append(embed.json_block(f"spec-{identifier}", view.spec))
        reason = "" if spec else f"{nothing}: {_reason(facts, stage)}."
        pictures.append(
            {"id": identifier, "title": title, "link": facts.link(stage, figure), "reason": reason, "height": 215}
        )
    names = topic_names(facts.run.root)
    sentences = [
        {
            "id": f"finding-{item.id}",
            "question": item.question,
            "text": named_text(item.text, names),
            "test": item.test,
            "verdict": item.verdict,
            "icon": ICONS[item.verdict],
            "word": WORDS[item.verdict],
            "link": item.link,
        }
        for item in findings.items
    ]
    return {
        "pictures": pictures,
        "sentences": sentences,
        "topics": _rows(findings.cards, palette, names),
        "topic_pages": topic_pages(facts, findings.cards, palette, names),
    }


def _reason(facts: Facts, stage: str) -> str:
    """Return why there is no picture of a stage."""
    verdicts = {row["subject"]: row["verdict"] for row in facts.rows(stage, "verdict")}
    return phrase("tree_not_drawn") if verdicts.get("lineages") == "not drawn" else facts.reason(stage)


def _rows(cards: tuple[Card, ...], palette: Palette, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one row per expression topic with its partner, then one per accessibility topic without a partner."""
    by_name: Mapping[str, Card] = {card.topic: card for card in cards}
    out = []
    for card in cards:
        partner = by_name.get(card.partner)
        if card.assay == "atac" and partner is not None:
            continue
        motifs = partner.motifs if partner is not None else ()
        out.append(
            {
                "topic": named(card.topic, names),
                "color": palette.topics.get(card.topic, "#7a828c"),
                "meaning": card.meaning or "no gene set or motif found",
                "partner": named(card.partner, names),
                "correlation": "" if card.correlation is None else f"r = {card.correlation:.2f}",
                "motifs": ", ".join(motifs),
                "state": card.state,
                "drivers": ", ".join(card.drivers),
                "links": {**card.links, "topic": f"#{page_id(card.topic)}", "partner": f"#{page_id(card.partner)}"},
            }
        )
    return out

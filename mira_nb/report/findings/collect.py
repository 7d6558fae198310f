"""Put the findings of a run together, and write ``findings.json`` and ``findings.md``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mira_nb.report.names import named, named_text, topic_names
from mira_nb.text import markdown_text

from .cards import Card, topic_cards
from .facts import Facts
from .limits import limits
from .model import ICONS, WORDS, Answer, Finding, Verdict
from .rules import RULES
from .texts import entries, sentence
from .truth import planted


@dataclass(frozen=True)
class Findings:
    """Sentences and topic cards of a run."""

    items: tuple[Finding, ...]
    cards: tuple[Card, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> str:
        """Return the content of ``findings.json``: a list of sentences, with the cards in that of the topics."""
        records = []
        for item in self.items:
            record = item.record()
            if item.id == "topics":
                record["topics"] = [{**card.record(), "name": self.names.get(card.topic, "")} for card in self.cards]
            records.append(record)
        return json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def markdown(self, title: str) -> str:
        """Return the content of ``findings.md``."""
        lines = [f"# Findings of {markdown_text(title)}", ""]
        for item in self.items:
            text = markdown_text(named_text(item.text, self.names))
            lines += [
                f"- **{item.question}** {ICONS[item.verdict]} {WORDS[item.verdict]}: {text}",
                f"  Rule: {markdown_text(item.test)}",
            ]
        lines += ["", "| topic | meaning | partner | highest in | drivers |", "| --- | --- | --- | --- | --- |"]
        for card in self.cards:
            topic, partner = (named(name, self.names) for name in (card.topic, card.partner))
            cells = (topic, card.meaning, partner, card.state, ", ".join(card.drivers))
            plain = (markdown_text(text).replace("|", "\\|").replace("\n", " ") for text in cells)
            lines.append("| " + " | ".join(text or "–" for text in plain) + " |")
        return "\n".join(lines) + "\n"


OVER_LINEAGES: Final = ("lineages", "drivers")
"""Findings about lineages, which carry the verdicts on them."""


def trajectory_caveats(facts: Facts) -> list[str]:
    """Return what the verdicts on the trajectory say against its lineages: their names among the sentences."""
    verdicts, out = facts.verdicts, []
    if verdicts.get("lineages") == "drawn" and verdicts.get("trajectory") == "not supported":
        out.append("not_supported")
    if verdicts.get("direction") == "not established":
        out.append("direction_not_established")
    return out


def _with_caveats(facts: Facts, answer: Answer | None) -> Answer | None:
    """Add the verdicts on the trajectory to an answer about lineages; such an answer is not good."""
    found = trajectory_caveats(facts)
    if answer is None or answer.key != "found" or not found:
        return answer
    worse: Verdict = "bad" if "not_supported" in found or answer.verdict == "bad" else "caution"
    return replace(answer, verdict=worse, caveats=tuple(found))


def collect(facts: Facts) -> Findings:
    """Return the findings of a run, in the order of the first screen."""
    cards = topic_cards(facts)
    answers: dict[str, Answer | None] = {name: rule(facts, cards) for name, rule in RULES.items()}
    answers["limits"] = limits(facts)
    answers["truth"] = planted(facts, cards)
    for name in OVER_LINEAGES:
        answers[name] = _with_caveats(facts, answers[name])
    items = tuple(_finding(facts, name, answers[name]) for name in entries() if answers.get(name) is not None)
    return Findings(items, tuple(cards), topic_names(facts.run.root))


def _finding(facts: Facts, name: str, answer: Answer | None) -> Finding:
    if answer is None:
        raise KeyError(name)
    stage, proof = answer.proof
    caveats = [sentence("lineages", key, {}) for key in answer.caveats]
    return Finding(
        id=name,
        question=entries()[name]["question"],
        text=" ".join([sentence(name, answer.key, answer.words), *caveats]),
        value=answer.value,
        unit=answer.unit,
        n=answer.n,
        test=sentence(name, "test", {}),
        verdict=answer.verdict,
        link="#alerts" if stage == "alerts" else facts.link(stage, proof),
    )

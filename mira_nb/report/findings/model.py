"""What a finding is, and what a rule says before the words are put to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Verdict = Literal["good", "caution", "bad", "untested"]

ICONS: Final[dict[Verdict, str]] = {"good": "✓", "caution": "!", "bad": "✕", "untested": "–"}
WORDS: Final[dict[Verdict, str]] = {
    "good": "good",
    "caution": "caution",
    "bad": "bad",
    "untested": "not tested",
}


@dataclass(frozen=True)
class Answer:
    """What a rule found.

    Attributes
    ----------
    verdict
        Good, caution, bad or untested, by the thresholds of ``thresholds.yaml``.
    key
        Name of the sentence in ``texts.yaml``.
    words
        Values of the sentence.
    value, unit, n
        The number that the finding rests on, its unit, and the number of observations behind it.
    proof
        Stage and name of the figure or table that shows it; an empty name means the stage's section.
    caveats
        Names of the sentences of the finding ``lineages`` that follow: verdicts on the trajectory.
    """

    verdict: Verdict
    key: str
    words: Mapping[str, Any] = field(default_factory=dict)
    value: float | int | str | None = None
    unit: str = ""
    n: int | None = None
    proof: tuple[str, str] = ("", "")
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One sentence of the first screen, as ``findings.json`` holds it.

    Attributes
    ----------
    id
        Name of the finding, the same in every run.
    question
        The reader's question that it answers.
    text
        The sentence, with its numbers.
    value, unit, n
        The number behind it, its unit and the number of observations.
    test
        The rule of the verdict, with its thresholds.
    verdict
        Good, caution, bad or untested.
    link
        Fragment of the figure, table or section in report.html that proves it, with ``#``.
    """

    id: str
    question: str
    text: str
    value: float | int | str | None
    unit: str
    n: int | None
    test: str
    verdict: Verdict
    link: str

    def record(self) -> dict[str, Any]:
        """Return the entry of ``findings.json``."""
        return {
            "id": self.id,
            "question": self.question,
            "text": self.text,
            "value": self.value,
            "unit": self.unit,
            "n": self.n,
            "test": self.test,
            "verdict": self.verdict,
            "link": f"report.html{self.link}",
        }

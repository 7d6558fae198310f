"""Tables of the scores of alternatives, and the verdict on each default."""

from __future__ import annotations

from typing import Any

import numpy as np

from .scores import LEAST_GAIN, LOWER, QUESTIONS, Question

TITLES = {
    "accuracy": "Accuracy of cell labels",
    "spearman": "Pseudotime, Spearman's correlation with planted time",
    "time_error": "Mean absolute difference from planted time",
    "topology": "Planted topology found",
    "branch_error": "Error of the branch times, where the topology is right",
    "fate": "Fate probability of the planted lineage, beyond its branch",
    "back": "Fraction of the transport map's mass that goes back",
}

Row = dict[str, Any]
"""kind, seed, source, scores (parameter -> value -> score -> number)."""


def values(rows: list[Row], question: Question, value: Any, score: str) -> list[float]:
    """Return a score of a value, one per seed; NaN where a seed has none."""
    return [row["scores"].get(question.parameter, {}).get(str(value), {}).get(score, np.nan) for row in rows]


def groups(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the rows of each kind and source, in the order in which they came."""
    out: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        out.setdefault((row["kind"], row["source"]), []).append(row)
    return out


def verdict(rows: list[Row], question: Question, value: Any) -> str:
    """Judge an alternative against the default on one kind of data.

    A score speaks for it where it is better by enough on average and worse at no seed, and against it the other way
    round. It is better or worse where the scores that decide speak one way only, mixed where both, even where neither.
    """
    signs = set()
    for score in question.decides:
        pairs = zip(values(rows, question, value, score), values(rows, question, question.default, score), strict=True)
        gains = np.array([one - other for one, other in pairs]) * (-1 if score in LOWER else 1)
        gains = gains[np.isfinite(gains)]
        if len(gains) and abs(gains.mean()) >= LEAST_GAIN[score]:
            signs |= {sign for sign in (1, -1) if (sign * gains >= 0).all()}
    if len(signs) == 2:
        return "mixed"
    return {1: "better", -1: "worse", 0: "even"}[sum(signs)]


def cell(found: list[float]) -> str:
    """Return mean and standard deviation, and of how many seeds where not of all."""
    known = np.array([value for value in found if np.isfinite(value)])
    if not len(known):
        return "–"
    spread = f" ± {known.std(ddof=1):.3f}" if len(known) > 1 else ""
    missing = f" ({len(known)} of {len(found)})" if len(known) < len(found) else ""
    return f"{known.mean():.3f}{spread}{missing}"


def table(rows: list[Row], question: Question, score: str) -> list[str]:
    """Return one score of all values, by kind of data and source of the topics."""
    heads = [f"**{value}**" if value == question.default else str(value) for value in question.values]
    lines = ["| data | topics | " + " | ".join(heads) + " |", "|---|---|" + "---:|" * len(heads)]
    for (kind, source), own in groups(rows).items():
        cells = [cell(values(own, question, value, score)) for value in question.values]
        if any(text != "–" for text in cells):
            lines.append(f"| {kind} | {source} | " + " | ".join(cells) + " |")
    return [f"{TITLES[score]}:", "", *lines, ""]


def verdicts(rows: list[Row], question: Question) -> list[str]:
    """Return the verdict on every alternative, by kind of data, and how many kinds speak for it."""
    others = [value for value in question.values if value != question.default]
    known = {
        key: own
        for key, own in groups(rows).items()
        if np.isfinite(values(own, question, question.default, question.decides[0])).any()
    }
    lines = [
        "| alternative | " + " | ".join(f"{kind}, {source}" for kind, source in known) + " | kinds better / worse |",
        "|---|" + "---|" * (len(known) + 1),
    ]
    for value in others:
        found = {key: verdict(own, question, value) for key, own in known.items()}
        counts = [len({kind for kind, _ in known if agreed(found, kind) == sign}) for sign in ("better", "worse")]
        cells = [*found.values(), f"{counts[0]} / {counts[1]} of {len({kind for kind, _ in known})}"]
        lines.append(f"| {value} | " + " | ".join(cells) + " |")
    head = f"Against the default, {question.default} (a kind counts by its fitted topics where there are any):"
    return [head, "", *lines, ""]


def agreed(found: dict[tuple[str, str], str], kind: str) -> str:
    """Return the verdict of a kind: that of fitted topics; of planted ones where none were fitted."""
    return found.get((kind, "fitted"), found.get((kind, "planted"), "even"))


def page(rows: list[Row]) -> str:
    """Return all tables as Markdown."""
    lines: list[str] = []
    for question in QUESTIONS:
        lines += [f"### `{question.parameter}`", ""]
        lines += verdicts(rows, question)
        for score in (*question.decides, *question.shown):
            lines += table(rows, question, score)
    return "\n".join(lines).rstrip() + "\n"

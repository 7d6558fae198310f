"""What tests may ask of texts: codes of alerts and values, not words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mira_nb.stages.result import Alert


def codes(alerts: Iterable[Alert]) -> list[str]:
    return [alert.code for alert in alerts]


def coded(alerts: Iterable[Alert], code: str) -> Alert:
    """The only alert with this code."""
    found = [alert for alert in alerts if alert.code == code]
    assert len(found) == 1, f"{len(found)} alerts {code}"
    return found[0]


def numbers(text: str) -> list[float]:
    """Numbers of a text in their order: thousands are joined, 12% is 12, and digits inside of names do not count."""
    found = re.findall(r"(?<![\w.@*])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])", text)
    return [float(item.replace(",", "")) for item in found]


def cited(text: str) -> set[str]:
    """Keys of the references that a text cites."""
    return set(re.findall(r"@(\w+)", text))

"""One look for every chart: colour-blind-safe palettes, one colour per topic everywhere, one Altair configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from natsort import natsorted, ns

# Okabe-Ito, then Paul Tol's muted and light sets, ordered so that neighbours differ in hue and lightness.
CATEGORICAL: Final[tuple[str, ...]] = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#882255", "#B8A800",
    "#332288", "#44AA99", "#AA4499", "#999933", "#117733", "#EE8866", "#6699CC", "#661100",
    "#77AADD", "#AAAA00", "#BB5566", "#004488", "#DDAA33", "#5C8A00", "#994F88", "#7A7A7A",
)  # fmt: skip
SEQUENTIAL: Final = "viridis"
DIVERGING: Final = ("#1f5fa8", "#9aa0a6", "#c05a00")
"""Below, at and above the middle: a grey that is seen on white and on dark pages."""
SEQUENTIAL_MPL: Final = "viridis"
DIVERGING_MPL: Final = "PuOr_r"
MUTED: Final = "#7a828c"
HIGHLIGHT: Final = "#D55E00"
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def natural_sort(names: Iterable[str]) -> list[str]:
    """Return names in natural order: ``topic_2`` before ``topic_10``, whatever their case."""
    return natsorted(names, key=str, alg=ns.IGNORECASE)


def category_colors(names: Sequence[str]) -> dict[str, str]:
    """Return one colour per category, in the order given; beyond 24 categories the palette repeats."""
    return {name: CATEGORICAL[i % len(CATEGORICAL)] for i, name in enumerate(names)}


def topic_colors(names: Sequence[str]) -> dict[str, str]:
    """Return the colour of every topic by its number, so that a topic has one colour in every chart.

    Expression topics are called ``e1, e2, ...`` and accessibility topics ``a1, a2, ...``; the same number has the
    same colour in both, and the letter says which modality is meant.
    """
    out = {}
    for position, name in enumerate(names):
        digits = re.search(r"(\d+)$", str(name))
        index = int(digits.group(1)) - 1 if digits else position
        out[name] = CATEGORICAL[index % len(CATEGORICAL)]
    return out


def diverging(bound: float | None = None, *, middle: float = 0.0) -> dict[str, Any]:
    """Return what a scale of signed values takes: colours about `middle`, as far as `bound` or as the values reach."""
    ends = {"domainMid": middle} if bound is None else {"domain": [middle - bound, middle, middle + bound]}
    return {"range": list(DIVERGING), "interpolate": "rgb", **ends}


def noted_title(title: str, note: str) -> Any:
    """Return a title with a note below it; without a title the note stands alone, in plain type."""
    if title and note:
        return {"text": title, "subtitle": note}
    return title or {"text": note, "fontWeight": "normal", "fontSize": 11}


def config(*, dark: bool = False) -> dict[str, Any]:
    """Return the Vega-Lite configuration shared by notebooks, panels and the report."""
    ink, grid = ("#e6e6e6", "#3a3f45") if dark else ("#22262a", "#e3e6e8")
    axis = {"labelColor": ink, "titleColor": ink, "gridColor": grid, "domainColor": grid, "tickColor": grid}
    return {
        "background": "transparent",
        "font": FONT,
        "title": {"color": ink, "subtitleColor": ink, "fontSize": 13, "fontWeight": 600, "anchor": "start"},
        "axis": {**axis, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500},
        "legend": {
            "labelColor": ink,
            "titleColor": ink,
            "labelFontSize": 11,
            "titleFontSize": 12,
            "symbolLimit": 60,
            "titleLimit": 0,
            "symbolBaseFillColor": MUTED,
            "symbolBaseStrokeColor": MUTED,
        },
        # a label at the end of an axis stays in its middle, where the one before does not touch it
        "axisQuantitative": {"labelFlush": False, "labelSeparation": 6},
        "header": {"labelColor": ink, "titleColor": ink},
        "view": {"stroke": "transparent", "continuousWidth": 420, "continuousHeight": 300},
        "range": {"category": list(CATEGORICAL)},
        "mark": {"color": CATEGORICAL[0]},
        "text": {"color": ink},
        "rule": {"color": ink},
        "bar": {"color": CATEGORICAL[0]},
        "line": {"strokeWidth": 2},
    }

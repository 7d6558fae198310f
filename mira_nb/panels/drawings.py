"""Small pictures of the explorer as SVG text: drawn at once, without a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from mira_nb.charts import theme
from mira_nb.report.colors import Palette

from .markup import number, text

WIDTH: Final = 560
HEIGHT: Final = 250
LEFT: Final = 58
BOTTOM: Final = 44
TOP: Final = 12


def violins(spreads: Mapping[str, Any], *, label: str, colours: Mapping[str, str]) -> str:
    """Return violins of several sets of cells: width the density, bar the middle half, dot the median."""
    if not spreads:
        return ""
    low = min(float(item.grid[0]) for item in spreads.values())
    high = max(float(item.grid[-1]) for item in spreads.values())
    scale = _Scale(low, high)
    step = (WIDTH - LEFT) / len(spreads)
    parts = []
    for i, (name, item) in enumerate(spreads.items()):
        x = LEFT + step * (i + 0.5)
        half = min(step, 110) * 0.42
        widths = item.density / item.density.max() * half
        if len(item.grid) == 1:
            shape = (
                f'<line x1="{x - half:.1f}" x2="{x + half:.1f}" y1="{scale(item.grid[0])}" y2="{scale(item.grid[0])}"'
            )
        else:
            right = [f"{x + w:.1f},{scale(y)}" for y, w in zip(item.grid, widths, strict=True)]
            left = [f"{x - w:.1f},{scale(y)}" for y, w in zip(item.grid, widths, strict=True)]
            shape = (
                f'<polygon points="{" ".join([*right, *reversed(left)])}" fill-opacity="0.55" fill="{colours[name]}"'
            )
        first, middle, third = (scale(q) for q in item.quartiles)
        parts.append(
            f'{shape} stroke="{colours[name]}"/>'
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{first}" y2="{third}" stroke="currentColor" stroke-width="4"/>'
            f'<circle cx="{x:.1f}" cy="{middle}" r="4" fill="#fff" stroke="currentColor"/>'
            + _below(x, _short(name, max(6, int(step / 7))), f"{item.n:,}")
        )
    said = "; ".join(f"{name}: median {number(item.quartiles[1])}" for name, item in spreads.items())
    return _picture("".join(parts) + scale.axis(label), f"Violins of {label}. {said}")


def lines(curves: Mapping[str, Any], *, label: str, colours: Mapping[str, str]) -> str:
    """Return smoothed values along pseudotime, a line per set of cells."""
    if not curves:
        return ""
    scale = _Scale(
        min(float(item.value.min()) for item in curves.values()),
        max(float(item.value.max()) for item in curves.values()),
    )
    low = min(float(item.time[0]) for item in curves.values())
    high = max(float(item.time[-1]) for item in curves.values())
    place = (WIDTH - LEFT - 10) / ((high - low) or 1.0)
    parts = []
    for name, item in curves.items():
        points = " ".join(
            f"{LEFT + (t - low) * place:.1f},{scale(v)}" for t, v in zip(item.time, item.value, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colours[name]}" stroke-width="2.5"/>')
    ends = _below(LEFT, number(low), "") + _below(WIDTH - 24, number(high), "")
    middle = f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">pseudotime</text>'
    return _picture(
        "".join(parts) + scale.axis(label) + ends + middle, f"{label} along pseudotime: {', '.join(curves)}"
    )


def key(names: Sequence[str], colours: Mapping[str, str]) -> str:
    """Return the colours of the sets in words."""
    items = [
        f'<span><span class="mn-swatch" style="background:{colours[name]}"></span>{text(name)}</span>' for name in names
    ]
    return f'<div class="mn-scale">{" ".join(items)}</div>'


def set_colours(names: Sequence[str], palette: Palette) -> dict[str, str]:
    """Return a colour per set, that of the run where it has one; what stands for the rest is grey."""
    colours = palette.of(names)
    return {name: theme.MUTED if name.startswith("all ") else colours[name] for name in names}


class _Scale:
    """The vertical axis."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = (low, high) if high > low else (low - 0.5, low + 0.5)

    def __call__(self, value: float) -> str:
        place = (float(value) - self.low) / (self.high - self.low)
        return f"{HEIGHT - BOTTOM - np.clip(place, 0, 1) * (HEIGHT - BOTTOM - TOP):.1f}"

    def axis(self, label: str) -> str:
        ticks = [value for value in _ticks(self.low, self.high) if self.low <= value <= self.high]
        out = "".join(
            f'<line class="soft" x1="{LEFT}" x2="{WIDTH}" y1="{self(tick)}" y2="{self(tick)}"/>'
            f'<text x="{LEFT - 6}" y="{float(self(tick)) + 4:.0f}" text-anchor="end">{number(float(tick))}</text>'
            for tick in ticks
        )
        shown = text(_short(label, 36))
        middle = (HEIGHT - BOTTOM + TOP) / 2
        return (
            f'<g>{out}<text transform="translate(12 {middle:.0f}) rotate(-90)" text-anchor="middle">{shown}</text></g>'
        )


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 4
    power = 10 ** np.floor(np.log10(rough))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(s - rough))
    return [round(float(i * step), 10) for i in range(int(np.floor(low / step)), int(np.ceil(high / step)) + 1)]


def _below(x: float, first: str, second: str) -> str:
    y = HEIGHT - BOTTOM + 16
    return "".join(
        f'<text x="{x:.0f}" y="{y + 14 * i}" text-anchor="middle">{text(line)}</text>'
        for i, line in enumerate((first, second))
        if line
    )


def _short(words: str, limit: int) -> str:
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _picture(body: str, said: str) -> str:
    return (
        f'<svg class="mn-chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'aria-label="{text(said)}">{body}</svg>'
    )

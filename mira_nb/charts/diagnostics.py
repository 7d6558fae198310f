"""Charts of the diagnostics of topic models."""

from __future__ import annotations

import altair as alt
import pandas as pd

from .theme import CATEGORICAL, MUTED, diverging


def observed_expected(frame: pd.DataFrame, *, title: str, log: bool = False, left: bool = True) -> alt.LayerChart:
    """Draw expected against observed values, with the line on which they are equal.

    Parameters
    ----------
    frame
        Columns observed, expected.
    title
        What is observed.
    log
        Logarithmic axes; rows with a value of zero or below are left out.
    left
        Whether it is the first panel of its row, which carries the title of the vertical axis.
    """
    shown = frame[(frame > 0).all(axis=1)] if log else frame
    scale = alt.Scale(type="log") if log else alt.Scale(zero=False)
    points = (
        alt.Chart(shown)
        .mark_circle(size=14, opacity=0.5, color=CATEGORICAL[0])
        .encode(
            x=alt.X("observed:Q", title=f"observed {title}", scale=scale),
            y=alt.Y("expected:Q", title="expected by the model" if left else None, scale=scale),
            tooltip=[alt.Tooltip("observed:Q", format=".3g"), alt.Tooltip("expected:Q", format=".3g")],
        )
    )
    ends = pd.DataFrame({"observed": [shown["observed"].min(), shown["observed"].max()]})
    line = (
        alt.Chart(ends.assign(expected=ends["observed"]))
        .mark_line(color=MUTED, strokeDash=[4, 3])
        .encode(x="observed:Q", y="expected:Q")
    )
    return alt.layer(line, points).properties(width=230, height=200)


def technical_heatmap(table: pd.DataFrame) -> alt.Chart:
    """Draw the correlation of topics with technical columns (columns topic, column, spearman)."""
    return (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("topic:N", title="topic", sort=list(dict.fromkeys(table["topic"]))),
            y=alt.Y("column:N", title=None, sort=list(dict.fromkeys(table["column"]))),
            color=alt.Color("spearman:Q", title="Spearman r", scale=alt.Scale(**diverging(1))),
            tooltip=["topic:N", "column:N", alt.Tooltip("spearman:Q", format=".2f")],
        )
        .properties(width={"step": 24}, height={"step": 20})
    )


def predictive_panels(panels: dict[str, pd.DataFrame], *, log: frozenset[str]) -> alt.ConcatChart:
    """Draw :func:`observed_expected` of several checks side by side, two in a row."""
    charts = [
        observed_expected(frame, title=name, log=name in log, left=place % 2 == 0)
        for place, (name, frame) in enumerate(panels.items())
    ]
    return alt.concat(*charts, columns=2)

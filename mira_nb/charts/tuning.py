"""Charts of tunings. DataFrames in, Altair charts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from .theme import CATEGORICAL, HIGHLIGHT, MUTED, SEQUENTIAL

LOSS = "loss (nats per count)"
STATES = {"complete": CATEGORICAL[0], "pruned": MUTED, "compared": HIGHLIGHT, "failed": CATEGORICAL[3]}


def loss_curve(curve: pd.DataFrame, *, chosen: int, one_standard_error: int | None = None) -> alt.LayerChart:
    """Draw loss and spread against the number of topics; the choice and the one-standard-error choice as lines.

    Parameters
    ----------
    curve
        Columns n_topics, loss, loss_low, loss_high, gain.
    chosen, one_standard_error
        Numbers of topics that are marked; None marks the choice alone.
    """
    x = alt.X("n_topics:Q", title="number of topics", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y("loss:Q", title=LOSS, scale=alt.Scale(zero=False))
    base = alt.Chart(curve).encode(x=x)
    bars = base.mark_rule(color=MUTED).encode(y=alt.Y("loss_low:Q", title=LOSS), y2="loss_high:Q")
    line = base.mark_line(color=CATEGORICAL[0]).encode(y=y)
    points = base.mark_point(filled=True, size=45, color=CATEGORICAL[0]).encode(
        y=y,
        tooltip=["n_topics:Q", alt.Tooltip("loss:Q", format=".5f"), alt.Tooltip("gain:Q", format=".5f")],
    )
    marks = pd.DataFrame({"n_topics": [chosen, one_standard_error], "mark": ["chosen", "one standard error"]}).dropna()
    domain, colors = list(marks["mark"]), [HIGHLIGHT, CATEGORICAL[2]][: len(marks)]
    rules = (
        alt.Chart(marks)
        .mark_rule(strokeDash=[4, 3], strokeWidth=2)
        .encode(
            x=x,
            color=alt.Color("mark:N", title="", scale=alt.Scale(domain=domain, range=colors)),
            tooltip=["mark:N", "n_topics:Q"],
        )
    )
    return alt.layer(bars, line, points, rules).properties(width=520, height=260)


def trial_history(trials: pd.DataFrame) -> alt.LayerChart:
    """Draw the loss of every trial in order, coloured by its state, and the best so far among comparable ones.

    Parameters
    ----------
    trials
        Columns trial, state, phase, n_topics, loss, reason.
    """
    shown = trials[["trial", "state", "phase", "n_topics", "loss", "reason"]].fillna({"reason": ""})
    states = [state for state in STATES if state in set(shown["state"])]
    points = (
        alt.Chart(shown)
        .mark_point(filled=True, size=50)
        .encode(
            x=alt.X("trial:Q", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("loss:Q", title=LOSS, scale=alt.Scale(zero=False)),
            color=alt.Color(
                "state:N", title="state", scale=alt.Scale(domain=states, range=[STATES[state] for state in states])
            ),
            shape=alt.Shape("phase:N", title="phase"),
            tooltip=["trial:Q", "state:N", "phase:N", "n_topics:Q", alt.Tooltip("loss:Q", format=".5f"), "reason:N"],
        )
    )
    best = shown[shown["state"] == "complete"].copy()
    best["best"] = best.groupby("phase", sort=False)["loss"].cummin()
    line = (
        alt.Chart(best)
        .mark_line(interpolate="step-after", color=CATEGORICAL[1])
        .encode(x="trial:Q", y=alt.Y("best:Q", title=LOSS), detail="phase:N")
    )
    return alt.layer(line, points).properties(width=520, height=240)


def importances(values: Mapping[str, float]) -> alt.Chart:
    """Draw the fraction of the loss's variance over trials that each parameter explains, as bars."""
    frame = pd.DataFrame({"parameter": list(values), "importance": list(values.values())})
    return (
        alt.Chart(frame)
        .mark_bar(color=CATEGORICAL[0])
        .encode(
            x=alt.X("importance:Q", title="fraction of the variance of the loss", axis=alt.Axis(format="%")),
            y=alt.Y("parameter:N", title="", sort="-x"),
            tooltip=["parameter:N", alt.Tooltip("importance:Q", format=".1%")],
        )
        .properties(width=420, height=alt.Step(24))
    )


def parallel_coordinates(trials: pd.DataFrame, names: Sequence[str]) -> alt.Chart:
    """Draw one line per trial across its parameters, each scaled to its range; colour: loss.

    Parameters
    ----------
    trials
        Columns trial, state, loss and `names`.
    names
        Parameters, one axis each.
    """
    some = trials.dropna(subset=[*names, "loss"])
    rows: list[dict[str, Any]] = []
    for name in names:
        values = some[name].to_numpy(float)
        if values.min() > 0 and values.max() / values.min() > 100:
            values = np.log(values)
        scaled = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
        for trial, state, loss, raw, place in zip(
            some["trial"], some["state"], some["loss"], some[name], scaled, strict=True
        ):
            rows.append(
                {"trial": int(trial), "state": state, "loss": float(loss), "parameter": name, "value": float(raw),
                 "place": float(place)}
            )  # fmt: skip
    return (
        alt.Chart(pd.DataFrame(rows, columns=["trial", "state", "loss", "parameter", "value", "place"]))
        .mark_line(opacity=0.7)
        .encode(
            x=alt.X("parameter:N", title="", sort=list(names), axis=alt.Axis(labelAngle=-20)),
            y=alt.Y("place:Q", title="position in the range tried"),
            color=alt.Color("loss:Q", title=LOSS, scale=alt.Scale(scheme=SEQUENTIAL, reverse=True)),
            detail="trial:N",
            tooltip=["trial:Q", "state:N", alt.Tooltip("loss:Q", format=".5f"), "parameter:N", "value:Q"],
        )
        .properties(width=520, height=240)
    )


def stability_strip(table: pd.DataFrame, matched: np.ndarray) -> alt.LayerChart:
    """Draw the correlation of each topic with its match in every refit; tick: mean over the refits.

    Parameters
    ----------
    table
        Columns topic, stability, flag.
    matched
        (refits, K) correlations.
    """
    n_refits, n_topics = matched.shape
    points = pd.DataFrame(
        {
            "topic": np.tile(table["topic"].to_numpy(int), n_refits),
            "refit": np.repeat(np.arange(1, n_refits + 1), n_topics),
            "correlation": matched.ravel(),
        }
    )
    x = alt.X("topic:O", title="topic of the tuned model, by mean proportion", axis=alt.Axis(labelAngle=0))
    y = alt.Y("correlation:Q", title="correlation with its match")
    dots = alt.Chart(points).mark_circle(size=45, opacity=0.6, color=CATEGORICAL[0])
    ticks = alt.Chart(table[["topic", "stability", "flag"]]).mark_tick(color=HIGHLIGHT, thickness=2, width=18)
    return alt.layer(
        dots.encode(x=x, y=y, tooltip=["topic:O", "refit:Q", alt.Tooltip("correlation:Q", format=".3f")]),
        ticks.encode(x=x, y=alt.Y("stability:Q"), tooltip=["topic:O", "stability:Q", "flag:N"]),
    ).properties(width=alt.Step(28), height=220)


def learning_curve(table: pd.DataFrame, summary: pd.DataFrame) -> alt.LayerChart:
    """Draw correlations with the topics of all cells against the number of cells that were fitted.

    Thick line: mean over topics of the median refit, with the range of the refits; faint lines: topics, mean over
    refits; dashes: other seeds.

    Parameters
    ----------
    table
        Columns fraction, n_cells, repeat, topic, correlation.
    summary
        Columns fraction, n_cells, correlation, correlation_low, correlation_high; the last row holds all cells.
    """
    topics = table.groupby(["topic", "n_cells"], as_index=False)["correlation"].mean()
    x = alt.X("n_cells:Q", title="cells fitted", scale=alt.Scale(zero=False, nice=False, padding=14))
    y = alt.Y("correlation:Q", title="correlation with the topics of all cells", scale=alt.Scale(zero=False))
    number = alt.Tooltip("correlation:Q", format=".3f")
    faint = (
        alt.Chart(topics)
        .mark_line(color=MUTED, opacity=0.5, strokeWidth=1)
        .encode(x=x, y=y, detail="topic:N", tooltip=["topic:N", "n_cells:Q", number])
    )
    dots = (
        alt.Chart(topics)
        .mark_circle(color=MUTED, opacity=0.5, size=18)
        .encode(x=x, y=y, tooltip=["topic:N", "n_cells:Q", number])
    )
    shown = summary[["n_cells", "correlation", "correlation_low", "correlation_high"]]
    mean = alt.Chart(shown)
    range_of_refits = mean.mark_rule(color=CATEGORICAL[0], strokeWidth=2).encode(
        x=x, y=alt.Y("correlation_low:Q"), y2="correlation_high:Q"
    )
    line = mean.mark_line(color=CATEGORICAL[0], strokeWidth=3).encode(x=x, y=y)
    points = mean.mark_point(filled=True, size=70, opacity=1, color=CATEGORICAL[0]).encode(
        x=x, y=y, tooltip=["n_cells:Q", number]
    )
    seeds = alt.Chart(shown.tail(1)).mark_rule(color=HIGHLIGHT, strokeDash=[4, 3], strokeWidth=2).encode(y=y)
    return alt.layer(faint, dots, seeds, range_of_refits, line, points).properties(width=520, height=260)

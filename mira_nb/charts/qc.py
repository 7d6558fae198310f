"""Charts of data quality and feature selection. DataFrames in, Altair charts out."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from .theme import CATEGORICAL, HIGHLIGHT, MUTED

N_BINS = 40
QUANTILES = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}
MAX_BATCHES = 40
SELECTIONS = ("read by the encoder", "modelled", "not modelled")


def quantile_table(values: pd.DataFrame, batch: pd.Series | None = None) -> pd.DataFrame:
    """Compute quantiles of every column over all cells and, when given, over the cells of each batch.

    Returns
    -------
    pandas.DataFrame
        Columns quantity, cells ("all" or the batch), n_cells, mean and the quantiles.
    """
    parts = [("all", values)]
    if batch is not None:
        labels = batch.to_numpy()
        parts += [(str(name), values[labels == name]) for name in pd.unique(np.sort(labels))]
    rows = []
    for column in values.columns:
        for name, part in parts:
            numbers = part[column].to_numpy(dtype=float)
            row = {"quantity": column, "cells": name, "n_cells": len(numbers), "mean": round(float(numbers.mean()), 3)}
            row |= {label: float(np.quantile(numbers, q)) for label, q in QUANTILES.items()}
            rows.append(row)
    return pd.DataFrame(rows)


def histogram_table(values: pd.DataFrame, *, n_bins: int = N_BINS) -> pd.DataFrame:
    """Count cells in bins of equal width on the log10(1 + x) axis: quantity, left, right, n_cells."""
    parts = []
    for column in values.columns:
        numbers = values[column].to_numpy(dtype=float)
        logs = np.log10(1 + numbers)
        low, high = float(logs.min()), float(logs.max())
        edges = np.linspace(low, high if high > low else low + 1, n_bins + 1)
        counts, _ = np.histogram(logs, bins=edges)
        bounds = 10**edges - 1
        parts.append(
            pd.DataFrame({"quantity": column, "left": bounds[:-1] + 1, "right": bounds[1:] + 1, "n_cells": counts})
        )
    return pd.concat(parts, ignore_index=True)


def depth_histograms(values: pd.DataFrame) -> alt.HConcatChart:
    """Draw one histogram per column of `values`, logarithmic axis (value + 1), the median as a line."""
    table = histogram_table(values)
    panels = []
    for i, column in enumerate(values.columns):
        part = table[table["quantity"] == column]
        bars = (
            alt.Chart(part)
            .mark_rect(color=CATEGORICAL[i % len(CATEGORICAL)], stroke=None)
            .encode(
                x=alt.X("left:Q", title=f"{column} (+1)", scale=alt.Scale(type="log", nice=False)),
                x2="right:Q",
                y=alt.Y("n_cells:Q", title="cells" if i == 0 else None),
                y2=alt.datum(0),
                tooltip=[
                    alt.Tooltip("left:Q", format=",.0f", title="from"),
                    alt.Tooltip("right:Q", format=",.0f", title="to"),
                    alt.Tooltip("n_cells:Q", title="cells"),
                ],
            )
        )
        median = pd.DataFrame({"median": [float(values[column].median()) + 1]})
        line = (
            alt.Chart(median)
            .mark_rule(color=HIGHLIGHT, strokeWidth=2)
            .encode(x="median:Q", tooltip=[alt.Tooltip("median:Q", format=",.0f", title="median + 1")])
        )
        panels.append(alt.layer(bars, line).properties(width=210, height=170))
    return alt.hconcat(*panels)


def depth_by_batch(values: pd.DataFrame, batch: pd.Series) -> alt.HConcatChart:
    """Draw quantiles of every column by batch; the largest batches when there are very many."""
    biggest = list(batch.value_counts().index[:MAX_BATCHES])
    keep = batch.isin(biggest).to_numpy()
    table = quantile_table(values[keep], batch[keep])
    table = table[table["cells"] != "all"]
    bounds = ["q05", "q25", "median", "q75", "q95"]
    table[bounds] = table[bounds] + 1
    order = sorted(map(str, biggest))
    panels = []
    for i, column in enumerate(values.columns):
        part = table[table["quantity"] == column].drop(columns=["quantity", "mean", "min", "max"])
        y = alt.Y("cells:N", title=str(batch.name) if i == 0 else None, sort=order)
        scale = alt.Scale(type="log", nice=False)
        tips = [alt.Tooltip("cells:N", title=str(batch.name)), alt.Tooltip("n_cells:Q", format=",", title="cells")]
        tips += [alt.Tooltip(f"{name}:Q", format=",.0f") for name in bounds]
        base = alt.Chart(part).encode(y=y, tooltip=tips)
        color = CATEGORICAL[i % len(CATEGORICAL)]
        whisker = base.mark_rule(color=MUTED).encode(x=alt.X("q05:Q", title=f"{column} (+1)", scale=scale), x2="q95:Q")
        box = base.mark_bar(color=color, opacity=0.7, height={"band": 0.6}).encode(x="q25:Q", x2="q75:Q")
        middle = base.mark_tick(color=HIGHLIGHT, thickness=2).encode(x="median:Q")
        panels.append(alt.layer(whisker, box, middle).properties(width=210, height={"step": 18}))
    return alt.hconcat(*panels)


def dispersion_plot(genes: pd.DataFrame) -> tuple[alt.Chart, dict[str, pd.DataFrame]]:
    """Draw mean against dispersion per gene, coloured by what the gene is used for.

    Parameters
    ----------
    genes
        Columns mean, dispersion, modelled, encoder.
    """
    role = np.where(genes["encoder"], SELECTIONS[0], np.where(genes["modelled"], SELECTIONS[1], SELECTIONS[2]))
    frame = pd.DataFrame(
        {
            "mean": genes["mean"].to_numpy(float),
            "dispersion": genes["dispersion"].to_numpy(float),
            "use": pd.Categorical(role, categories=list(SELECTIONS)),
        }
    )
    frame = frame[np.isfinite(frame["dispersion"])].reset_index(drop=True)
    colors: list[Any] = [HIGHLIGHT, CATEGORICAL[0], MUTED]
    chart = (
        alt.Chart(alt.NamedData("genes"))
        .mark_circle(size=14, opacity=0.6)
        .encode(
            x=alt.X("mean:Q", title="log(1 + mean normalised expression)"),
            y=alt.Y("dispersion:Q", title="log(variance / mean)", scale=alt.Scale(zero=False)),
            color=alt.Color("use:N", title="gene is", scale=alt.Scale(domain=list(SELECTIONS), range=colors)),
            tooltip=[
                alt.Tooltip("use:N"),
                alt.Tooltip("mean:Q", format=".3f"),
                alt.Tooltip("dispersion:Q", format=".3f"),
            ],
        )
        .properties(width=480, height=320)
    )
    return chart, {"genes": frame}

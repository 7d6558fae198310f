"""Charts of ATAC fragments: their sizes, and cuts around transcription start sites."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from mira_nb.typing import Floats, Ints

from .theme import CATEGORICAL, MUTED

_STEP = 5
_SMOOTH = 21


def size_distribution(sizes: Ints, *, nucleosome: int) -> alt.LayerChart:
    """Draw the number of fragments by size; lines mark one and two nucleosomes.

    Parameters
    ----------
    sizes
        Fragments of every size from 0; the last holds longer ones and is not drawn.
    nucleosome
        Bases around one nucleosome.
    """
    kept = sizes[: (len(sizes) - 1) // _STEP * _STEP].reshape(-1, _STEP)
    table = pd.DataFrame({"size": np.arange(len(kept)) * _STEP, "fragments": kept.sum(axis=1)})
    bars = (
        alt.Chart(table)
        .mark_area(color=CATEGORICAL[0], opacity=0.8)
        .encode(
            x=alt.X("size:Q", title="size (bp)"),
            y=alt.Y("fragments:Q", title=f"fragments per {_STEP} bp"),
            tooltip=[alt.Tooltip("size:Q", title="size from (bp)"), alt.Tooltip("fragments:Q", format=",")],
        )
    )
    marks = pd.DataFrame({"size": [nucleosome, 2 * nucleosome], "what": ["one nucleosome", "two nucleosomes"]})
    lines = alt.Chart(marks).mark_rule(color=MUTED, strokeDash=[4, 3]).encode(x="size:Q", tooltip=["what:N", "size:Q"])
    return alt.layer(bars, lines).properties(width=420, height=200)


def site_profile(profile: Floats) -> alt.Chart:
    """Draw cuts around start sites over background, as a mean over 21 bp.

    Parameters
    ----------
    profile
        (2 n + 1,) cuts by position from n bases upstream to n bases downstream.
    """
    smooth = np.convolve(profile, np.full(_SMOOTH, 1 / _SMOOTH), mode="valid")
    position = np.arange(len(smooth)) - len(smooth) // 2
    table = pd.DataFrame({"position": position, "enrichment": smooth})[::_STEP]
    return (
        alt.Chart(table)
        .mark_line(color=CATEGORICAL[0])
        .encode(
            x=alt.X("position:Q", title="position from the start site (bp)"),
            y=alt.Y("enrichment:Q", title="cuts over background"),
            tooltip=["position:Q", alt.Tooltip("enrichment:Q", format=".2f")],
        )
        .properties(width=420, height=200)
    )

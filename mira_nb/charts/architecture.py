"""Diagram of a topic model: encoder, topics, decoder, with the sizes of the fitted model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Final, Literal

import altair as alt
import pandas as pd

from .theme import CATEGORICAL, MUTED

Part = Literal["encoder", "topics", "decoder", "prior"]
PARTS: Final[dict[Part, str]] = {
    "encoder": CATEGORICAL[0],
    "topics": CATEGORICAL[2],
    "decoder": CATEGORICAL[1],
    "prior": CATEGORICAL[3],
}
WIDTH: Final = 730
HEIGHT: Final = 330
BOX_WIDTH: Final = 1.62
BOX_HEIGHT: Final = 0.82
N_COLUMNS: Final = 4


@dataclass(frozen=True)
class Box:
    """A box of the diagram; its centre in columns (from the left) and rows (from the top)."""

    key: str
    part: Part
    column: float
    row: float
    label: str
    detail: str


def architecture(
    modality: Literal["rna", "atac"], *, n_features: int, n_encoder: int, n_topics: int, n_hidden: int
) -> alt.LayerChart:
    """Draw the model: counts to topics (encoder, upper row), topics to counts (decoder, lower row), priors between.

    Parameters
    ----------
    modality
        ``"rna"``: deviance residuals and a negative binomial; ``"atac"``: peak embeddings and a multinomial.
    n_features, n_encoder
        Modelled features, and how many of them the encoder reads.
    n_topics, n_hidden
        Number of topics; width of the hidden layers.

    Returns
    -------
    altair.LayerChart
        Source of the drawing: Extended Methods, Model architecture (Extended Data Fig. 1).
    """
    boxes = _boxes(modality, n_features=n_features, n_encoder=n_encoder, n_topics=n_topics, n_hidden=n_hidden)
    place = {box.key: box for box in boxes}
    arrows = [_arrow(place[start], place[end]) for start, end in _LINKS if start in place and end in place]
    frame = pd.DataFrame([_corners(box) for box in boxes])
    return alt.layer(*_arrow_layers(pd.DataFrame(arrows)), *_box_layers(frame)).properties(width=WIDTH, height=HEIGHT)


_LINKS: Final = (
    ("input", "features"),
    ("features", "hidden"),
    ("hidden", "posterior"),
    ("posterior", "topics"),
    ("prior", "topics"),
    ("topics", "linear"),
    ("linear", "composition"),
    ("composition", "counts"),
    ("noise", "counts"),
    ("counts", "data"),
)


def _boxes(
    modality: Literal["rna", "atac"], *, n_features: int, n_encoder: int, n_topics: int, n_hidden: int
) -> list[Box]:
    rna = modality == "rna"
    what = "genes" if rna else "peaks"
    layers = "2 hidden layers" if rna else "1 hidden layer"
    outputs = f"μ, σ of {n_topics} topics" + ("\nand of the depth n" if rna else "")
    return [
        Box("input", "encoder", 0, 0, "Observed counts X", f"{n_encoder:,} {what}\nand log depth"),
        Box(
            "features",
            "encoder",
            1,
            0,
            "Deviance residuals" if rna else "Mean embedding",
            "against one profile\nfor all cells" if rna else f"of the open peaks,\nwidth {n_hidden}",
        ),
        Box("hidden", "encoder", 2, 0, layers, f"width {n_hidden}: linear,\nbatch norm, ReLU, dropout"),
        Box("posterior", "encoder", 3, 0, "Posterior q(Z | X)", outputs),
        Box("prior", "prior", 2, 1, "Prior Dirichlet(α)", f"sparse; {n_topics} learned α\nwith a gamma prior"),
        Box("topics", "topics", 3, 1, "Topics Z", f"softmax of a draw:\n{n_topics} shares, sum 1"),
        Box("linear", "decoder", 3, 2, "Z β", f"{n_topics} × {n_features:,} weights,\nbatch norm"),
        Box("composition", "decoder", 2, 2, "Composition ρ", f"softmax over\n{n_features:,} {what}"),
        Box(
            "counts",
            "decoder",
            1,
            2,
            "Negative binomial" if rna else "Multinomial",
            "mean n ρ, dispersion θ\nof each gene" if rna else "open peaks of the cell\ndrawn from ρ",
        ),
        Box("data", "decoder", 0, 2, "Likelihood of X", f"counts of {n_features:,} {what}\ngiven the topics"),
        *(
            [Box("noise", "prior", 1, 1, "Read depth n", "log-normal around\nthe cell's counts")]
            if rna
            else []
        ),
    ]  # fmt: skip


def _x(column: float) -> float:
    return 2 * column + 1


def _corners(box: Box) -> dict[str, object]:
    x, y = _x(box.column), 1.3 * box.row
    half_width, half_height = BOX_WIDTH / 2, BOX_HEIGHT / 2
    return {
        **asdict(box),
        "x": x,
        "y": y,
        "x1": x - half_width,
        "x2": x + half_width,
        "y1": y - half_height,
        "y2": y + half_height,
        "text": box.detail.replace("\n", " "),
    }


def _arrow(start: Box, end: Box) -> dict[str, float]:
    """Line between the nearest sides of two boxes that share a row or a column."""
    x1, y1, x2, y2 = _x(start.column), 1.3 * start.row, _x(end.column), 1.3 * end.row
    across, down = x2 - x1, y2 - y1
    pixels = math.degrees(math.atan2(down * HEIGHT, across * WIDTH))
    step_x = math.copysign(BOX_WIDTH / 2, across) if across else 0.0
    step_y = math.copysign(BOX_HEIGHT / 2, down) if down else 0.0
    gap_x, gap_y = (math.copysign(0.05, value) if value else 0.0 for value in (across, down))
    return {
        "x": x1 + step_x,
        "y": y1 + step_y,
        "x_end": x2 - step_x - gap_x,
        "y_end": y2 - step_y - gap_y,
        "angle": pixels + 90,
    }


def _axis(channel: str, domain: list[float], *, reverse: bool = False) -> dict[str, object]:
    return {
        "field": channel,
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": domain, "nice": False, "zero": False, "reverse": reverse},
    }


def _plane(x: str, y: str) -> dict[str, object]:
    return {
        "x": alt.X(**_axis(x, [0, 2 * N_COLUMNS])),
        "y": alt.Y(**_axis(y, [-0.55, 3.15], reverse=True)),
    }


def _arrow_layers(arrows: pd.DataFrame) -> list[alt.Chart]:
    base = alt.Chart(arrows)
    line = base.mark_rule(color=MUTED, strokeWidth=1.6).encode(**_plane("x", "y"), x2="x_end:Q", y2="y_end:Q")
    head = base.mark_point(shape="triangle-up", filled=True, color=MUTED, size=70, opacity=1).encode(
        **_plane("x_end", "y_end"), angle=alt.Angle("angle:Q", scale=None)
    )
    return [line, head]


def _box_layers(boxes: pd.DataFrame) -> list[alt.Chart]:
    base = alt.Chart(boxes)
    color = alt.Color(
        "part:N",
        title=None,
        scale=alt.Scale(domain=list(PARTS), range=list(PARTS.values())),
        legend=alt.Legend(orient="bottom", symbolOpacity=1, symbolType="square"),
    )
    rectangle = base.mark_rect(cornerRadius=8, fillOpacity=0.16, strokeWidth=1.6).encode(
        **_plane("x1", "y1"),
        x2="x2:Q",
        y2="y2:Q",
        color=color,
        stroke=alt.Stroke("part:N", title=None, scale=alt.Scale(domain=list(PARTS), range=list(PARTS.values()))),
        tooltip=[alt.Tooltip("label:N"), alt.Tooltip("text:N", title="what")],
    )
    title = base.mark_text(fontWeight=600, fontSize=12.5, dy=-20).encode(**_plane("x", "y"), text="label:N")
    detail = base.mark_text(fontSize=11, lineBreak="\n", lineHeight=14, dy=2).encode(
        **_plane("x", "y"), text="detail:N"
    )
    return [rectangle, title, detail]

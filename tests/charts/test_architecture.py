"""The diagram of the topic model: its numbers, and that boxes and arrows fit together."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from mira_nb.charts.architecture import architecture

SIZES = {"n_features": 2843, "n_encoder": 1507, "n_topics": 13, "n_hidden": 96}


def parts(modality: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Boxes and arrows as the chart holds them."""
    datasets = list(architecture(modality, **SIZES).to_dict()["datasets"].values())
    boxes = next(rows for rows in datasets if "label" in rows[0])
    arrows = next(rows for rows in datasets if "angle" in rows[0])
    return boxes, arrows


@pytest.mark.parametrize(("modality", "likelihood"), [("rna", "Negative binomial"), ("atac", "Multinomial")])
def test_shows_the_model_with_its_sizes(modality: str, likelihood: str) -> None:
    boxes, _ = parts(modality)
    text = " ".join(f"{box['label']} {box['text']}" for box in boxes)
    assert likelihood in text
    for number in ("2,843", "1,507", "13", "96"):
        assert number in text
    assert ("dispersion" in text) == (modality == "rna")
    assert ("embedding" in text) == (modality == "atac")


@pytest.mark.parametrize("modality", ["rna", "atac"])
def test_boxes_lie_apart_and_arrows_join_them(modality: str) -> None:
    boxes, arrows = parts(modality)
    for one, two in combinations(boxes, 2):
        assert one["x2"] < two["x1"] or two["x2"] < one["x1"] or one["y2"] < two["y1"] or two["y2"] < one["y1"]

    def touches(x: float, y: float) -> list[str]:
        near = 0.06
        return [
            box["key"]
            for box in boxes
            if box["x1"] - near <= x <= box["x2"] + near and box["y1"] - near <= y <= box["y2"] + near
        ]

    joined = set()
    for arrow in arrows:
        (start,), (end,) = touches(arrow["x"], arrow["y"]), touches(arrow["x_end"], arrow["y_end"])
        assert start != end
        joined |= {start, end}
        right, down = arrow["x_end"] - arrow["x"], arrow["y_end"] - arrow["y"]
        assert min(abs(right), abs(down)) < 1e-9, "arrows run along rows and columns"
        assert arrow["angle"] % 360 == pytest.approx(90 if right > 0 else 270 if right < 0 else 180 if down > 0 else 0)
    assert joined == {box["key"] for box in boxes}

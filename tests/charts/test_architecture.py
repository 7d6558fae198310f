"""The diagram of the topic model: its numbers, that text fits its boxes, and that arrows join them."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mira_nb.charts.architecture import architecture

SIZES = {"n_features": 2843, "n_encoder": 1507, "n_topics": 13, "n_hidden": 96}
LARGE = {"n_features": 284_300, "n_encoder": 150_700, "n_topics": 130, "n_hidden": 1024}
SVG = "{http://www.w3.org/2000/svg}"
MARGIN = 8.0  # pixels between the end of a text and its box
N_LINKS = {"rna": 10, "atac": 9}


def boxes_of(drawing: ElementTree.Element, kind: str = "box") -> list[dict[str, Any]]:
    """Corners, part and texts of the boxes of one kind, in pixels."""
    out = []
    for group in drawing.iter(f"{SVG}g"):
        classes = group.get("class", "").split()
        if classes[0] != kind:
            continue
        x, y = map(float, re.findall(r"[\d.]+", group.get("transform", "")))
        rectangle = group.find(f"{SVG}rect")
        assert rectangle is not None
        width, height = float(rectangle.get("width", "")), float(rectangle.get("height", ""))
        texts = [
            (text.text or "", text.get("class") == "title", float(text.get("y", "")))
            for text in group.iter(f"{SVG}text")
        ]
        out.append({"part": classes[1], "x1": x, "x2": x + width, "y1": y, "y2": y + height, "texts": texts})
    return out


@pytest.mark.parametrize(("modality", "likelihood"), [("rna", "Negative binomial"), ("atac", "Multinomial")])
def test_shows_the_model_with_its_sizes(modality: Any, likelihood: str) -> None:
    drawing = ElementTree.fromstring(architecture(modality, **SIZES))
    boxes = boxes_of(drawing)
    assert len(boxes) == N_LINKS[modality] + 1
    text = " ".join(line for box in boxes for line, _, _ in box["texts"])
    assert likelihood in text
    for number in ("2,843", "1,507", "13", "96"):
        assert re.search(rf"(?<![\d,]){number}(?![\d,])", text)
    assert ("dispersion" in text) == (modality == "rna")
    assert ("embedding" in text) == (modality == "atac")
    assert [box["part"] for box in boxes_of(drawing, "key")] == ["encoder", "topics", "decoder", "prior"]


@pytest.mark.parametrize("modality", ["rna", "atac"])
@pytest.mark.parametrize("sizes", [SIZES, LARGE], ids=["usual", "large"])
def test_text_stays_clear_of_its_box(modality: Any, sizes: dict[str, int]) -> None:
    """Measured in DejaVu Sans, the widest of the usual sans-serif fonts."""
    import matplotlib
    from PIL import ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    plain = ImageFont.truetype(str(folder / "DejaVuSans.ttf"), 12)
    bold = ImageFont.truetype(str(folder / "DejaVuSans-Bold.ttf"), 13)
    drawing = ElementTree.fromstring(architecture(modality, **sizes))
    boxes = boxes_of(drawing) + boxes_of(drawing, "key")
    assert sum(len(box["texts"]) for box in boxes) > 30
    for box in boxes:
        baselines = [y for _, _, y in box["texts"]]
        assert all(later - earlier >= 15 for earlier, later in pairwise(baselines))
        assert baselines[0] >= 15
        assert box["y2"] - box["y1"] - baselines[-1] >= MARGIN
        for line, is_title, _ in box["texts"]:
            assert (bold if is_title else plain).getlength(line) <= box["x2"] - box["x1"] - 2 * MARGIN, line


@pytest.mark.parametrize("modality", ["rna", "atac"])
def test_boxes_lie_apart_and_arrows_join_them(modality: Any) -> None:
    drawing = ElementTree.fromstring(architecture(modality, **SIZES))
    boxes = boxes_of(drawing)
    every = boxes + boxes_of(drawing, "key")
    for one, two in combinations(every, 2):
        assert one["x2"] < two["x1"] or two["x2"] < one["x1"] or one["y2"] < two["y1"] or two["y2"] < one["y1"]
    width, height = float(drawing.get("width", "")), float(drawing.get("height", ""))
    assert all(box["x1"] > 0 and box["x2"] < width and box["y1"] > 0 and box["y2"] < height for box in every)

    def touched(x: float, y: float) -> int:
        near = 4.0
        (found,) = [
            i
            for i, box in enumerate(boxes)
            if box["x1"] - near <= x <= box["x2"] + near and box["y1"] - near <= y <= box["y2"] + near
        ]
        return found

    links = set()
    for arrow in drawing.iter(f"{SVG}line"):
        x1, y1, x2, y2 = (float(arrow.get(name, "")) for name in ("x1", "y1", "x2", "y2"))
        assert (x1 == x2) != (y1 == y2), "arrows run along rows and columns"
        links.add((touched(x1, y1), touched(x2, y2)))
    assert len(links) == N_LINKS[modality]
    assert {end for link in links for end in link} == set(range(len(boxes)))
    assert all(start != end for start, end in links)

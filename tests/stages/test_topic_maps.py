"""Topics on the map, grouped by the groups of cells that share them."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib.image import imread

from mira_nb.core.statistics.group_tests import share_topics
from mira_nb.stages.comparisons.figures import _topic_maps, topic_groups

LABELS = np.repeat(["A", "B", "C"], 30)
MEANS = {"e1": (9, 1, 1), "e2": (5, 4, 5), "e3": (1, 8, 1), "e4": (1, 6, 6), "e5": (8, 1, 2), "a1": (1, 1, 9)}


def topics() -> pd.DataFrame:
    """Topics with known means in the three groups."""
    return pd.DataFrame({name: np.repeat(np.array(means, float), 30) for name, means in MEANS.items()})


def test_topics_of_all_come_first_and_those_of_one_group_last() -> None:
    sharing = share_topics(topics(), LABELS)
    assert topic_groups(sharing, ["e1", "e2", "e3", "e4", "e5"]) == {
        "shared by all": ["e2"],
        "shared": ["e4"],
        "A": ["e1", "e5"],
        "B": ["e3"],
    }
    assert topic_groups(sharing, ["a1"]) == {"C": ["a1"]}


def test_topics_of_all_of_several_and_of_one_begin_a_row_of_the_picture() -> None:
    rng = np.random.default_rng(0)
    done = SimpleNamespace(
        data=SimpleNamespace(obsm={"X_umap": rng.normal(size=(90, 2))}),
        params=SimpleNamespace(shared_fraction=0.5),
        topics=topics(),
        sharing=share_topics(topics(), LABELS),
        grouping="state",
    )
    expression, accessibility = _topic_maps(done)  # type: ignore[arg-type]
    assert (expression.name, accessibility.name) == ("topic_maps_rna", "topic_maps_atac")
    assert "shared by all: e2; shared: e4; A: e1, e5; B: e3." in expression.caption
    assert expression.title == "Expression topics by the groups that share them"
    height, width = imread(io.BytesIO(expression.image or b""), format="png").shape[:2]
    single_height, single_width = imread(io.BytesIO(accessibility.image or b""), format="png").shape[:2]
    assert round(height / single_height) == 3
    assert round(width / single_width) == 3
    done.data.obsm.clear()
    assert _topic_maps(done) == []  # type: ignore[arg-type]

"""Names on a map: none hides another, the largest groups have theirs, small groups stay visible."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from mira_nb.charts.labels import CHARACTER, LINE, place_labels

WIDTH, HEIGHT = 440, 160


def groups(*, n_groups: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(n_groups):
        n = int(rng.integers(20, 400))
        places = rng.uniform(-5, 5, 2) + rng.normal(size=(n, 2)) * rng.uniform(0.05, 1)
        parts.append(pd.DataFrame({"x": places[:, 0], "y": places[:, 1], "state": f"group {number}"}))
    return pd.concat(parts, ignore_index=True)


def boxes(cells: pd.DataFrame, labels: pd.DataFrame) -> list[tuple[float, float, float, float]]:
    low, size = cells[["x", "y"]].min(), cells[["x", "y"]].max() - cells[["x", "y"]].min()
    out = []
    for row in labels.itertuples():
        x, y = (row.x - low["x"]) / size["x"] * WIDTH, (row.y - low["y"]) / size["y"] * HEIGHT
        half = len(row.state) * CHARACTER / 2
        out.append((x - half, y - LINE / 2, x + half, y + LINE / 2))
    return out


def test_no_name_lies_on_another_or_outside() -> None:
    for seed in range(10):
        cells = groups(n_groups=15, seed=seed)
        labels = place_labels(cells, width=WIDTH, height=HEIGHT)
        found = boxes(cells, labels)
        assert len(labels) >= 8
        for one, two in combinations(found, 2):
            assert (
                one[2] <= two[0] + 1e-6 or two[2] <= one[0] + 1e-6 or one[3] <= two[1] + 1e-6 or two[3] <= one[1] + 1e-6
            )
        assert all(b[0] >= -1e-6 and b[1] >= -1e-6 and b[2] <= WIDTH + 1e-6 and b[3] <= HEIGHT + 1e-6 for b in found)
        assert cells["state"].value_counts().idxmax() in set(labels["state"])


def test_a_large_group_has_its_name_inside_and_a_small_one_beside() -> None:
    rng = np.random.default_rng(0)
    large = pd.DataFrame({"x": rng.uniform(0, 6, 900), "y": rng.uniform(0, 6, 900), "state": "large"})
    small = pd.DataFrame({"x": 9 + rng.normal(0, 0.01, 50), "y": 3 + rng.normal(0, 0.01, 50), "state": "small"})
    corner = pd.DataFrame({"x": [10.0, 3.0, 3.0], "y": [6.0, np.nan, 1.0], "state": ["large", "large", None]})
    labels = place_labels(pd.concat([large, small, corner]), width=WIDTH, height=HEIGHT).set_index("state")
    assert abs(labels.loc["large", "x"] - 3) < 0.3
    assert abs(labels.loc["large", "y"] - 3) < 0.3
    assert abs(labels.loc["small", "y"] - 3) * HEIGHT / 6 > LINE / 2
    assert abs(labels.loc["small", "x"] - 9) < 0.1

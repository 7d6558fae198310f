"""The subset of the cells to analyse, as it is named on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mira_nb.io.subset import Subset, check_subset, made_later, parse_subset, subset_cells
from tests.messages import codes, refused, values

OBS = pd.DataFrame(
    {
        "state": pd.Categorical(["left", "middle", "right", None] * 40),
        "number": np.tile([1.0, 2.0, np.nan, 3.0], 40),
        "few": ["rare"] * 10 + ["other, common"] * 150,
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state=left", Subset("state", ("left",))),
        ("state=left, right,left", Subset("state", ("left", "right"))),
        ('state="CD4 T, naive",B', Subset("state", ("CD4 T, naive", "B"))),
        ("state=a=b", Subset("state", ("a=b",))),
    ],
)
def test_column_and_values_are_read(text: str, expected: Subset) -> None:
    assert parse_subset(text) == expected


@pytest.mark.parametrize("text", ["state", "=left", "state=", "state=left,,right", ""])
def test_another_form_is_refused(text: str) -> None:
    with refused("subset_not_understood", text=text):
        parse_subset(text)


def test_cells_with_one_of_the_values_are_chosen() -> None:
    chosen = subset_cells(Subset("state", ("left", "right")), OBS["state"])
    np.testing.assert_array_equal(chosen, np.tile([True, False, True, False], 40))
    chosen = subset_cells(Subset("number", ("3", "1")), OBS["number"])
    np.testing.assert_array_equal(chosen, np.tile([True, False, False, True], 40))


def test_what_does_not_exist_is_refused_with_what_is_close() -> None:
    with refused("subset_value_unknown", unknown=["'lefty'"], close="close: 'left'"):
        check_subset(OBS, "state=lefty", labels=None)
    with refused("subset_column_unknown", column="stat", close="close: 'state'"):
        check_subset(OBS, "stat=left", labels=None)
    with refused("subset_too_small", n_cells=10):
        check_subset(OBS, "few=rare", labels=None)


def test_a_subset_is_counted() -> None:
    taken = check_subset(OBS, "state=left", labels=None)
    assert codes(taken, "info") == ["subset_taken"]
    assert [values(taken, "subset_taken")[name] for name in ("n_cells", "n_all")] == [40, 160]
    whole = check_subset(OBS, 'few=rare,"other, common"', labels=None)
    assert codes(whole, "warning") == ["subset_of_all"]
    assert values(whole, "subset_of_all")["n_cells"] == 160


def test_clusters_and_labels_are_checked_as_far_as_they_are_known(tmp_path: Path) -> None:
    assert check_subset(OBS, "leiden=3,4", labels=None) == []
    with refused("subset_without_labels"):
        check_subset(OBS, "cell_label=Matrix", labels=None)
    (tmp_path / "l.csv").write_text("cluster,label\n0,Matrix\n1,Cortex\n")
    assert check_subset(OBS, "cell_label=Matrix", labels=tmp_path / "l.csv") == []
    with refused("subset_label_unknown", unknown=["'Medulla'"], close="there are: 'Matrix', 'Cortex'"):
        check_subset(OBS, "cell_label=Matrix,Medulla", labels=tmp_path / "l.csv")
    assert not made_later(Subset("leiden", ("3",)), OBS.assign(leiden="3"))

"""Labels that cannot be shown are changed, kept apart, and said."""

from __future__ import annotations

import pandas as pd

from mira_nb.io.labels import tidy_labels
from mira_nb.io.pairing import Log
from tests.messages import codes, values


def test_control_characters_and_long_labels_are_changed_and_said() -> None:
    long = "x" * 100_000
    frame = pd.DataFrame(
        {
            "kind": pd.Categorical(["T\x0bcell", "B", None, long], categories=["B", "T\x0bcell", long], ordered=True),
            "note": ["a\x1b[31m", "b", "c", f"{long}y"],
            "n\x00": [1, 2, 3, 4],
        },
        index=["c1", "c\x072", "c 2", "c4"],
    )
    log = Log()
    out = tidy_labels(frame, "rna.h5ad", log)
    cut = "x" * 197 + "..."
    assert out["kind"].tolist()[:2] == ["T cell", "B"]
    assert out["kind"].isna().tolist() == [False, False, True, False]
    assert list(out["kind"].cat.categories) == ["B", "T cell", cut]
    assert out["kind"].cat.ordered
    assert out["note"].tolist() == ["a [31m", "b", "c", cut]
    assert list(out.columns) == ["kind", "note", "n"]
    assert list(out.index) == ["c1", "c 2 (2)", "c 2", "c4"]
    assert codes(log.findings, "warning") == codes(log.findings) == ["labels_changed"]
    assert "\\x0b" in values(log.findings, "labels_changed")["old"]
    assert frame["kind"].tolist()[0] == "T\x0bcell"


def test_long_labels_that_begin_alike_stay_apart_and_equal_ones_join() -> None:
    start = "x" * 300
    frame = pd.DataFrame({"kind": pd.Categorical([f"{start}1", f"{start}2", "T\x0bcell", "T cell"])})
    out = tidy_labels(frame, "obs", Log())
    assert out["kind"].nunique() == 3
    assert out["kind"].str.len().max() <= 200
    assert out["kind"].tolist()[2:] == ["T cell", "T cell"]


def test_plain_labels_stay_without_a_word() -> None:
    frame = pd.DataFrame({"kind": pd.Categorical(["α", "CD4+ T"]), "n": [1.0, 2.0]}, index=["a", "b"])
    log = Log()
    pd.testing.assert_frame_equal(tidy_labels(frame, "obs", log), frame)
    assert log.findings == []

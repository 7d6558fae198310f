"""Packed datasets: what goes in comes out, in Python and in the page's script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mira_nb.report
from mira_nb.charts import packed
from mira_nb.errors import MiraError

FLOATS = st.lists(
    st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, allow_nan=False, width=32)), min_size=1, max_size=60
)


def every_kind() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 300
    frame = pd.DataFrame(
        {
            "u16": rng.normal(size=n),
            "u8": rng.random(n),
            "f32": rng.normal(size=n) * 1e9,
            "f64": rng.integers(2**40, 2**50, n),
            "count": rng.integers(0, 200, n),
            "wide": rng.integers(-30000, 30000, n),
            "flag": rng.random(n) < 0.5,
            "group": pd.Categorical(rng.choice(["a", "b", "</script>"], n)),
            "many": pd.Categorical([f"c{i % 290}" for i in range(n)]),
            "name": [f'cell "{i}"' for i in range(n)],
            "constant": np.full(n, 3.25),
            "empty": np.full(n, np.nan),
            "infinite": np.where(np.arange(n) == 7, np.inf, rng.normal(size=n)),
        }
    )
    for column in ("u16", "u8", "f32", "infinite"):
        frame.loc[[0, 17], column] = np.nan
    frame.loc[3, "group"] = None
    frame.loc[4, "name"] = None
    frame.attrs[packed.KINDS_ATTRIBUTE] = {"u8": "u8", "f32": "f32"}
    return frame


@given(values=FLOATS, kind=st.sampled_from(["u8", "u16"]))
@settings(max_examples=150, deadline=None)
def test_quantised_numbers_are_within_half_a_step(values: list[float], kind: packed.Kind) -> None:
    frame = pd.DataFrame({"v": np.array(values, dtype=np.float64)})
    out = packed.unpack(packed.pack(frame, kinds={"v": kind}))["v"].to_numpy()
    given_values = frame["v"].to_numpy()
    assert np.array_equal(np.isnan(out), np.isnan(given_values))
    finite = given_values[np.isfinite(given_values)]
    if finite.size:
        levels = {"u8": 254, "u16": 65534}[kind]
        step = (finite.max() - finite.min()) / levels
        assert np.abs(out[np.isfinite(out)] - finite).max() <= step / 2 + 1e-9 * max(1.0, np.abs(finite).max())


@given(values=st.lists(st.integers(-(2**52), 2**52), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_integers_are_exact(values: list[int]) -> None:
    frame = pd.DataFrame({"v": np.array(values, dtype=np.int64)})
    assert packed.unpack(packed.pack(frame))["v"].astype(np.int64).tolist() == values


# pandas takes "\0" for "", so that a NUL cannot be a category of its own
@given(
    values=st.lists(
        st.one_of(st.none(), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)),
        min_size=1,
        max_size=60,
    )
)
@settings(max_examples=100, deadline=None)
def test_text_is_exact(values: list[str | None]) -> None:
    for kinds in ({}, {"v": "str"}):
        out = packed.unpack(packed.pack(pd.DataFrame({"v": pd.Series(values, dtype="object")}), kinds=kinds))["v"]
        assert [None if pd.isna(v) else v for v in out] == values


def test_every_kind_is_used_and_survives_json() -> None:
    frame = every_kind()
    stored = json.loads(json.dumps(packed.pack(frame), allow_nan=False))
    kinds = {column["name"]: column["kind"] for column in stored["columns"]}
    assert kinds["u16"] == "u16"
    assert kinds["u8"] == "u8"
    assert kinds["f32"] == kinds["infinite"] == "f32"
    assert kinds["f64"] == "f64"
    assert kinds["count"] == "u8"
    assert kinds["wide"] == "u16"
    assert kinds["group"] == kinds["flag"] == "cat8"
    assert kinds["many"] == "cat16"
    assert kinds["name"] == "str"
    out = packed.unpack(stored)
    assert list(out.columns) == list(frame.columns)
    for column in ("f64", "count", "wide", "constant"):
        assert np.array_equal(out[column].to_numpy(dtype=float), frame[column].to_numpy(dtype=float))
    for column in ("group", "many", "name", "flag"):
        assert (
            out[column].astype("object").where(out[column].notna(), None).tolist()
            == frame[column].astype("object").where(frame[column].notna(), None).tolist()
        )
    assert out["empty"].isna().all()
    assert np.isinf(out["infinite"][7])


def test_attach_detach_and_inline() -> None:
    frame = pd.DataFrame({"x": [0.0, 1.0, np.nan], "g": ["a", "b", "a"]})
    chart = alt.Chart(alt.NamedData("cells")).mark_circle().encode(x="x:Q", color="g:N").to_dict()
    before = json.dumps(chart)
    stored = packed.attach(chart, {"cells": frame})
    assert json.dumps(chart) == before
    alt.Chart.from_dict(stored)  # still valid Vega-Lite
    bare, datasets = packed.detach(stored)
    assert "packed" not in bare["usermeta"]["mira_nb"]
    assert packed.unpack(datasets["cells"])["g"].tolist() == ["a", "b", "a"]
    rows = packed.inline(chart, {"cells": frame})["datasets"]["cells"]
    assert rows == [{"x": 0.0, "g": "a"}, {"x": 1.0, "g": "b"}, {"x": None, "g": "a"}]
    assert len(packed.inline(chart, {"cells": frame}, max_rows=2)["datasets"]["cells"]) == 2
    with pytest.raises(MiraError, match="does not use"):
        packed.attach(chart, {"other": frame})
    with pytest.raises(MiraError, match="same name"):
        packed.pack(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_sample_is_without_replacement_and_repeatable() -> None:
    rows = packed.sample_rows(1000, 100, seed=3)
    assert np.array_equal(rows, np.unique(rows))
    assert len(rows) == 100
    assert np.array_equal(rows, packed.sample_rows(1000, 100, seed=3))
    assert np.array_equal(packed.sample_rows(5, 10), np.arange(5))


def test_twenty_thousand_cells_take_half_a_megabyte() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.random((20000, 17)), columns=["x", "y", *(f"e{i}" for i in range(15))])
    kinds: dict[str, packed.Kind] = {f"e{i}": "u8" for i in range(15)}
    assert len(json.dumps(packed.pack(frame, kinds=kinds))) < 520_000


@pytest.mark.browser
def test_script_unpacks_the_same(chromium: Any) -> None:
    frame = every_kind()
    stored = packed.pack(frame)
    script = (Path(mira_nb.report.__file__).parent / "assets" / "packed.js").read_text()
    page = chromium.new_page()
    rows = page.evaluate(
        f"(dataset) => {{ {script}; return packed.rows(dataset).map((row) => Object.fromEntries(Object.entries(row)"
        ".map(([k, v]) => [k, v === Infinity ? 'inf' : v]))); }",
        stored,
    )
    page.close()
    expected = packed.unpack(stored)
    assert len(rows) == len(frame)
    for column in frame.columns:
        for row, value in zip(rows, expected[column], strict=True):
            if pd.isna(value):
                assert row[column] is None
            elif isinstance(value, float) and np.isinf(value):
                assert row[column] == "inf"
            elif isinstance(value, float):
                assert row[column] == pytest.approx(value, rel=1e-12)
            else:
                assert row[column] == value

"""Charts: valid Vega-Lite that draws, and the numbers in it are right."""

from __future__ import annotations

import io
import re
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import gaussian_kde

from mira_nb.charts import basic, embedding, groups, linked, packed, theme
from mira_nb.charts.basic import Channel, Color, Labels
from mira_nb.errors import MiraError


def drawn(chart: Any, data: dict[str, pd.DataFrame] | None = None) -> str:
    """SVG of a chart; fails when Vega-Lite cannot draw it."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg(packed.inline(chart, data or {}))
    width = float(svg.split('width="')[1].split('"')[0])
    assert 0 < width < 5000
    assert "aria-roledescription=" in svg.replace('aria-roledescription="axis"', ""), "nothing but axes is drawn"
    return svg


@pytest.fixture(scope="module")
def cells() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    n = 300
    xy = pd.DataFrame(rng.normal(size=(n, 2)), columns=["x", "y"])
    values = pd.DataFrame(
        {
            "e1": rng.random(n),
            "e10.b[0]": rng.random(n),
            "signed": rng.normal(size=n),
            "group": rng.choice(["g10", "g2", '<b>"x"'], n),
        }
    )
    values.loc[:4, "e1"] = np.nan
    values.loc[5, "group"] = None
    return xy, values


@pytest.mark.parametrize("first", ["e1", "e10.b[0]", "signed", "group"])
def test_menu_scatter_draws_with_every_colouring(cells: tuple[pd.DataFrame, pd.DataFrame], first: str) -> None:
    xy, values = cells
    chart, data = embedding.menu_scatter(xy, values, title="UMAP", default=first)
    svg = drawn(chart, data)
    shown = int(values[first].notna().sum())
    assert svg.count('aria-roledescription="circle"') == shown
    menu = chart.to_dict()["params"][0]
    assert menu["value"] == first
    assert menu["bind"]["options"] == list(values.columns)
    assert "values" not in chart.to_dict().get("data", {})


def test_menu_scatter_keeps_palette_and_natural_order(cells: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    xy, values = cells
    chart, data = embedding.menu_scatter(xy, values, colors={"group": {"g2": "#123456"}})
    assert list(data["cells"]["group"].cat.categories) == theme.natural_sort(values["group"].dropna().unique())
    assert "#123456" in str(chart.to_dict())


def test_menu_scatter_refuses(cells: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    xy, values = cells
    with pytest.raises(MiraError, match="no column"):
        embedding.menu_scatter(xy, values, default="nothing")
    with pytest.raises(MiraError, match="cells have coordinates"):
        embedding.menu_scatter(xy.iloc[:5], values)
    with pytest.raises(MiraError, match="cannot be called"):
        embedding.menu_scatter(xy, values.rename(columns={"e1": "x"}))
    with pytest.raises(MiraError, match="at least one"):
        embedding.menu_scatter(xy, values[[]])
    with pytest.raises(MiraError, match="x and y"):
        embedding.menu_scatter(xy.rename(columns={"x": "a"}), values)


def test_pictures_show_their_panels(cells: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    xy, values = cells
    three = Image.open(io.BytesIO(embedding.small_multiples(xy, values, n_columns=3)))
    one = Image.open(io.BytesIO(embedding.small_multiples(xy, values[["e1"]])))
    assert three.width > 2.5 * one.width
    assert three.height > 1.5 * one.height
    grid = Image.open(io.BytesIO(embedding.embedding_grid({"A": xy, "B": -xy}, values)))
    assert grid.height > 1.5 * grid.width  # four rows, two columns
    alpha = np.asarray(three.convert("RGBA"))[..., 3]
    assert (alpha == 0).mean() > 0.3  # transparent ground


def test_pictures_follow_the_values() -> None:
    # the right half is high: its colour must be the topic's, that of the left half grey
    x = np.linspace(-1, 1, 400)
    xy = pd.DataFrame({"x": x, "y": np.zeros(400)})
    values = pd.DataFrame({"e1": (x > 0).astype(float)})
    image = Image.open(io.BytesIO(embedding.small_multiples(xy, values, colors={"e1": "#0000ff"}))).convert("RGBA")
    pixels = np.asarray(image).astype(float)
    blue = (pixels[..., 3] > 200) & (pixels[..., 2] > 200) & (pixels[..., 0] < 60)
    columns = np.flatnonzero(blue.any(axis=0))
    assert columns.min() > image.width * 0.45


def test_linked_views_share_one_brush_and_draw() -> None:
    rng = np.random.default_rng(1)
    n = 120
    frame = pd.DataFrame(rng.normal(size=(n, 4)), columns=["x", "y", "pseudotime", "log_ratio"])
    frame["barcode"] = [f"B{i}" for i in range(n)]
    frame["cell.type"] = rng.choice(["b", "a"], n)
    frame["e1"] = rng.random(n)
    frame.loc[:9, "pseudotime"] = np.nan
    chart, data = linked.linked_cells(frame, group="cell.type", quantities=["e1"])
    spec = chart.to_dict()
    brushes = [param for param in spec["params"] if param["name"] == linked.BRUSH]
    assert len(brushes) == 1
    assert len(brushes[0]["views"]) == 3
    svg = drawn(chart, data)
    assert svg.count('aria-roledescription="circle"') == n + 2 * (n - 10)
    two, _ = linked.linked_cells(frame, group="cell.type", quantities=["e1"], log_ratio=None)
    assert len(two.to_dict()["hconcat"]) == 2
    with pytest.raises(MiraError, match="'nothing'"):
        linked.linked_cells(frame, group="nothing", quantities=["e1"])
    with pytest.raises(MiraError, match="at least one feature"):
        linked.linked_cells(frame, group="cell.type", quantities=[])


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "na.me": [f"n{i}" for i in range(40)],
            "a[0]": rng.random(40) + 0.1,
            "b": rng.random(40) + 0.1,
            "kind": ["t10", "t2"] * 20,
        }
    )


def test_bars_lines_scatter_draw(table: pd.DataFrame) -> None:
    svg = drawn(
        basic.bars(table, value=Channel("a[0]", "Score (bits)"), label=Channel("na.me"), color=Color("kind"), width=200)
    )
    assert svg.count('aria-roledescription="bar"') == 40
    assert "Score (bits)" in svg
    low = table.assign(low=table["b"] - 0.1, high=table["b"] + 0.1)
    chart = basic.lines(
        low,
        x=Channel("a[0]", "X", log=True),
        y=Channel("b", "Y"),
        series=Color("kind"),
        band=("low", "high"),
        width=200,
    )
    svg = drawn(chart)
    assert svg.count('aria-roledescription="line mark"') == 2
    assert svg.count('aria-roledescription="area mark"') == 2
    svg = drawn(
        basic.scatter(
            table,
            x=Channel("a[0]", "X"),
            y=Channel("b", "Y"),
            labels=Labels("na.me", n=5),
            color=Color("kind"),
            width=200,
        )
    )
    assert svg.count('aria-roledescription="circle"') == 40
    assert svg.count('aria-roledescription="text mark"') == 5
    with pytest.raises(MiraError, match="needs the column"):
        basic.scatter(table, x=Channel("a"), y=Channel("b"))
    with pytest.raises(MiraError, match="too many"):
        basic.bars(pd.concat([table] * 200), value=Channel("b"), label=Channel("na.me"))


def test_extremes_are_the_planted_ones(table: pd.DataFrame) -> None:
    frame = table.copy()
    frame.loc[[7, 21], "b"] = [30.0, -20.0]
    assert list(basic.extremes(frame, x="a[0]", y="b", n=2)) == [7, 21]
    assert list(basic.extremes(frame, x="a[0]", y="b", n=1, rank_by="b")) == [7]


def test_heatmap_and_diagonal_order() -> None:
    matrix = pd.DataFrame(np.eye(4)[[2, 0, 3, 1]], index=list("wxyz"), columns=list("abcd"))
    ordered = basic.diagonal_order(matrix)
    assert np.array_equal(ordered.to_numpy(), np.eye(4))
    svg = drawn(basic.heatmap(matrix, value_title="v", labels=True, reorder=True))
    assert svg.count('aria-roledescription="rect mark"') == 16


@pytest.mark.parametrize("log_x", [False, True])
def test_histogram_counts_everything(log_x: bool) -> None:
    rng = np.random.default_rng(3)
    values = np.r_[rng.lognormal(size=500), np.nan, 0.0, -1.0]
    chart = basic.histogram(values, x_title="Depth", n_bins=20, log_x=log_x, threshold=1.0, width=200)
    spec = chart.to_dict()
    (rows,) = (rows for rows in spec["datasets"].values() if len(rows) > 1)
    assert sum(row["count"] for row in rows) == (500 if log_x else 502)
    assert spec["title"]["text"].startswith(f"{3 if log_x else 1} of 503"), "the axis has the title of the values"
    svg = drawn(chart)
    assert svg.count('aria-roledescription="rect mark"') == len(rows) == 20
    assert svg.count('aria-roledescription="rule mark"') == 1


def test_box_is_the_textbook_box() -> None:
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 100])
    row = groups._summary("g", values)
    assert (row["q1"], row["median"], row["q3"]) == tuple(np.quantile(values, [0.25, 0.5, 0.75]))
    assert (row["low"], row["high"], row["max"], row["n"]) == (1.0, 9.0, 100.0, 10)


def test_violin_is_a_kernel_density() -> None:
    values = np.random.default_rng(4).normal(size=80)
    grid, density = groups._density(values)
    assert np.allclose(density, gaussian_kde(values)(grid))
    assert (grid[0], grid[-1]) == (values.min(), values.max())
    flat, ones = groups._density(np.full(5, 2.0))
    assert flat[0] < 2.0 < flat[1]
    assert np.array_equal(ones, [1, 1])


@pytest.mark.parametrize("kind", ["box", "violin"])
def test_groups_draw_with_brackets(kind: Any) -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"v": rng.normal(size=3000), "g": rng.choice(["a", "b|c", "d'e"], 3000)})
    frame.loc[0, "v"] = np.nan
    brackets = pd.DataFrame({"group_1": ["a", "d'e"], "group_2": ["b|c", "a"], "label": ["p = 0.01", "n.s."]})
    chart = groups.by_group(frame, value=Channel("v", "Value"), group=Channel("g"), brackets=brackets, kind=kind)
    spec = chart.to_dict()
    assert sum(len(rows) for rows in spec["datasets"].values()) < 300
    assert spec["title"]["text"].startswith("1 of 3,000"), "the axis has the title of the values"
    svg = drawn(chart)
    assert "p = 0.01" in svg
    assert f"n = {(frame.g == 'a').sum() - int(frame.g[0] == 'a'):,}" in svg
    with pytest.raises(MiraError, match="not drawn"):
        groups.by_group(frame, value=Channel("v"), group=Channel("g"), brackets=brackets.assign(group_2="zz"))


@pytest.mark.parametrize("n_groups", [3, 15])
def test_every_group_is_named_however_many_there_are(n_groups: int) -> None:
    rng = np.random.default_rng(0)
    names = [f"Population {i}" for i in range(n_groups)]
    frame = pd.DataFrame({"value": rng.normal(size=60 * n_groups), "group": np.repeat(names, 60)})
    svg = drawn(groups.by_group(frame, value=Channel("value", "value"), group=Channel("group", order=names), step=100))
    assert all(f">{name}" in svg for name in names)
    assert svg.count("n = 60") == n_groups
    # the page may shrink a chart of many groups: names are tilted where they would then touch
    assert ("rotate(315)" in svg) == (n_groups > 3)


def axis_titles(chart: Any, axis: str) -> list[list[str]]:
    """Titles of one axis of every panel, row by row; "" where a panel has none."""
    found = []
    for row in chart.to_dict()["vconcat"]:
        titles = [[layer["encoding"][axis].get("title") for layer in panel["layer"]] for panel in row["hconcat"]]
        assert all(len(set(panel)) == 1 for panel in titles)
        found.append([panel[0] or "" for panel in titles])
    return found


@pytest.mark.parametrize(("n_groups", "columns"), [(3, 3), (12, 2), (30, 1)])
def test_panels_of_groups_share_their_axis_titles(n_groups: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    names = [f"p{i}" for i in range(n_groups)]
    labels = pd.Series(np.repeat(names, 20))
    values = pd.DataFrame({f"G{i}": rng.normal(size=len(labels)) for i in range(5)})
    brackets = {"G1": pd.DataFrame({"group_1": ["p0"], "group_2": ["p2"], "label": ["* = 1e-9"]})}
    group = Channel("group", "Group", order=names)
    chart = groups.group_panels(values, group, labels, value_title="Value", brackets=brackets)
    starts = range(0, 5, columns)
    assert axis_titles(chart, "y") == [["Value", *[""] * (min(columns, 5 - start) - 1)] for start in starts]
    below = [title for row in axis_titles(chart, "x") for title in row]
    assert below == [*[""] * (5 - columns), *["Group"] * columns]
    panels = [panel for row in chart.to_dict()["vconcat"] for panel in row["hconcat"]]
    assert [panel["title"] for panel in panels] == list(values)
    assert all(groups.NARROWEST <= panel["width"] / n_groups <= groups.WIDEST for panel in panels)
    svg = drawn(chart)
    assert svg.count("n = 20") == n_groups * columns
    assert svg.count(">* = 1e-9</text>") == 1


def test_pairs_of_samples_join_the_means_of_either_group() -> None:
    frame = pd.DataFrame(
        {
            "panel": ["G1"] * 3 + ["<b>"] * 3, "note": "0.5 (0.1 to 0.9)\nn = 3", "sample": ["s1", "s2", "s3"] * 2,
            "group_1": "a|b", "group_2": "rest", "mean_1": [1.0, 2, 3, 0, 0, 0], "mean_2": [0.5, 2.5, 3, 0, 0, 0],
        }
    )  # fmt: skip
    chart = groups.sample_pairs(frame, value_title="Mean", columns=1)
    marks = pd.DataFrame([row for rows in chart.to_dict()["datasets"].values() for row in rows])
    marks = marks.dropna(subset="sample")
    first = marks[marks["value"] > 0].sort_values(["sample", "place"])
    assert first["value"].tolist() == [1, 0.5, 2, 2.5, 3, 3]
    assert first["samples"].tolist()[::2] == ["higher on the left", "higher on the right", "equal"]
    svg = drawn(chart)
    assert svg.count("higher on the left") >= 1
    assert "n = 3" in svg
    assert "&lt;b&gt;" in svg
    with pytest.raises(MiraError, match="no sample"):
        groups.sample_pairs(frame[:0], value_title="Mean")


@pytest.mark.parametrize("facts", [theme.diverging(2.0), theme.diverging()])
def test_the_middle_of_signed_values_is_grey_in_both_themes(facts):
    """The grey is seen on white and on the dark page: contrast of at least 2 to both."""
    frame = pd.DataFrame({"x": [1.0, 2, 3], "value": [-2.0, 0.0, 2.0]})
    color = alt.Color("value:Q", scale=alt.Scale(**facts), legend=None)
    svg = drawn(alt.Chart(frame).mark_circle(opacity=1).encode(x="x:Q", color=color))
    found = [tuple(map(int, item)) for item in re.findall(r'fill="rgb\((\d+), ?(\d+), ?(\d+)\)"', svg)]
    assert found == [(31, 95, 168), (154, 160, 166), (192, 90, 0)]
    linear = [((part / 255 + 0.055) / 1.055) ** 2.4 for part in found[1]]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (light + 0.05) > 2
    assert (light + 0.05) / (0.01 + 0.05) > 2


@pytest.mark.parametrize("dark", [False, True])
def test_symbols_of_a_legend_of_sizes_are_seen_in_both_themes(dark):
    frame = pd.DataFrame({"x": [1.0, 2.0], "n": [1.0, 9.0], "value": [0.0, 1.0]})
    chart = alt.Chart(frame).mark_circle().encode(x="x:Q", size="n:Q", color="value:Q").to_dict()
    svg = drawn({**chart, "config": theme.config(dark=dark)})
    symbols = re.search(r"role-legend-symbol.*?</g>", svg, re.DOTALL)[0]
    assert f'fill="{theme.MUTED}"' in symbols
    assert 'fill="black"' not in symbols

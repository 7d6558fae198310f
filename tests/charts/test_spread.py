"""Names beside points and labels of axes do not lie on each other."""

from __future__ import annotations

import itertools
import json
import re
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from mira_nb.charts import theme
from mira_nb.charts.basic import Channel, Labels, scatter
from mira_nb.charts.drivers import two_set_scatter
from mira_nb.charts.labels import spread_marks, spread_names

CHARACTER, LINE = 5.5, 9.0
"""Least width of a character and height of a name at 11 px."""


def names_in(svg: str, pattern: str) -> dict[str, tuple[float, float, str]]:
    """Place and anchor of every name that is seen."""
    out = {}
    for head, text in re.findall(r"<text ([^>]*)>([^<]*)</text>", svg):
        hidden = re.search(r'opacity="([\d.]+)"', head)
        if re.fullmatch(pattern, text) and not (hidden and float(hidden[1]) == 0):
            x, y = re.search(r"translate\(([-\d.]+),([-\d.]+)\)", head).groups()
            out[text] = float(x), float(y), re.search(r'text-anchor="(\w+)"', head)[1]
    return out


def overlaps(places: dict[str, tuple[float, float, str]]) -> int:
    def box(text: str) -> tuple[float, float]:
        x, _, anchor = places[text]
        width = CHARACTER * len(text)
        left = x - {"start": 0, "middle": 0.5, "end": 1}[anchor] * width
        return left, left + width

    count = 0
    for one, two in itertools.combinations(places, 2):
        (a, b), (c, d) = box(one), box(two)
        count += a < d and c < b and abs(places[one][1] - places[two][1]) < LINE
    return count


def spread(chart: alt.LayerChart) -> str:
    vega, marks = spread_marks(vl_convert.vegalite_to_vega(json.loads(chart.to_json())))
    assert len(marks) == 1
    root = ElementTree.fromstring(vl_convert.vega_to_svg(vega))
    spread_names(root, marks, width=vega["width"], height=vega["height"])
    return ElementTree.tostring(root, encoding="unicode").replace("ns0:", "")


def crowded(n: int = 14) -> alt.LayerChart:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"label": [f"FACTOR{i:02d}" for i in range(n)], "x": rng.normal(9, 0.5, n), "y": rng.normal(9, 0.5, n)}
    )
    frame.loc[n] = ["far", 0.0, 0.0]
    called = frame["label"] != "far"
    return two_set_scatter(frame.assign(x_called=called, y_called=False), first="a", second="b")


def test_names_avoid_each_other():
    plain = names_in(vl_convert.vegalite_to_svg(json.loads(crowded().to_json())), r"FACTOR\d\d")
    assert overlaps(plain) > 0
    places = names_in(spread(crowded()), r"FACTOR\d\d")
    assert overlaps(places) == 0
    assert len(places) >= 10


def test_a_name_at_the_edge_stays_inside_the_plane():
    frame = pd.DataFrame({"x": [0.0, 10.0], "y": [0.0, 10.0], "name": ["at the left", "at the right"]})
    chart = scatter(frame, x=Channel("x"), y=Channel("y"), labels=Labels("name"), width=300, height=200)
    places = names_in(spread(chart), r"at the \w+")
    assert len(places) == 2
    x, _, anchor = places["at the right"]
    assert x + {"start": 1, "middle": 0.5, "end": 0}[anchor] * CHARACTER * 12 <= 300


def test_charts_without_such_names_stay_as_they_are():
    chart = alt.Chart(pd.DataFrame({"x": [1], "t": "a"})).mark_text(dy=-8).encode(x="x:Q", text="t:N")
    vega = vl_convert.vegalite_to_vega(chart.to_dict())
    assert spread_marks(vega) == (vega, [])


@pytest.mark.parametrize(
    "scale", [{"domain": [0, 101]}, {"domain": [0, 100]}, {"type": "log", "domain": [0.1, 5.3], "nice": False}]
)
def test_labels_of_an_axis_keep_apart(scale):
    frame = pd.DataFrame({"x": [1.0], "y": [1.0]})
    for width in range(120, 420, 20):
        axis = alt.Axis(tickCount=20)
        chart = (
            alt.Chart(frame)
            .mark_point()
            .encode(x=alt.X("x:Q", scale=scale, axis=axis, title=None))
            .properties(width=width)
        )
        svg = vl_convert.vegalite_to_svg({**chart.to_dict(), "config": theme.config()})
        places = names_in(svg, r"[\d.]+")
        ends = sorted(
            (x, x + CHARACTER * len(text))
            if anchor == "start"
            else (x - CHARACTER * len(text) / 2, x + CHARACTER * len(text) / 2)
            for text, (x, _, anchor) in places.items()
        )
        assert len(ends) > 1
        assert {anchor for *_, anchor in places.values()} == {"middle"}
        assert all(following[0] - before[1] >= 4 for before, following in itertools.pairwise(ends)), (width, ends)


def test_without_a_called_factor_nobody_is_named_and_the_chart_is_json():
    frame = pd.DataFrame({"label": ["a", "b"], "x": [1.0, 2.0], "y": [0.5, 1.0], "x_called": False, "y_called": False})
    chart = two_set_scatter(frame, first="s", second="t").to_dict()
    json.dumps(chart, allow_nan=False)
    assert sorted(len(rows) for rows in chart["datasets"].values()) == [0, 2]

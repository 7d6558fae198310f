from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mira_nb.charts.packed import inline
from mira_nb.charts.streams import (
    Shade,
    heatmap_chart,
    line_chart,
    scatter_chart,
    stream_chart,
    stream_labels,
    swarm_chart,
)
from mira_nb.charts.trajectory import (
    branch_view,
    landmarks_chart,
    node_palette,
    spectrum_chart,
    sweep_chart,
    tree_chart,
)
from mira_nb.core.trajectory.streams import (
    Band,
    order_by_peak,
    smooth_tree,
    stack,
    swarm_offsets,
    tree_paths,
    window_means,
)

NODES = pd.DataFrame(
    {
        "node": ["root", "A.1", "B [x]"],
        "parent": ["", "root", "root"],
        "branch_time": [0.4, np.nan, np.nan],
        "n_cells": [40, 30, 30],
    }
)
HOSTILE = "</script><b>"


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    time = rng.random(300)
    states = np.where(time < 0.4, "root", np.where(rng.random(300) < 0.5, "A.1", "B [x]")).astype(object)
    values = pd.DataFrame(rng.dirichlet(np.ones(3), 300), columns=["e1", "e2", HOSTILE])
    paths = tree_paths(NODES, time, states)
    smooth = smooth_tree(paths, time, states, values, band=Band(5, rng))
    return time, states, values, paths, smooth


def rendered(chart, packed) -> str:
    """The chart as SVG, drawn by Vega-Lite itself: what does not compile or has no data fails here."""
    import vl_convert

    spec = inline(chart.to_dict(), packed)
    text = vl_convert.vegalite_to_svg(json.dumps(spec))
    assert text.startswith("<svg")
    return text


def n_shapes(svg: str, kind: str) -> int:
    return svg.count(f'aria-roledescription="{kind}"')


@pytest.mark.parametrize("time_scale", ["linear", "log"])
def test_stream_draws_one_area_for_every_feature_and_node(parts, time_scale):
    _, _, _, paths, smooth = parts
    order = order_by_peak(smooth)
    stacked = stack(smooth, paths, order)
    labels = stream_labels(stacked)
    assert sorted(labels["node"]) == ["A.1", "B [x]"]
    svg = rendered(*stream_chart(stacked, order=order, labels=labels, time=time_scale))
    assert n_shapes(svg, "area mark") == 9
    assert HOSTILE not in svg


def test_stream_is_coloured_by_a_value_per_feature_and_state(parts):
    _, _, _, paths, smooth = parts
    order = order_by_peak(smooth)
    shades = dict(zip(order, [-1, 0, 1], strict=True))
    stacked = stack(smooth, paths, order).assign(shade=lambda frame: frame["feature"].map(shades))
    chart, packed = stream_chart(stacked, order=order, shade=Shade("shade", "NITE", centre=0))
    color = chart.to_dict()["layer"][0]["encoding"]["color"]
    assert color["field"] == "shade"
    assert color["scale"]["domainMid"] == 0
    assert n_shapes(rendered(chart, packed), "area mark") == 9


def test_lines_have_one_panel_a_feature_and_quantities_beside_each_other(parts):
    _, _, _, _, smooth = parts
    colors = node_palette(NODES)
    order = order_by_peak(smooth)
    chart, packed = line_chart(smooth, order=order, node_colors=colors)
    svg = rendered(chart, packed)
    assert n_shapes(svg, "line mark") == 9
    assert n_shapes(svg, "area mark") == 9
    both = pd.concat([smooth.assign(quantity=name) for name in ("expression", "LITE prediction")])
    chart, packed = line_chart(both, order=order, node_colors=colors, quantity="quantity", value_title="said once")
    assert rendered(chart, packed).count(">said once</text>") == 1
    chart, packed = line_chart(smooth, order=order, node_colors=colors, value_title="said once")
    assert rendered(chart, packed).count(">said once</text>") == 1
    chart, packed = line_chart(both, order=order, node_colors=colors, quantity="quantity")
    svg = rendered(chart, packed)
    assert n_shapes(svg, "line mark") == 18
    assert "LITE prediction" in svg


def test_panels_of_lines_keep_the_order_given_and_say_titles_at_the_edge(parts):
    _, _, _, _, smooth = parts
    order = ["e2", HOSTILE, "e1"]
    chart, packed = line_chart(smooth, order=order, node_colors=node_palette(NODES), columns=1)
    assert chart.to_dict()["facet"]["sort"] == order
    svg = rendered(chart, packed)
    assert svg.count(">Pseudotime (0 to 1)</text>") == 1
    assert svg.index(">e2</text>") < svg.index(">e1</text>")


def test_heatmap_has_a_box_for_every_window_lineage_and_feature(parts):
    time, states, values, paths, _ = parts
    windows = window_means(time, states, paths, values, n_bins=10)
    chart, packed = heatmap_chart(windows, order=list(values.columns))
    assert n_shapes(rendered(chart, packed), "rect mark") == len(windows) == 60
    assert packed["windows"]["shown"].between(0, 1).all()


def test_scatter_and_swarm_follow_the_menu(parts):
    time, states, values, paths, smooth = parts
    cells = values.assign(pseudotime=time, node=pd.Categorical(states))
    chart, packed = scatter_chart(cells, smooth, quantities=list(values.columns), node_colors=node_palette(NODES))
    svg = rendered(chart, packed)
    assert n_shapes(svg, "circle") == 300
    assert n_shapes(svg, "line mark") == 3
    lanes = paths.segments.set_index("node")["lane"].reindex(states).to_numpy()
    cells = values.assign(pseudotime=time, y=lanes + swarm_offsets(time, lanes))
    chart, packed = swarm_chart(cells, quantities=list(values.columns), lanes=paths.segments)
    assert n_shapes(rendered(chart, packed), "circle") == 300


def test_tree_shows_every_node_with_its_cells(parts):
    paths = parts[3]
    intervals = pd.DataFrame({"node": ["root"], "branch_time": [0.4], "low": [0.38], "high": [0.45]})
    chart = tree_chart(paths.segments, NODES, colors=node_palette(NODES), intervals=intervals)
    svg = rendered(chart, {})
    assert "root (n = 40)" in svg
    assert "B [x] (n = 30)" in svg


def test_landmarks_sweep_spectrum_and_branch_view_are_drawn(parts):
    time = parts[0]
    cells = pd.DataFrame({"x": time, "y": time**2, "pseudotime": np.where(time < 0.1, np.nan, time)})
    marks = pd.DataFrame(
        {
            "kind": ["start cell", "terminal cell", "rejected candidate"],
            "label": ["a", HOSTILE, "c"],
            "x": 0.1,
            "y": 0.1,
        }
    )
    svg = rendered(*landmarks_chart(cells, marks))
    assert n_shapes(svg, "circle") == 300
    assert HOSTILE not in svg
    assert svg.count(">start cell</text>") == 1, "the legend names the start, no text beside it"
    assert ">a</text>" not in svg
    assert svg.count("&lt;/script&gt;") >= 1
    sweep = pd.DataFrame({"threshold": [0.1, 1], "topology": "t", "split": "A / B", "branch_time": [0.3, 0.4]})
    assert n_shapes(rendered(sweep_chart(sweep, chosen=1.0), {}), "line mark") == 1
    assert n_shapes(rendered(spectrum_chart([1, 0.9, 0.5], n_used=1), {}), "point") == 3
    pairs = ["A.1 / B [x]", "B [x] / A.1"]
    ratios = cells.assign(**{pairs[0]: time, pairs[1]: -time})
    branches = pd.DataFrame({"pair": pairs, "branch_time": 0.4, "low": 0.38, "high": 0.42})
    chart, packed = branch_view(ratios, pairs=pairs, branches=branches)
    on_map, along_time = len(cells), int(cells["pseudotime"].notna().sum())
    assert n_shapes(rendered(chart, packed), "circle") == on_map + along_time


def test_palette_gives_inner_nodes_greys():
    colors = node_palette(NODES)
    assert colors["root"] == "#3f4650"
    assert len(set(colors.values())) == 3

"""Charts of driver factors."""

from __future__ import annotations

import json
import re

import pandas as pd
import vl_convert

from mira_nb.charts.drivers import driver_bars, two_set_scatter


def table() -> pd.DataFrame:
    effects = {"first": [0.1, 0.3, -0.1, 0.2], "second": [0.5, 0.1, 0.6, 0.05]}
    frame = pd.concat(
        pd.DataFrame({"query": query, "label": list("DACB"), "excess_effect": values})
        for query, values in effects.items()
    )
    frame["excess_low"], frame["excess_high"] = frame["excess_effect"] - 0.4, frame["excess_effect"] + 0.4
    frame["called"] = frame["excess_low"] > 0.09
    return frame.assign(
        motif_id="m", family="f", adj_pvalue=0.01, effect_size=0.2, factor_log2_fold=1.0, n_query=5, n_background=9
    )


def test_the_menu_opens_on_the_set_with_most_drivers_and_bars_go_down_by_effect() -> None:
    chart = driver_bars(table(), least=0.147)
    svg = vl_convert.vegalite_to_svg(chart.to_json())
    labels = [text for text in re.findall(r">([^<>]+)</text>", svg) if text in "ABCD"]
    assert labels == ["C", "D", "A", "B"]  # of the second set: 0.6, 0.5, 0.1, 0.05


def test_only_called_factors_are_named() -> None:
    frame = pd.DataFrame({"label": list("ABC"), "x": [9.0, 8, 1], "y": [1.0, 1, 1]})
    for called, names in (([False, True, False], {"B"}), ([False] * 3, set())):
        chart = two_set_scatter(frame.assign(x_called=called, y_called=False), first="s", second="t")
        assert (
            set(re.findall(r">([ABC])</text>", vl_convert.vegalite_to_svg(json.loads(json.dumps(chart.to_dict())))))
            == names
        )

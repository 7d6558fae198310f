"""What a Result offers in a notebook: figures and tables by name, short and HTML views."""

from __future__ import annotations

import pandas as pd
import pytest

from mira_nb.errors import ParameterError
from mira_nb.stages.result import MAX_ROWS_IN_NOTEBOOK, Alert, Figure, Metric, Result, Table

FRAME = pd.DataFrame({"x": range(5), "y": range(5)})
SPEC = {"mark": "point", "data": {"name": "cells"}, "encoding": {"x": {"field": "x", "type": "quantitative"}}}


@pytest.fixture
def result() -> Result:
    return Result(
        tables=[Table("genes", "Genes", "One row per gene.", FRAME)],
        figures=[Figure("map", "Map", "Each point is a cell.", chart=SPEC, packed={"cells": FRAME})],
        metrics=[Metric("Topics", 12, help="<more> is finer"), Metric("ELBO", 0.123456)],
        alerts=[Alert("warning", "few <cells>", "because", "add some", code="topics.few_cells")],
    )


def test_figures_tables_and_metrics_by_name(result: Result) -> None:
    assert result.table("genes").equals(FRAME)
    assert result.figure("map").title == "Map"
    assert result.metric("Topics") == 12
    with pytest.raises(ParameterError, match=r"no figure 'maps'.*\n.*map"):
        result.figure("maps")
    with pytest.raises(ParameterError, match="no table"):
        result.table("map")


def test_views(result: Result) -> None:
    assert repr(result).splitlines() == [
        "Result: 1 tables, 1 figures, 2 key figures, 1 alerts",
        "  tables: genes",
        "  figures: map",
        "  warning: few <cells>",
    ]
    shown = result._repr_html_()
    assert "few &lt;cells&gt;" in shown
    assert "&lt;more&gt; is finer" in shown
    assert "<b>0.1235</b>" in shown
    assert "<cells>" not in shown


def test_a_figure_is_drawn_by_a_notebook(result: Result) -> None:
    bundle = result.figure("map")._repr_mimebundle_()
    chart = next(value for key, value in bundle.items() if key.startswith("application/vnd.vegalite"))
    assert len(chart["datasets"]["cells"]) == len(FRAME)
    assert bundle["image/png"].startswith("iVBOR")


def test_a_drawing_stays_a_drawing_in_a_notebook() -> None:
    bundle = Figure("model", "Model", "", svg="<svg/>")._repr_mimebundle_()
    assert bundle == {"image/svg+xml": "<svg/>", "text/plain": "Figure model: Model"}


def test_large_figures_are_sampled_evenly_and_say_so() -> None:
    n = 3 * MAX_ROWS_IN_NOTEBOOK
    figure = Figure("map", "Map", "", chart=SPEC, packed={"cells": pd.DataFrame({"x": range(n)})})
    rows = figure.spec(max_rows=MAX_ROWS_IN_NOTEBOOK)["datasets"]["cells"]
    assert [row["x"] for row in rows] == list(range(0, n, 3))
    assert figure.sampling_note(MAX_ROWS_IN_NOTEBOOK).startswith("The notebook shows 4,000 of 12,000 points")
    assert len(figure.spec()["datasets"]["cells"]) == n
    assert not figure.sampling_note(n)

"""Charts fill their card at the width of a laptop, those of several parts too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from mira_nb.charts.motifs import motif_bars
from mira_nb.charts.topics import topic_shares
from mira_nb.report.build import build_report
from tests.report.synthetic import RunFolder

pytestmark = pytest.mark.browser

LEAST = 0.85


def motif_table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [(topic, f"TF{i}", -float(rng.gamma(3)), 2.0) for topic in ("a1", "a2") for i in range(12)]
    table = pd.DataFrame(rows, columns=["topic", "label", "log10_adj_pvalue", "odds_ratio"])
    return table.assign(odds_low=1.5, odds_high=3.0, n_hits_top=5, n_hits=50, in_expr=True, family="F")


def charts() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    topics = pd.DataFrame(rng.dirichlet(np.ones(5), 200), columns=[f"e{i + 1}" for i in range(5)])
    points = alt.Chart(pd.DataFrame({"x": [1, 2, 3, 4], "y": [1, 3, 2, 5], "g": list("abab")})).mark_point()
    points = points.encode(x="x:Q", y="y:Q")
    small = points.properties(width=230, height=90)
    return {
        "shares": topic_shares(topics),
        "bars": motif_bars(motif_table()),
        "stack": alt.vconcat(points.properties(width=520, height=120), alt.hconcat(small, small)),
        "rows": points.properties(width=420, height=80).facet(row="g:N"),
        "pair": alt.hconcat(points.properties(width=800, height=400), points.properties(width=800, height=400)),
        "single": points.properties(width=480, height=160),
    }


def test_charts_fill_their_card(page_offline: Any, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    stage = run.stage("motifs")
    for name, chart in charts().items():
        stage = stage.figure(name, chart, title=name, caption="A chart.")
    stage.save()
    page_offline.page.set_viewport_size({"width": 1440, "height": 900})
    page = page_offline.open(build_report(run.finish()))
    page_offline.see_everything()
    measured = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("#motifs figure")].map((figure) => {
  const drawn = figure.querySelector(".chart canvas, .chart svg").getBoundingClientRect().width;
  return [figure.id, [drawn / figure.querySelector(".canvas").clientWidth, figure.classList.contains("beside")]];
}))"""
    )
    assert set(measured) == {f"motifs-{name}" for name in charts()}
    assert all(LEAST <= part <= 1.005 and not beside for part, beside in measured.values()), measured
    assert page_offline.errors == []

"""Marks of topics that are found from one seed only, duplicates or dead."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import altair as alt
import numpy as np
import pandas as pd

from mira_nb.stages.result import Figure, Table
from mira_nb.stages.shared.flags import MARK, mark_figures, mark_tables, marked, topic_flags
from mira_nb.stages.topics.compute import TopicsOutput, Tuned
from mira_nb.stages.topics.params import TopicsRnaParams
from tests.stages.multiome import planted_multiome


def planted(n_cells: int = 200) -> tuple[TopicsOutput, np.ndarray]:
    """Topics e1 to e5: e1 and e2 copies of each other, e4 from one seed only, e5 dead."""
    rng = np.random.default_rng(4)
    topics = rng.dirichlet(np.full(5, 0.3), n_cells)
    topics[:, 4] *= 0.05
    topics /= topics.sum(1, keepdims=True)
    topics[:, 4] = np.minimum(topics[:, 4], 0.09)
    profiles = rng.normal(size=(5, 60))
    profiles[1] = profiles[0] + 0.05 * rng.normal(size=60)
    decoder = SimpleNamespace(activations=lambda: profiles)
    fit = SimpleNamespace(topics=topics, n_topics=5, decoder=decoder)
    names = pd.Index([f"gene{i}" for i in range(60)])
    reference = {
        "cells": np.arange(n_cells),
        "topics": topics[:, [3, 0, 1, 2, 4]],
        "stability": np.array([0.3, 0.9, 0.9, 0.9, 0.9]),
        "found_in": np.array([0, 5, 5, 5, 5]),
    }
    tuned = Tuned("quick", {}, reference)
    return TopicsOutput("rna", fit, None, names, np.ones(60, bool), TopicsRnaParams(), tuned), topics  # type: ignore[arg-type]


def test_planted_duplicates_dead_and_single_topics_are_flagged():
    output, _ = planted()
    assert output.flags == {"e1": "duplicate", "e2": "duplicate", "e4": "one seed only", "e5": "dead"}


def test_without_a_tuning_nothing_is_flagged():
    output, _ = planted()
    assert replace(output, tuned=Tuned()).flags == {}


def test_flags_are_read_back_from_the_store(tmp_path):
    import mudata

    data = planted_multiome()
    assert topic_flags(data) == {}
    names, flags = np.array(["e1", "e2", "e3"]), np.array(["", "dead", "one seed only"], dtype=object)
    data.mod["rna"].uns["topic_model"] = {"topic_names": names, "topic_flags": flags}
    data.write(tmp_path / "data.h5mu")
    assert topic_flags(mudata.read_h5mu(tmp_path / "data.h5mu")) == {"e2": "dead", "e3": "one seed only"}


def chart() -> alt.Chart:
    """Bars of three topics, and a menu."""
    frame = pd.DataFrame({"topic": ["e1", "e2", "e3"], "value": [1, 2, 3]})
    menu = alt.param(name="menu", value="e2", bind=alt.binding_select(options=["e1", "e2", "e3"], name="topic "))
    return alt.Chart(frame).mark_bar().encode(x="value:Q", y="topic:N", color="topic:N").add_params(menu)


def test_labels_are_marked_and_values_are_not():
    plain = Figure("bars", "Bars", "Caption.", chart=chart())
    (figure,) = mark_figures([plain], {"e2": "dead", "a9": "duplicate"})
    spec, before = figure.spec(), plain.spec()
    assert spec["datasets"] == before["datasets"]
    bind = spec["params"][0]["bind"]
    assert bind["options"] == ["e1", "e2", "e3"]
    assert bind["labels"] == ["e1", f"e2{MARK}", "e3"]
    assert "labelExpr" in spec["encoding"]["y"]["axis"]
    assert "labelExpr" in spec["encoding"]["color"]["legend"]
    assert "axis" not in spec["encoding"]["x"]
    assert "e2 (dead)" in figure.caption
    assert "a9" not in figure.caption


def test_the_mark_is_drawn():
    import vl_convert

    (figure,) = mark_figures([Figure("bars", "Bars", "Caption.", chart=chart())], {"e2": "dead"})
    drawn = vl_convert.vegalite_to_svg(figure.spec())
    assert drawn.count(f"e2{MARK}") >= 2
    assert f"e1{MARK}" not in drawn


def test_figures_and_tables_without_flagged_topics_stay():
    plain = Figure("bars", "Bars", "Caption.", chart=chart())
    assert mark_figures([plain], {}) == [plain]
    assert mark_figures([plain], {"a1": "dead"}) == [plain]
    table = Table("t", "T", "Caption.", pd.DataFrame({"topic": ["e1", "e2"]}))
    assert mark_tables([table], {"a1": "dead"}) == [table]
    assert "e2 (dead)" in mark_tables([table], {"e2": "dead"})[0].caption
    assert marked(["e1", "e2"], {"e2": "dead"}) == ["e1", f"e2{MARK}"]

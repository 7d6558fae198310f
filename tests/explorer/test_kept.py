"""Selections and names: kept as plain tables, by one of two pages at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from mira_nb.errors import ParameterError
from mira_nb.explorer.kept import Kept
from tests.messages import refused


def test_selections_are_a_table_of_cells(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert kept.selections() == {}
    assert kept.keep_selection("  early   cells ", ["c2", "=c1"]) == "early cells"
    kept.keep_selection("late", ["c3"])
    kept.keep_selection("late", ["c3", "c4"])
    assert Kept(tmp_path).selections() == {"early cells": ["c2", "=c1"], "late": ["c3", "c4"]}
    assert list(pd.read_csv(kept.selections_file)) == ["cell", "selection"]
    assert "'=c1" in kept.selections_file.read_text()  # for spreadsheets
    kept.drop_selection("early cells")
    assert kept.selections() == {"late": ["c3", "c4"]}


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "a|b"])
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with refused("explorer.no_name", ParameterError):
        Kept(tmp_path).keep_selection(name, ["c1"])


def test_an_empty_selection_is_refused(tmp_path: Path) -> None:
    with refused("explorer.nothing_selected", ParameterError):
        Kept(tmp_path).keep_selection("a", [])


def test_groups_are_selections_without_common_cells(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keep_selection("a", ["c1", "c2"])
    kept.keep_selection("b", ["c3"])
    kept.keep_selection("c", ["c2", "c3"])
    table = pd.read_csv(kept.groups(["a", "b"]))
    assert dict(zip(table["cell"], table["selection"], strict=True)) == {"c1": "a", "c2": "a", "c3": "b"}
    with refused("explorer.cells_in_two", ParameterError, n_cells=1):
        kept.groups(["a", "c"])


def test_topics_and_clusters_have_names_that_can_be_taken_back(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.name_topic("e1", "Cell cycle")
    kept.name_topic("a1", "Enhancers")
    with refused("explorer.topic_name_taken", ParameterError):
        kept.name_topic("e2", "Cell cycle")
    kept.name_topic("e1", "Cycle")
    kept.name_topic("a1", "")
    assert kept.topics() == {"e1": "Cycle"}
    kept.label("0", "HSC")
    kept.label("1", "HSC")
    assert pd.read_csv(kept.labels_file, dtype=str).to_dict("list") == {"cluster": ["0", "1"], "label": ["HSC", "HSC"]}
    kept.label("0", " ")
    assert kept.labels() == {"1": "HSC"}


def test_two_pages_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: Kept(tmp_path).keep_selection(f"s{i}", [f"c{i}"]), range(24)))
    assert len(Kept(tmp_path).selections()) == 24


def test_a_file_of_other_columns_is_named(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.folder.mkdir()
    kept.selections_file.write_text("a,b\n1,2\n")
    with pytest.raises(ParameterError, match=r"selections\.csv has the columns a, b"):
        kept.selections()


def test_report_and_results_carry_what_was_named(tmp_path: Path) -> None:
    import anndata as ad
    import mudata
    import numpy as np

    from mira_nb.panels.browser_widgets import table_message
    from mira_nb.report.names import named_table, topic_names
    from mira_nb.run.selections import apply_selections, kept_state

    assert kept_state(tmp_path) == []
    kept = Kept(tmp_path)
    kept.name_topic("e1", "=Cycle")
    kept.keep_selection("early/first", ["c1", "c9"])
    assert topic_names(tmp_path) == {"e1": "=Cycle"}
    frame = pd.DataFrame({"topic": ["e1", "e10"], "query": ["topic e1", "NITE"], "gene": ["e1", "e2"]})
    found = named_table(frame, topic_names(tmp_path))
    assert found.to_dict("list") == {
        "topic": ["e1: =Cycle", "e10"], "query": ["topic e1: =Cycle", "NITE"], "gene": ["e1", "e2"],
    }  # fmt: skip
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert b"e1: =Cycle" in table_message(tmp_path / "t.csv", names=topic_names(tmp_path))
    assert b"Cycle" not in table_message(tmp_path / "t.csv")
    assay = ad.AnnData(np.zeros((2, 1)), obs=pd.DataFrame(index=["c1", "c2"]))
    with mudata.set_options(pull_on_update=False):
        data = mudata.MuData({"rna": assay})
        apply_selections(tmp_path, data)
        data.write_h5mu(tmp_path / "out.h5mu")
        again = mudata.read_h5mu(tmp_path / "out.h5mu")
    assert again.obs["selection early first"].tolist() == [True, False]
    assert again.uns["topic_names"] == {"e1": "=Cycle"}
    before = kept_state(tmp_path)
    kept.name_topic("e1", "Division")
    assert kept_state(tmp_path) != before


def test_a_name_stands_in_every_part_of_a_chart_that_agrees_with_another() -> None:
    from mira_nb.report.names import named_spec, named_text

    spec = {
        "datasets": {"d": [{"topic": "e1", "label": "e1 *", "gene": "e10", "n": 1}]},
        "encoding": {"x": {"field": "topic", "sort": ["e1", "e10"]}, "color": {"scale": {"domain": ["e1 *"]}}},
        "params": [{"value": "topic e1", "bind": {"options": ["topic e1", "a2"]}}],
        "transform": [{"filter": 'indexof(["e1", "a2"], colouring) >= 0'}],
        "usermeta": {"packed": {"columns": [{"name": "e1", "kind": "u8", "data": "e1"}]}},
    }
    found = named_spec(spec, {"e1": 'say "x"', "a2": "a.b"})
    assert found["datasets"]["d"] == [{"topic": 'e1: say "x"', "label": 'e1: say "x" *', "gene": "e10", "n": 1}]
    assert found["encoding"]["x"] == {"field": "topic", "sort": ['e1: say "x"', "e10"]}
    assert found["encoding"]["color"]["scale"]["domain"] == ['e1: say "x" *']
    assert found["params"][0]["bind"]["options"] == ['topic e1: say "x"', "a2: a.b"]
    assert found["transform"][0]["filter"] == 'indexof(["e1: say \\"x\\"", "a2: a.b"], colouring) >= 0'
    assert found["usermeta"]["packed"]["columns"] == [{"name": 'e1: say "x"', "kind": "u8", "data": "e1"}]
    assert named_spec(spec, {}) is spec
    assert named_text("topics e1, e10 and (a2)", {"e1": "One", "a2": "Two"}) == "topics e1: One, e10 and (a2: Two)"

"""Names of a run: searched by what parameters name, and wrong ones noticed with the nearest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mira_nb.explorer.kept import Kept
from mira_nb.explorer.run_names import RunNames
from mira_nb.keys import Source
from mira_nb.stages.registry import BUILT_IN, get_stage


def labels(names: RunNames, source: Source, text: str) -> list[str]:
    return [name for name, _ in names.find(source, text)]


@pytest.mark.parametrize(
    ("source", "first"),
    [
        ("genes", ["GATA1", "GATA2", "G2"]),
        ("cells", ["c0", "c1"]),
        ("topics", ["e1", "e2", "e3"]),
        ("accessibility topics", []),
        ("factors", ["GATA1"]),
        ("obs", ["kind", "name"]),
        ("numeric obs", []),
        ("obsm", []),
        ("groups", []),
    ],
)
def test_every_kind_of_name_is_read(run_folder: Path, source: Source, first: list[str]) -> None:
    known = list(RunNames(run_folder).known(source))
    assert known[: len(first)] == first
    assert bool(known) == bool(first)


def test_groups_are_those_of_the_run_and_read_again_when_it_changes(run_folder: Path) -> None:
    names = RunNames(run_folder)
    assert names.known("groups") == ()
    assert names.wrong("groups", ["x"]) == {}  # nothing is known, so nothing is wrong
    record = json.loads((run_folder / "run.json").read_text())
    (run_folder / "run.json").write_text(json.dumps({**record, "resources": {"groups": "kind"}}))
    assert names.known("groups") == ("a", "b")
    assert list(names.wrong("groups", ["a", "x"])) == ["x"]


def test_equal_names_come_first_then_beginnings_then_parts(run_folder: Path) -> None:
    names = RunNames(run_folder)
    assert labels(names, "genes", "gata2") == ["GATA2"]
    assert labels(names, "genes", "a1") == ["GATA1"]
    assert labels(names, "cells", "c5")[:2] == ["c5", "c50"]
    assert len(names.find("cells", "c")) == 12
    assert labels(names, "cells", "fate=c59") == ["fate=c59"]
    assert names.find("cells", "7")[0] == ("7", "c7")
    Kept(run_folder).name_topic("e2", "Cycling")
    assert names.find("topics", "cycl") == [("e2", "Cycling")]


def test_wrong_names_have_the_nearest_beside_them(run_folder: Path) -> None:
    names = RunNames(run_folder)
    assert names.wrong("genes", ["GATA1", "gata2", "GATA9"]) == {"GATA9": ["GATA2", "GATA1"]}
    assert names.wrong("cells", ["c1", "end=c2", 3, "c99", 60]) == {"c99": ["c9", "c59", "c49"], "60": []}
    assert names.wrong("topics", ["E1", "e4"])["E1"] == ["e1"]


def test_long_lists_are_searched_in_no_time(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = RunNames(run_folder)
    cells = tuple(f"{i:06d}ACGT-1" for i in range(200_000))
    names.known("cells")
    monkeypatch.setitem(names._known, "cells", cells)
    assert labels(names, "cells", "199999a") == ["199999ACGT-1"]
    assert "199999ACGT-1" in names.nearest("cells", "199999ACGT-2")


@pytest.mark.parametrize("stage", BUILT_IN)
def test_parameters_that_name_something_say_so(stage: str) -> None:
    """A list of names without a source is one that the data cannot answer."""
    free = {
        "pairs",  # contrasts
        "compare",  # gene sets
        "branches",  # a small language
        "online_libraries",
        "direction_evidence",  # words
    }
    silent = {
        spec.name
        for spec in get_stage(stage).Params.describe()
        if spec.kind == "list" and str in spec.types and not spec.choices_from
    }
    assert silent <= free

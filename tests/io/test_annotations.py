from __future__ import annotations

import numpy as np
import pytest

from mira_nb.io.annotations import check_annotations
from mira_nb.io.read import check_pair
from mira_nb.io.resources import Resources
from mira_nb.text import suggest
from tests.messages import codes, refused, values


@pytest.fixture
def pair(rna, atac):
    rna.obs["score"] = np.linspace(0, 1, len(rna))
    rna.obs["one"] = "x"
    rna.obs["some"] = ["a", "b", None, *["a"] * (len(rna) - 3)]
    rna.obs["nothing"] = np.nan
    rna.obs["id"] = [f"i{i}" for i in range(len(rna))]
    atac.obs["cluster"] = np.arange(len(atac)) % 3
    return check_pair(rna, atac)


def test_good_names(pair):
    resources = Resources(groups="cell_type", batch="cluster", start_cell=pair.data.obs_names[5])
    assert check_annotations(pair.data, resources) == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"groups": "celltype"}, ("annotation_unknown", {"option": "--groups", "close": "close: 'cell_type'"})),
        ({"batch": "zzz"}, ("annotation_unknown", {"option": "--batch", "name": "zzz"})),
        ({"groups": "score"}, ("annotation_of_measurements", {"least": 0.0, "most": 1.0})),
        ({"groups": "id"}, ("annotation_too_fine", {"n_values": 220, "n_cells": 220})),
        ({"groups": "nothing"}, ("annotation_empty", {"name": "nothing"})),
        ({"start_cell": "nope"}, ("start_cell_unknown", {"cell": "nope"})),
    ],
)
def test_bad_names(pair, given, expected):
    code, values = expected
    with refused(code, **values):
        check_annotations(pair.data, Resources(**given))


def test_start_cell_without_its_suffix(pair):
    name = str(pair.data.obs_names[7])
    with refused("start_cell_unknown", cell=name.removesuffix("-1"), close=f"close: '{name}'"):
        check_annotations(pair.data, Resources(start_cell=name.removesuffix("-1")))


def test_findings(pair):
    assert codes(check_annotations(pair.data, Resources(groups="one"))) == ["annotation_of_one_value"]
    missing = check_annotations(pair.data, Resources(batch="some"))
    assert values(missing, "annotation_incomplete")["n_missing"] == 1


def test_names_as_mudata_shows_them_are_suggested(pair):
    with refused("annotation_unknown", close="close: 'cluster'"):
        check_annotations(pair.data, Resources(groups="atac:cluster"))


def test_suggest():
    assert suggest("Clstr", ["cluster", "batch"]) == "close: 'cluster'"
    assert suggest("x", []) == "there are none"
    assert suggest("x", [f"column{i}" for i in range(12)]).endswith("and 2 more")


def test_codes_in_the_place_of_labels_are_reported(pair):
    assert codes(check_annotations(pair.data, Resources(groups="cluster")), "warning") == ["annotation_of_codes"]

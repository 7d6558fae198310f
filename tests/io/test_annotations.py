from __future__ import annotations

import numpy as np
import pytest

from mira_nb.errors import InputError
from mira_nb.io.annotations import check_annotations
from mira_nb.io.read import check_pair
from mira_nb.io.resources import Resources
from mira_nb.text import suggest


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
        ({"groups": "celltype"}, "--groups 'celltype': no cell annotation has this name; close: 'cell_type'"),
        ({"batch": "zzz"}, "--batch 'zzz': no cell annotation has this name; there are: 'cell_type', 'score'"),
        ({"groups": "score"}, "measurements (0 to 1), not groups"),
        ({"groups": "id"}, "220 different values in 220 cells"),
        ({"groups": "nothing"}, "the column is empty"),
        ({"start_cell": "nope"}, "no cell kept for the analysis has this name; there are:"),
    ],
)
def test_bad_names(pair, given, expected):
    with pytest.raises(InputError) as caught:
        check_annotations(pair.data, Resources(**given))
    assert expected in str(caught.value)


def test_start_cell_without_its_suffix(pair):
    name = str(pair.data.obs_names[7])
    with pytest.raises(InputError, match=f"close: '{name}'"):
        check_annotations(pair.data, Resources(start_cell=name.removesuffix("-1")))


def test_findings(pair):
    (single,) = check_annotations(pair.data, Resources(groups="one"))
    assert "has a single value" in single.title
    (missing,) = check_annotations(pair.data, Resources(batch="some"))
    assert "missing for 1 cells" in missing.title


def test_names_as_mudata_shows_them_are_suggested(pair):
    with pytest.raises(InputError, match="close: 'cluster'"):
        check_annotations(pair.data, Resources(groups="atac:cluster"))


def test_suggest():
    assert suggest("Clstr", ["cluster", "batch"]) == "close: 'cluster'"
    assert suggest("x", []) == "there are none"
    assert suggest("x", [f"column{i}" for i in range(12)]).endswith("and 2 more")


def test_codes_in_the_place_of_labels_are_reported(pair):
    (finding,) = check_annotations(pair.data, Resources(groups="cluster"))
    assert finding.level == "warning"
    assert "--groups 'cluster' holds numbers instead of labels" in finding.title

"""The functions for people who work in a notebook of their own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import mira_nb
from mira_nb.errors import InputError, ParameterError, ResourceError
from mira_nb.stages import function, registry
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.checks import check_data, has_slot
from mira_nb.stages.params import Params, param
from mira_nb.stages.registry import BUILT_IN
from mira_nb.stages.result import Result, Slot
from tests.messages import refused

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.datasets.write import Demo


class ToyParams(Params):
    n: int = param(3, "How many.", unit="cells", ge=1)
    kind: Literal["a", "b"] = param("a", "Which one.")
    size: int | Literal["auto"] = param("auto", "How large.")
    names: list[str] = param([], "Which.")


class Toy(Stage[ToyParams]):
    """Stands for any stage: leaves the keys of its contract, filled with zeros."""

    title = "Toy"
    purpose = "Leaves its keys."
    Params: ClassVar[type[Params]] = ToyParams
    seen: ClassVar[list[tuple[Params, Context]]] = []

    def run(self, data: MuData, params: ToyParams, context: Context) -> Result:
        type(self).seen.append((params, context))
        context.progress(0.5, "half")
        return Result(slots={slot: _value(data, slot) for slot in self.writes}, methods=self.name)


def _value(data: MuData, slot: Slot) -> Any:
    owner = data if slot.modality == "joint" else data.mod[slot.modality]
    if slot.element == "layers":
        return np.zeros(owner.shape)
    n = owner.n_vars if slot.element in {"var", "varm"} else owner.n_obs
    shapes = {"obs": (n,), "var": (n,), "obsm": (n, 2), "varm": (n, 2)}
    return sparse.csr_matrix((n, n)) if slot.element == "obsp" else np.zeros(shapes.get(slot.element, (1,)))


NEEDS = {"topics_rna": ("prepare",), "topics_atac": ("prepare",), "joint": ("topics_rna", "topics_atac")}


WRITES = {name: registry.get_stage(name).writes for name in BUILT_IN}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Toy stages under the real names."""
    stages = {
        name: type(
            name,
            (Toy,),
            {
                "name": name,
                "needs": NEEDS.get(name, ()),
                "writes": WRITES[name],
                "resources": (("gene_sets",), ("genome", "motifs")) if name == "enrichment" else (),
            },
        )()
        for name in BUILT_IN
    }
    monkeypatch.setattr(registry, "get_stage", stages.__getitem__)
    monkeypatch.setattr("mira_nb.stages.checks.get_stage", stages.__getitem__)
    function.stage_function.cache_clear()
    Toy.seen.clear()
    yield
    function.stage_function.cache_clear()


def make_pair(n_cells: int = 30) -> MuData:
    from anndata import AnnData
    from mudata import MuData

    rng = np.random.default_rng(0)
    cells = pd.DataFrame(index=[f"c{i}" for i in range(n_cells)])
    genes = pd.DataFrame(index=[f"g{i}" for i in range(8)])
    peaks = pd.DataFrame({"chrom": "chr1", "start": np.arange(12) * 1000}, index=[f"p{i}" for i in range(12)])
    peaks["end"] = peaks["start"] + 500
    rna = sparse.csr_matrix(rng.poisson(3, (n_cells, 8)).astype(np.float32))
    atac = sparse.csr_matrix((rng.random((n_cells, 12)) < 0.5).astype(np.float32))
    return MuData({"rna": AnnData(rna, cells.copy(), genes), "atac": AnnData(atac, cells.copy(), peaks)})


@pytest.mark.usefixtures("toys")
def test_the_chain_writes_the_keys_in_place_and_returns_results() -> None:
    data = make_pair()
    steps: list[tuple[float, str]] = []
    for name in ("prepare", "topics_rna", "topics_atac", "joint"):
        result = getattr(mira_nb, name)(data, n=4, seed=7, progress=lambda f, m: steps.append((f, m)))
        assert isinstance(result, Result)
        assert result.methods == name
        assert all(has_slot(data, slot) for slot in WRITES[name])
    assert steps == [(0.5, "half")] * 4
    assert [(params.n, context.seed) for params, context in Toy.seen] == [(4, 7)] * 4  # type: ignore[attr-defined]


@pytest.mark.usefixtures("toys")
def test_signature_and_help_come_from_the_parameter_model() -> None:
    function = mira_nb.joint
    signature = inspect.signature(function)
    assert list(signature.parameters) == [
        "mdata", "n", "kind", "size", "names", "seed", "resources", "progress", "compute",
    ]  # fmt: skip
    assert signature.parameters["n"].default == 3
    assert all(p.kind is p.KEYWORD_ONLY for name, p in signature.parameters.items() if name != "mdata")
    assert function.__name__ == "joint"
    text = inspect.getdoc(function) or ""
    for line in (
        "n : int, default 3", "How many. [cells]", "kind : {'a', 'b'}, default 'a'", "size : int or {'auto'}",
        "names : list[str]", "Call before: ``mira_nb.topics_rna``, ``mira_nb.topics_atac``.", "X_joint",
    ):  # fmt: skip
        assert line in text


@pytest.mark.usefixtures("toys")
def test_missing_upstream_names_the_first_function_to_call() -> None:
    data = make_pair()
    with refused("stages.results_missing", name="prepare", slot='mdata["rna"].var["modelled"]'):
        mira_nb.joint(data)
    mira_nb.prepare(data)
    mira_nb.topics_rna(data)
    with refused("stages.results_missing", name="topics_atac"):
        mira_nb.joint(data)


@pytest.mark.usefixtures("toys")
def test_wrong_parameters_and_missing_resources_are_refused_before_anything_runs(tmp_path: Any) -> None:
    data = make_pair()
    with refused("stages.parameters_of_function", ParameterError, stage="prepare"):
        mira_nb.prepare(data, n=0)
    with pytest.raises(TypeError, match=r"prepare\(\) got an unexpected keyword argument 'k'"):
        mira_nb.prepare(data, k=0)
    with refused("stages.files_missing", ParameterError, stage="enrichment"):
        mira_nb.enrichment(data)
    with pytest.raises(ResourceError, match="does not exist"):
        mira_nb.enrichment(data, resources=mira_nb.Resources(gene_sets=(tmp_path / "none.gmt",)))
    with pytest.raises(InputError, match="no cell annotation has this name"):
        mira_nb.prepare(data, resources=mira_nb.Resources(groups="cell_type"))
    assert not Toy.seen


def _break(what: str) -> Any:
    data = make_pair()
    rna, atac = data.mod["rna"], data.mod["atac"]
    if what == "anndata":
        return rna
    if what == "modality":
        return type(data)({"rna": rna, "peaks": atac})
    if what == "dense":
        rna.X = rna.X.toarray()
    elif what == "logged":
        rna.X = rna.X.log1p()
    elif what == "counts of peaks":
        atac.X = atac.X * 2
    elif what == "coordinates":
        del atac.var["start"]
    elif what == "order":
        return type(data)({"rna": rna, "atac": atac[::-1].copy()})
    elif what == "empty cell":
        rna.X = sparse.vstack([sparse.csr_matrix((1, 8), dtype=np.float32), rna.X[1:]]).tocsr()
    elif what == "names":
        rna.var_names = ["g"] * 8
    return data


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("what", "code", "values"),
    [
        ("anndata", "stages.no_mudata", {"kind": "AnnData"}),
        ("modality", "stages.no_modality", {"missing": ["atac"], "known": ["rna", "peaks"]}),
        ("dense", "stages.not_sparse", {"name": "rna", "kind": "ndarray"}),
        ("logged", "counts_fractions", {"source": "rna: X"}),
        ("counts of peaks", "counts_above_one", {"largest": 2.0}),
        ("coordinates", "stages.no_coordinates", {"columns": ["start"]}),
        ("order", "stages.cells_differ", {}),
        ("empty cell", "stages.empty_cells", {"n_cells": 1}),
        ("names", "stages.names_repeated", {"kind": "feature", "example": "g"}),
    ],
)
def test_data_that_are_no_checked_pair_are_refused(what: str, code: str, values: dict[str, Any]) -> None:
    with refused(code, **values):
        check_data(_break(what))


def test_a_checked_pair_is_accepted_and_not_changed() -> None:
    data = make_pair()
    before = data.copy()
    check_data(data)
    for name in ("rna", "atac"):
        assert data.mod[name].X.nnz > 0
        assert (data.mod[name].X != before.mod[name].X).nnz == 0
        assert list(data.mod[name].var_names) == list(before.mod[name].var_names)


def test_read_gives_a_checked_pair_with_its_findings(small_demo: Demo) -> None:
    data = mira_nb.read(rna=small_demo.spec.rna, atac=str(small_demo.spec.atac))
    check_data(data)
    assert isinstance(data.uns["input_findings"], list)
    with pytest.raises(InputError, match="does not exist"):
        mira_nb.read(mudata="nowhere.h5mu")


def test_pair_joins_two_anndata_and_leaves_them_alone(small_demo: Demo) -> None:
    import anndata

    rna, atac = (anndata.read_h5ad(path) for path in (small_demo.spec.rna, small_demo.spec.atac))
    before = rna.X.copy()
    data = mira_nb.pair(rna, atac[::-1].copy())
    check_data(data)
    assert list(data.obs_names) == list(rna.obs_names)
    assert (before != rna.X).nnz == 0


def test_unknown_names_and_listing() -> None:
    assert {"read", "pair", "joint", "comparisons"} <= set(dir(mira_nb))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mira_nb.nothing  # noqa: B018
    with refused("stages.stage_unknown", ParameterError, name="nothing"):
        function.stage_function("nothing")

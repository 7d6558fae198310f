"""The stages topics_rna and topics_atac on a small planted set."""

from __future__ import annotations

import json
import re

import mudata
import numpy as np
import pytest

from mira_nb.core.topics.decoder import Decoder
from mira_nb.core.topics.fit import TopicFit
from mira_nb.errors import ParameterError
from mira_nb.stages.base import Context
from mira_nb.stages.registry import get_stage
from mira_nb.stages.result import apply_slots
from mira_nb.stages.topics.params import TopicsAtacParams, TopicsRnaParams
from tests.stages.multiome import STATES, planted_multiome

MODALITIES = {"topics_rna": ("rna", "e"), "topics_atac": ("atac", "a")}


@pytest.fixture(scope="module")
def data():
    planted = planted_multiome()
    for part in planted.mod.values():
        modelled = np.ones(part.n_vars, bool)
        modelled[3] = False
        part.var["modelled"] = modelled
        part.var["encoder"] = modelled & (np.arange(part.n_vars) % 5 != 4)
    return planted


@pytest.fixture(scope="module")
def results(data):
    seen = []
    out = {}
    for name in MODALITIES:
        stage = get_stage(name)
        params = stage.Params.parse(name, {"n_topics": 3, "n_epochs": 15, "batch_size": 32})
        before = data.mod["rna"].X.copy(), list(data.mod["rna"].obsm)
        out[name] = stage.run(data, params, Context(seed=1, progress=lambda f, m: seen.append((f, m))))
        assert (before[0] != data.mod["rna"].X).nnz == 0
        assert list(data.mod["rna"].obsm) == before[1]
    assert all(0 <= fraction <= 1 for fraction, _ in seen)
    assert any("left" in message for _, message in seen)
    return out


@pytest.mark.parametrize("name", MODALITIES)
def test_slots_follow_the_contract(results, data, name, tmp_path):
    modality, prefix = MODALITIES[name]
    copy = data.copy()
    apply_slots(copy, results[name].slots)
    part = copy.mod[modality]
    topics = part.obsm["X_topics"]
    assert topics.shape == (part.n_obs, 3)
    np.testing.assert_allclose(topics.sum(1), 1, rtol=1e-9)
    assert (np.diff(topics.mean(0)) <= 0).all()
    activations = part.varm["topic_activations"]
    assert np.isnan(activations[3]).all()
    assert np.isfinite(np.delete(activations, 3, 0)).all()
    stored = part.uns["topic_model"]
    decoder = Decoder.from_arrays(stored)
    assert decoder.n_features == part.var["modelled"].sum()
    np.testing.assert_allclose(decoder.activations().T, np.delete(activations, 3, 0))
    assert [str(n) for n in stored["topic_names"]] == [f"{prefix}{i}" for i in (1, 2, 3)]
    assert json.loads(stored["settings"])["n_topics"] == 3
    copy.write_h5mu(tmp_path / "x.h5mu")
    again = mudata.read_h5mu(tmp_path / "x.h5mu").mod[modality]
    fit = TopicFit.from_arrays(again.uns["topic_model"])
    np.testing.assert_allclose(fit.encode(part.X[:, part.var["modelled"].to_numpy()]), topics, atol=1e-6)
    if modality == "rna":
        depth = part.obs["effective_read_depth"]
        assert np.corrcoef(np.log(depth), np.log(np.asarray(part.X.sum(1)).ravel()))[0, 1] > 0.8


@pytest.mark.parametrize("name", MODALITIES)
def test_planted_states_get_topics_of_their_own(results, data, name):
    slot = next(v for s, v in results[name].slots.items() if s.key == "X_topics")
    state = data.mod["rna"].obs["state"].to_numpy()
    leading = [np.bincount(slot[state == s].argmax(1), minlength=3).argmax() for s in STATES]
    assert sorted(leading) == [0, 1, 2]
    right = np.mean([np.mean(slot[state == s].argmax(1) == t) for s, t in zip(STATES, leading, strict=True)])
    assert right > 0.95


@pytest.mark.parametrize("name", MODALITIES)
def test_tables_and_figures(results, name):
    tables = {table.name: table.frame for table in results[name].tables}
    assert list(tables["training"].columns[:2]) == ["epoch", "loss"]
    assert len(tables["training"]) == 15
    top = tables["top_features"]
    assert list(top.columns) == ["topic", "feature", "activation", "rank"]
    for _, part in top.groupby("topic"):
        assert part["activation"].is_monotonic_decreasing
        assert part["rank"].tolist() == list(range(1, len(part) + 1))
    names = [figure.name for figure in results[name].figures]
    assert {"training", "topic_shares", "redundancy", "top_features"} <= set(names)
    for figure in results[name].figures:
        assert figure.svg.startswith("<svg") if figure.name == "architecture" else figure.chart.to_dict()["$schema"]


@pytest.mark.parametrize("name", MODALITIES)
def test_methods_describe_the_fit(results, data, name):
    """The works cited are those of the choices made; numbers are those of the fit."""
    text = results[name].methods
    cited = set(re.findall(r"@(\w+)", text))
    assert {"lynch2022mira", "lee1999nmf", "stephens2017ash", "smith2017onecycle"} <= cited
    assert ("townes2019glmpca" in cited) == (name == "topics_rna")
    assert ("iyyer2015dan" in cited) == (name == "topics_atac")
    modelled = data.mod[MODALITIES[name][0]].var["modelled"].sum()
    for number in (f"{modelled} {'genes' if name == 'topics_rna' else 'peaks'}", "3 topics", "15 epochs", "32 cells"):
        assert number in text


def test_methods_of_other_choices_cite_no_factorisation(data):
    params = TopicsRnaParams(
        n_topics=3,
        n_epochs=2,
        initialisation="random",
        shrinkage="none",
        learning_rate_min=1e-3,
        learning_rate_max=5e-3,
        holdout_fraction=0,
        kl_schedule="none",
    )
    result = get_stage("topics_rna").run(data[:60].copy(), params, Context())
    assert "the weight of the KL term at 1 throughout" in " ".join(result.methods.split())
    assert not {"lee1999nmf", "stephens2017ash", "bowman2016sentences"} & set(re.findall(r"@(\w+)", result.methods))


def test_planted_genes_top_their_topic(results, data):
    top = next(t.frame for t in results["topics_rna"].tables if t.name == "top_features")
    topics = next(v for s, v in results["topics_rna"].slots.items() if s.key == "X_topics")
    state = data.mod["rna"].obs["state"].to_numpy()
    for number, label in enumerate(STATES):
        topic = f"e{topics[state == label].mean(0).argmax() + 1}"
        genes = top[(top["topic"] == topic) & (top["rank"] <= 20)]["feature"].str.removeprefix("Gene").astype(int)
        # activations are standardised a gene, so genes without a programme can rank high by chance (a quarter of all)
        assert (genes % 4 == number).mean() > 0.7


def test_few_cells_and_empty_cells_are_said(data):
    small = data[:40].copy()
    matrix = small.mod["rna"].X.tolil()
    matrix[5] = 0
    small.mod["rna"].X = matrix.tocsr()
    params = TopicsRnaParams(n_topics=3, n_epochs=2)
    result = get_stage("topics_rna").run(small, params, Context())
    alerts = {alert.code: alert for alert in result.alerts}
    assert alerts["topics.few_cells"].title.split()[1] == "40"
    assert alerts["topics.empty_cells"].title.startswith("1 of 40 ")


def test_parameters_are_checked_with_their_names():
    for params, name in ((TopicsRnaParams, "topics_rna"), (TopicsAtacParams, "topics_atac")):
        assert params().n_topics == "auto"
        assert params.parse(name, {"n_topics": 7}).n_topics == 7
        with pytest.raises(ParameterError, match="n_topics"):
            params.parse(name, {"n_topics": 1})
        with pytest.raises(ParameterError, match="learning_rate_max"):
            params.parse(name, {"learning_rate_max": -1})

"""The stages tuning_rna and tuning_atac on a small planted set, and what the topic models take from them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mira_nb.errors import ParameterError
from mira_nb.stages.base import Context
from mira_nb.stages.registry import get_stage, stage_names
from mira_nb.stages.result import apply_slots
from mira_nb.stages.tuning.params import TuningRnaParams
from tests.stages.multiome import planted_multiome
from tests.stages.wording import cited, codes

MODALITIES = {"tuning_rna": "rna", "tuning_atac": "atac"}


@pytest.fixture(scope="module")
def data():
    return planted_multiome()


@pytest.fixture(scope="module")
def results(data):
    out = {}
    for name in MODALITIES:
        stage = get_stage(name)
        params = stage.Params.parse(name, {"mode": "quick", "max_topics": 8, "n_seeds": 3})
        out[name] = stage.run(data, params, Context(seed=1))
    return out


@pytest.mark.parametrize("name", MODALITIES)
def test_choice_is_written_and_near_the_planted_number(results, name):
    (value,) = results[name].slots.values()
    (slot,) = results[name].slots
    assert (slot.modality, slot.element, slot.key) == (MODALITIES[name], "uns", "tuning")
    assert abs(value["n_topics"] - 3) <= 1
    assert set(json.loads(value["settings"])) == {
        "initial_pseudocounts",
        "shrinkage_power",
        "start_power",
        "holdout_fraction",
    }
    choice = results[name].table("choice").set_index("setting")
    assert choice.loc["n_topics", "value"] == str(value["n_topics"])


@pytest.mark.parametrize("name", MODALITIES)
def test_tables_figures_and_timing(results, name):
    trials = results[name].table("trials")
    assert trials.columns[:4].tolist() == ["trial", "state", "phase", "n_topics"]
    assert "loss" in trials
    assert not [column for table in results[name].tables for column in table.frame if "second" in column]
    assert [item.path for item in results[name].files] == ["timing.csv"]
    assert {figure.name for figure in results[name].figures} == {"curve", "fitted", "history", "stability"}
    for figure in results[name].figures:
        figure.chart.to_dict()
    stability = results[name].table("stability")
    assert (stability["n_seeds"] == 3).all()
    keys = [metric for metric in results[name].metrics if metric.key]
    assert len(keys) == 2
    assert keys[0].value == len(stability)
    assert "tuning.quick" in codes(results[name].alerts)
    assert "lee1999nmf" in cited(results[name].methods)


def test_mode_none_says_so(data):
    result = get_stage("tuning_rna").run(data, TuningRnaParams(mode="none"), Context())
    assert codes(result.alerts) == ["tuning.size_rule"]
    assert not result.figures
    # nothing that was not compared is said to be the best
    assert list(result.table("choice")["setting"]) == ["n_topics"]
    assert result.table("trials").empty
    assert len(result.metrics) == 1


def test_choice_at_the_bound_is_said(data):
    result = get_stage("tuning_rna").run(data, TuningRnaParams(mode="quick", max_topics=2, n_seeds=0), Context())
    assert "tuning.at_bound" in codes(result.alerts)


def test_bounds_must_be_in_order():
    with pytest.raises(ParameterError, match="max_topics = 3"):
        TuningRnaParams.parse("tuning_rna", {"min_topics": 4, "max_topics": 3})


@pytest.mark.parametrize("name", MODALITIES)
def test_a_given_number_skips_the_tuning_of_its_modality(name):
    parameters = {other: get_stage(other).Params() for other in stage_names()}
    assert get_stage(name).skip_reason(parameters) == ""
    other = name.replace("tuning", "topics")
    parameters[other] = get_stage(other).Params(n_topics=9)
    reason = get_stage(name).skip_reason(parameters)
    assert f"{other}.n_topics = 9" in reason
    twin = next(item for item in MODALITIES if item != name)
    assert get_stage(twin).skip_reason(parameters) == ""


def test_topics_take_the_choice_but_not_over_the_users_settings(results, data):
    tuned = data.copy()
    apply_slots(tuned, results["tuning_rna"].slots)
    stage = get_stage("topics_rna")
    value = tuned.mod["rna"].uns["tuning"]
    short = {"n_epochs": 2, "learning_rate_min": 1e-3, "learning_rate_max": 5e-3}
    result = stage.run(tuned, stage.Params(**short), Context())
    chosen = json.loads(value["settings"])
    assert result.used["n_topics"] == value["n_topics"]
    assert result.used["initial_pseudocounts"] == chosen["initial_pseudocounts"]
    model = next(item for slot, item in result.slots.items() if slot.key == "topic_model")
    assert json.loads(model["settings"])["initial_pseudocounts"] == chosen["initial_pseudocounts"]
    assert json.loads(model["settings"])["holdout_fraction"] == 0
    assert json.loads(model["settings"])["shrinkage_power"] == chosen["shrinkage_power"]
    assert "held out of a short fit of the tuning" in result.methods
    table = result.table("topics")
    assert table["stability"].between(0.5, 1).all()
    baselines = result.table("baselines").set_index("method")
    assert list(baselines.index) == ["model", "profile", "nmf", "svd"]
    assert baselines.loc["profile", "model_gain"] > 0
    assert (baselines["n_cells"] < data.n_obs / 4).all()
    own = stage.run(tuned, stage.Params(**short, initial_pseudocounts=20.0), Context())
    assert "initial_pseudocounts" not in own.used
    fixed = stage.run(tuned, stage.Params(**short, n_topics=4), Context())
    assert fixed.used["n_topics"] == 4
    assert "stability" not in fixed.table("topics")
    assert not np.isnan(fixed.metric("Log-likelihood per count"))


@pytest.mark.slow
def test_paper_mode_leaves_the_same_kinds_of_results(data, tmp_path):
    params = TuningRnaParams(mode="paper", n_trials=9, n_folds=2, n_seeds=1, max_topics=5)
    small = data[:90].copy()
    result = get_stage("tuning_rna").run(small, params, Context(seed=2, work_dir=tmp_path / "work"))
    assert (tmp_path / "work" / "journal.log").exists()
    names = {figure.name for figure in result.figures}
    assert {"curve", "history", "parallel", "stability"} <= names
    for figure in result.figures:
        figure.chart.to_dict()
    assert set(result.table("trials")["state"]) <= {"complete", "pruned", "compared"}
    assert {"akiba2019optuna", "jamieson2016halving"} <= cited(result.methods)
    (value,) = result.slots.values()
    assert {"dropout", "batch_size", "n_epochs", "adam_epsilon"} <= set(json.loads(value["settings"]))
    assert json.loads(value["baselines"])["method"] == ["model", "profile", "nmf", "svd"]

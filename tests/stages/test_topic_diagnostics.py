"""Diagnostics of the topic stages: technical columns and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mira_nb.stages.base import Context
from mira_nb.stages.registry import get_stage
from mira_nb.stages.topics.compute import Tuned, compute
from mira_nb.stages.topics.diagnostics import diagnose, technical_columns, technical_correlation
from mira_nb.stages.topics.figures import figures
from mira_nb.stages.topics.report import alerts, metrics, tables
from tests.stages.multiome import planted_multiome


def test_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    topics = pd.DataFrame(rng.dirichlet(np.ones(3), 50), columns=["e1", "e2", "e3"])
    columns = pd.DataFrame({"n_counts": rng.integers(1, 9, 50), "mito": rng.random(50)})
    columns.loc[3, "mito"] = np.nan
    table = technical_correlation(topics, columns).set_index(["topic", "column"])["spearman"]
    assert table["e2", "n_counts"] == pytest.approx(stats.spearmanr(topics["e2"], columns["n_counts"])[0])
    known = columns["mito"].notna()
    expected = stats.spearmanr(topics["e3"][known], columns["mito"][known])[0]
    assert table["e3", "mito"] == pytest.approx(expected, abs=0.02)


@pytest.fixture(scope="module")
def fitted():
    data = planted_multiome()
    stage = get_stage("topics_rna")
    params = stage.Params(n_topics=3, n_epochs=3, learning_rate_min=1e-3, learning_rate_max=5e-3)
    return data, compute(data, params, Context(), "rna")


def test_a_topic_that_follows_a_column_is_named(fitted):
    data, output = fitted
    data.mod["rna"].obs["quality"] = output.topics["e2"].to_numpy()
    data.mod["rna"].obs["constant"] = 1.0
    assert "constant" not in technical_columns(data, "rna")
    found = diagnose(output, data, Context())
    (alert,) = [item for item in alerts(output, found) if item.code == "topics.technical_topics"]
    assert "e2 with quality (1.00)" in alert.title


def test_numbers_of_key_figures_and_tables_are_not_repeated_in_captions(fitted):
    data, output = fitted
    found = diagnose(output, data, Context())
    drawn = {figure.name: figure.caption for figure in figures(output, found)}
    effective = next(item for item in metrics(output, found) if item.name == "Effective topics per cell")
    assert f"{effective.value:.2f}" not in drawn["effective_topics"]
    checks = found.checks("gene").set_index("check")
    assert f"{checks.loc['fraction of zeros per gene', 'observed']:.3f}" not in drawn["predictive"]


def test_a_better_baseline_is_said(fitted):
    data, output = fitted
    found = diagnose(output, data, Context())
    assert len(found.baselines) == 4
    scores = found.baselines.assign(model_gain=[0, 0.5, -0.3, 0.5], standard_error=0.1)
    codes = {item.code: item for item in alerts(output, replace(found, baselines=scores))}
    assert "an NMF" in codes["topics.baseline_better"].title
    assert "SVD" not in codes["topics.baseline_better"].title
    worse = replace(found, baselines=scores.assign(model_gain=0.5))
    assert "topics.baseline_better" not in {item.code for item in alerts(output, worse)}


def test_a_tuned_model_shows_the_baselines_of_its_tuning(fitted):
    data, output = fitted
    known = pd.DataFrame(
        {"method": ["model", "nmf"], "log_likelihood": [-6.0, -6.1], "model_gain": [0.0, -0.1], "standard_error": 0.01}
    )
    all_cells = replace(output.fit, held_out=np.zeros(len(output.fit.topics), bool))
    tuned = replace(output, fit=all_cells, tuned=Tuned("quick", baselines=known))
    found = diagnose(tuned, data, Context())
    pd.testing.assert_frame_equal(found.baselines, known)
    (table,) = [item for item in tables(tuned, found) if item.name == "baselines"]
    assert "trained on all cells" in table.caption
    (alert,) = [item for item in alerts(tuned, found) if item.code == "topics.baseline_better"]
    assert "fit of the tuning" in alert.cause
    untuned = diagnose(replace(tuned, tuned=Tuned()), data, Context()).baselines
    assert untuned.empty
    assert list(untuned.columns) == [
        "method",
        "log_likelihood",
        "model_gain",
        "standard_error",
        "n_cells",
        "n_training_cells",
    ]

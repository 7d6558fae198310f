"""Learning curves in the stages: tables, figures and sentences of tuning and regulation, and where there are none."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mira_nb.core.regulation import learning_curve as halves_of
from mira_nb.core.regulation.learning_curve import FEWEST_CELLS, Calls, comparisons
from mira_nb.core.regulation.scores import NullDraw
from mira_nb.core.tuning.learning_curve import SHORTFALL
from mira_nb.core.tuning.result import LearningCurve, trial_table
from mira_nb.stages.base import Context
from mira_nb.stages.regulation import half_cells
from mira_nb.stages.regulation.fitting import fit_with_null
from mira_nb.stages.regulation.half_cells import HalfCells, calls_of_halves
from mira_nb.stages.regulation.half_report import half_alerts, half_figures, half_metrics, half_tables
from mira_nb.stages.regulation.params import RegulationParams
from mira_nb.stages.tuning.compute import TuningOutput
from mira_nb.stages.tuning.figures import figures
from mira_nb.stages.tuning.params import TuningRnaParams
from mira_nb.stages.tuning.report import alerts, metrics, tables
from mira_nb.stages.tuning.rna import TuningRnaStage
from tests.core.regulation_data import small_problem
from tests.stages.multiome import planted_multiome
from tests.stages.wording import coded, codes, numbers


def curve(correlations: list[float]) -> LearningCurve:
    """A curve of two topics and one refit per size."""
    sizes = [0.25, 0.5, 0.8, 1.0]
    rows = [
        {"fraction": size, "n_cells": round(1000 * size), "repeat": 1, "topic": topic, "correlation": value}
        for size, value in zip(sizes, correlations, strict=True)
        for topic in (1, 2)
    ]
    summary = pd.DataFrame(
        {
            "fraction": sizes, "n_cells": [250, 500, 800, 1000], "n_refits": 1, "correlation": correlations,
            "correlation_low": correlations, "correlation_high": correlations,
            "log_likelihood": [-6.0, -5.9, -5.88, np.nan], "gain": [np.nan, 0.1, 0.02, np.nan],
            "gain_se": [np.nan, 0.003, 0.002, np.nan],
        }
    )  # fmt: skip
    return LearningCurve(pd.DataFrame(rows), summary, 200)


def tuned(found: LearningCurve | None, *, stability: object = None, n_cells: int = 300) -> TuningOutput:
    """As much of a tuning as the reports read."""
    table = pd.DataFrame({"stability": [0.9], "n_seeds": [3], "flag": [""], "topic": [1], "found_in": [3]})
    tuning = SimpleNamespace(
        mode="quick", n_topics=5, size_rule=5, runner_up=None, trials=trial_table([]),
        curve=pd.DataFrame(), fitted=pd.DataFrame(), settings={}, importances={}, best_n_topics=5, n_features=10,
        one_standard_error=5, cells=np.arange(n_cells), learning_curve=found,
        stability=SimpleNamespace(table=table, matched=np.zeros((0, 1)), flagged=lambda flag: []),
    )  # fmt: skip
    params = TuningRnaParams(learning_curve=True)
    return TuningOutput("rna", tuning, params, n_cells, 10)  # type: ignore[arg-type]


@pytest.mark.parametrize(("correlations", "alerted"), [([0.6, 0.8, 0.9, 0.95], True), ([0.9, 0.94, 0.95, 0.96], False)])
def test_sentence_gives_the_correlations_and_the_threshold(correlations: list[float], alerted: bool) -> None:
    output = tuned(curve(correlations))
    assert numbers(output.more_cells)[:5] == [250, correlations[0], 500, correlations[1], correlations[3]]
    assert SHORTFALL in numbers(output.more_cells)
    assert ("tuning.more_cells" in codes(alerts(output))) == alerted
    (metric,) = [item for item in metrics(output) if item.help == output.more_cells]
    assert metric.value == correlations[1]
    assert metric.key
    assert {"learning_curve", "learning_curve_summary"} <= {table.name for table in tables(output)}
    (figure,) = [item for item in figures(output) if item.name == "learning_curve"]
    assert output.more_cells in figure.caption
    figure.chart.to_dict()


def test_topics_lost_with_half_of_the_cells_are_named() -> None:
    found = curve([0.6, 0.85, 0.9, 0.95])
    found.table.loc[(found.table["fraction"] == 0.5) & (found.table["topic"] == 2), "correlation"] = 0.7
    assert found.lost(0.8) == [2]
    assert found.lost(0.8, 0.25) == [1, 2]
    assert found.lost(0.99) == []
    assert tuned(found).more_cells != tuned(curve([0.6, 0.85, 0.9, 0.95])).more_cells


def test_sentence_tells_a_random_start_that_decides_more_than_the_cells() -> None:
    assert tuned(curve([0.6, 0.7, 0.7, 0.7])).more_cells != tuned(curve([0.6, 0.9, 0.9, 0.9])).more_cells


def test_too_few_cells_are_said_with_the_number_from_which_there_is_a_curve() -> None:
    result = TuningRnaStage().run(
        planted_multiome(), TuningRnaParams(n_trials=4, n_seeds=1, learning_curve=True), Context(seed=1)
    )
    alert = coded(result.alerts, "tuning.no_learning_curve")
    assert numbers(alert.title) == [210]
    assert numbers(alert.cause)[0] == 400
    assert "learning_curve" not in {table.name for table in result.tables}


def test_without_the_parameter_one_line_tells_how_to_switch_it_on() -> None:
    result = TuningRnaStage().run(planted_multiome(), TuningRnaParams(n_trials=4, n_seeds=1), Context(seed=1))
    assert not {"tuning.no_learning_curve", "tuning.more_cells"} & set(codes(result.alerts))
    (figure,) = [item for item in result.figures if item.name == "stability"]
    assert "tuning_rna.learning_curve=true" in figure.caption


@pytest.fixture(scope="module")
def planted() -> tuple[HalfCells, HalfCells]:
    """Calls of halves of planted genes (odd numbers are NITE), on one thread and on two."""
    cells, sets, _, _ = small_problem(n_cells=600, n_genes=24, n_peaks=120)
    n_open = np.full(600, 4000)
    params = RegulationParams(learning_curve=True)

    def nothing(fraction: float, message: str) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(half_cells, "N_NULL", 40)
        simulation = NullDraw(np.random.default_rng(0), 60, n_open)
        whole = fit_with_null(cells, sets, simulation, params, posterior=False, n_threads=2, progress=nothing)
        one, two = (
            calls_of_halves(whole, cells, sets, n_open, params, seed=1, n_threads=n, progress=nothing) for n in (1, 2)
        )
    assert one is not None
    assert two is not None
    return one, two


def test_planted_genes_are_called_again_with_half_of_the_cells(planted: tuple[HalfCells, HalfCells]) -> None:
    found = planted[0]
    assert found.table[["first", "second"]].to_numpy().tolist() == [
        ["half 1", "all cells"], ["half 2", "all cells"], ["half 1", "half 2"],
    ]  # fmt: skip
    assert (found.table["n_cells_first"] == 300).all()
    assert found.mean("spearman") > 0.7
    assert (found.table["jaccard"] > found.table["jaccard_chance"] + 0.2).all()
    nite = found.genes % 2 == 1
    for half in found.halves:
        assert half.called[nite].mean() > half.called[~nite].mean() + 0.5
    frame = found.gene_table([f"g{i}" for i in range(24)])
    assert len(frame) == len(found.genes)
    assert frame["nite_score"].is_monotonic_decreasing


def test_calls_of_halves_do_not_depend_on_threads(planted: tuple[HalfCells, HalfCells]) -> None:
    assert planted[0].table.equals(planted[1].table)


def calls(name: str, called: np.ndarray) -> Calls:
    return Calls(name, 500, np.arange(20.0), called)


def halved(all_called: int, half_called: int, *, other: bool = False) -> HalfCells:
    """Twenty genes, the last of which are called; `other`: with half the first ones."""
    whole = calls("all cells", np.arange(20) >= 20 - all_called)
    part = np.arange(20) < half_called if other else np.arange(20) >= 20 - half_called
    both = (calls("half 1", part), calls("half 2", part))
    return HalfCells(np.arange(20), whole, both, comparisons(whole, both))


def test_sentences_of_the_calls_differ_and_give_the_numbers() -> None:
    ends = [halved(10, 10), halved(10, 5), halved(8, 8, other=True), halved(0, 0)]
    assert len({found.sentence.split("Rank correlation")[1] for found in ends}) == 4
    assert numbers(ends[1].sentence)[:5] == [20, 10, 500, 5, 0.5]
    assert not any("nan" in found.sentence for found in ends)


def test_calls_are_shown() -> None:
    found = SimpleNamespace(
        halves=halved(10, 5), params=RegulationParams(learning_curve=True), genes=[f"g{i}" for i in range(20)]
    )
    assert [table.name for table in half_tables(found)] == ["learning_curve", "learning_curve_genes"]  # type: ignore[arg-type]
    (figure,) = half_figures(found)  # type: ignore[arg-type]
    figure.chart.to_dict()
    (metric,) = half_metrics(found)  # type: ignore[arg-type]
    assert metric.value == 0.5
    assert half_alerts(found) == []  # type: ignore[arg-type]


def test_too_few_cells_or_genes_have_no_halves() -> None:
    assert not half_cells.enough_for_halves(FEWEST_CELLS - 1, 100)
    assert not half_cells.enough_for_halves(FEWEST_CELLS, halves_of.FEWEST_GENES - 1)
    assert half_cells.enough_for_halves(FEWEST_CELLS, halves_of.FEWEST_GENES)
    found = SimpleNamespace(
        halves=None, params=RegulationParams(learning_curve=True), cells=SimpleNamespace(n_cells=240), ok=np.ones(11)
    )
    (alert,) = half_alerts(found)  # type: ignore[arg-type]
    assert alert.code == "regulation.no_learning_curve"
    assert numbers(alert.cause) == [FEWEST_CELLS, halves_of.FEWEST_GENES, 240, 11]
    off = SimpleNamespace(halves=None, params=RegulationParams())
    assert half_alerts(off) == half_tables(off) == half_figures(off) == half_metrics(off) == []  # type: ignore[arg-type]

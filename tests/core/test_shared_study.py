"""One search by several processes, and one that is killed at any moment: the tables of an undisturbed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mira_nb.core.tuning.shared import Claims, JournalLock, work_through
from mira_nb.core.tuning.study import BATCH, TuningStudy

sys.path.insert(0, str(Path(__file__).parent))
import one_search

from mira_nb.core.tuning.result import Processors, SearchPlan

SCRIPT = Path(one_search.__file__)


def start(folder: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), str(out)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def finish(process: subprocess.Popen[str], out: Path) -> dict[str, Any]:
    assert process.wait(timeout=300) == 0
    if process.stdout is not None:
        process.stdout.close()
    found: dict[str, Any] = json.loads(out.read_text())
    return found


@pytest.fixture(scope="module")
def undisturbed() -> Any:
    return one_search.search(one_search.small())


# ---------------------------------------------------------------- whole searches
@pytest.mark.slow
def test_two_processes_share_one_search(undisturbed: Any, tmp_path: Path) -> None:
    outs = [tmp_path / "a.json", tmp_path / "b.json"]
    found = [finish(process, out) for process, out in [(start(tmp_path / "study", out), out) for out in outs]]
    table = undisturbed.trials.to_csv(index=False)
    assert [item["trials"] for item in found] == [table, table]
    first, second = (set(item["computed"]) for item in found)
    assert not first & second, "nothing is computed twice"
    assert first | second == {f"trial {n}" for n in range(6)} | {
        "finalist " + reason.split()[1]
        for reason in undisturbed.trials.loc[undisturbed.trials["state"] == "compared", "reason"]
    }
    assert first
    assert second


@pytest.mark.slow
def test_a_killed_search_goes_on_to_the_same_tables(undisturbed: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(int(os.environ.get("MIRA_NB_KILL_SEED", "0")))
    killed = 0
    for _ in range(3):
        process = start(tmp_path / "study", tmp_path / "out.json")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.1, 3.0))
        if process.poll() is None:  # else it ended before
            killed += 1
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert killed
    found = finish(start(tmp_path / "study", tmp_path / "out.json"), tmp_path / "out.json")
    assert found["trials"] == undisturbed.trials.to_csv(index=False)
    assert found["n_topics"] == undisturbed.n_topics


@pytest.mark.slow
def test_processes_and_a_dask_cluster_give_the_same_tables(undisturbed: Any) -> None:
    from mira_nb.run.compute import get_compute

    distributed = pytest.importorskip("distributed")
    stable = one_search.search(one_search.small(), n_seeds=2)
    pd.testing.assert_frame_equal(stable.trials, undisturbed.trials)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        for setting in ("processes:2", cluster.scheduler_address):
            with get_compute(setting) as compute:
                found = one_search.search(
                    one_search.small(), n_seeds=2, processors=Processors(2, compute.map, compute.n_workers)
                )
            pd.testing.assert_frame_equal(found.trials, undisturbed.trials, check_exact=True)
            pd.testing.assert_frame_equal(found.stability.table, stable.stability.table, check_exact=True)
            np.testing.assert_array_equal(found.stability.low, stable.stability.low)


@pytest.mark.slow
@pytest.mark.parametrize("n_trials", [None, 5])
def test_the_mode_quick_does_not_depend_on_processes(n_trials: int | None) -> None:
    """More workers try numbers of topics that one would not have reached; they leave no trace."""
    from mira_nb.core.tuning.tune import tune
    from mira_nb.run.compute import get_compute

    counts = one_search.planted(3, n_cells=200, n_features=100)[0]
    alone = tune(counts, modality="expression", plan=SearchPlan(n_trials=n_trials, n_seeds=2))
    with get_compute("processes:2") as compute:
        found = tune(
            counts,
            modality="expression",
            plan=SearchPlan(n_trials=n_trials, n_seeds=2),
            processors=Processors(run_all=compute.map, n_workers=2, n_threads=1),
        )
    pd.testing.assert_frame_equal(found.trials, alone.trials, check_exact=True)
    assert found.n_topics == alone.n_topics
    assert found.n_steps == alone.n_steps
    assert alone.stability is not None
    assert found.stability is not None
    pd.testing.assert_frame_equal(found.stability.table, alone.stability.table, check_exact=True)


# ---------------------------------------------------------------- parts
def study(folder: Path) -> TuningStudy:
    return TuningStudy("s", folder, (2, 9), 400, 3)


def test_both_processes_see_the_same_batch(tmp_path: Path) -> None:
    first, second = study(tmp_path), study(tmp_path)
    batch = first.batch(0, BATCH)
    assert [trial.params for trial in second.batch(0, BATCH)] == [trial.params for trial in batch]
    assert len(second.trials()) == BATCH
    assert set(batch[0].params) == set(first.space)


def test_a_second_result_of_a_trial_changes_nothing(tmp_path: Path) -> None:
    first, second = study(tmp_path), study(tmp_path)
    stale = second.batch(0, BATCH)[1]
    first.finish(first.batch(0, BATCH)[1], (1.0, 2.0), 1.5, pruned=False, n_steps=7)
    second.finish(stale, (3.0, 4.0), 3.5, pruned=True, n_steps=9)
    for item in (first, second):
        trial = item.trials()[1]
        assert trial.value == 1.5
        assert trial.user_attrs == {"fold_losses": [1.0, 2.0], "pruned": False, "n_steps": 7}


def test_suggestions_read_finished_batches_only(tmp_path: Path) -> None:
    """The third batch is the same whether trials of it have finished when the last one is suggested or not."""
    found = []
    for place, early in enumerate((True, False)):
        item = study(tmp_path / str(place))
        for number in range(2):
            for trial in item.batch(number, BATCH):
                loss = abs(trial.params["n_topics"] - 5) + trial.params["dropout"]
                item.finish(trial, (loss,), loss, pruned=False, n_steps=1)
        if early:
            for trial in item.batch(2, BATCH - 1):
                item.finish(trial, (0.1,), 0.1, pruned=False, n_steps=1)
        found.append([trial.params for trial in item.batch(2, BATCH)])
    assert found[0] == found[1]


@pytest.mark.parametrize("cut", [1, 15, -1, -20])
def test_a_journal_cut_anywhere_goes_on(cut: int, tmp_path: Path) -> None:
    """A kill in the middle of a write leaves a part of a line; whole trials before it stay."""
    item = study(tmp_path)
    batch = item.batch(0, BATCH)
    item.finish(batch[0], (1.0,), 1.0, pruned=False, n_steps=1)
    journal = tmp_path / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:cut])
    again = study(tmp_path)
    assert [trial.params for trial in again.batch(0, BATCH)] == [trial.params for trial in batch]
    assert again.trials()[0].value is None
    again.finish(again.trials()[0], (1.0,), 1.0, pruned=False, n_steps=1)
    assert study(tmp_path).trials()[0].value == 1.0
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_the_lock_leaves_a_whole_journal_alone(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    journal.write_bytes(b'{"a":1}\n{"b":2}\n')
    lock = JournalLock(journal)
    lock.acquire()
    lock.release()
    assert journal.read_bytes() == b'{"a":1}\n{"b":2}\n'


def test_work_that_another_process_has_is_waited_for(tmp_path: Path) -> None:
    other, mine = Claims(tmp_path), Claims(tmp_path)
    assert other.take("b")
    results: dict[str, int] = {}

    def waiting() -> None:
        results["b"] = -1
        other.release("b")

    work_through(
        {"a": 1, "b": 2, "c": 3}, lambda item: 10 * item, claims=mine, run_all=map, is_done=results.__contains__,
        store=results.__setitem__, waiting=waiting,
    )  # fmt: skip
    assert results == {"a": 10, "b": -1, "c": 30}


def test_work_of_a_process_that_ended_is_taken_over(tmp_path: Path) -> None:
    other, mine = Claims(tmp_path), Claims(tmp_path)
    assert other.take("b")
    results: dict[str, int] = {}
    work_through(
        {"a": 1, "b": 2}, lambda item: 10 * item, claims=mine, run_all=map, is_done=results.__contains__,
        store=results.__setitem__, waiting=other.release_all,
    )  # fmt: skip
    assert results == {"a": 10, "b": 20}

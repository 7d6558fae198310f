"""Independent work: the same answers, in order, wherever it runs; what a killed worker costs."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mira_nb.errors import ParameterError, StageError
from mira_nb.run.compute import (
    DaskCompute,
    LocalCompute,
    available_cores,
    check_setting,
    compute_for_kernels,
    get_compute,
)
from mira_nb.run.jobqueue import job_cluster, read_queue
from mira_nb.stages.base import InProcess

sys.path.insert(0, str(Path(__file__).parent))
import computed

from tests.messages import refused


@pytest.fixture(scope="module")
def two() -> Iterator[LocalCompute]:
    compute = LocalCompute(2)
    yield compute
    compute.close()


def test_results_come_in_order_wherever_they_are_computed(two: LocalCompute) -> None:
    items = list(range(7))
    expected = [math.factorial(item) for item in items]
    for compute in (InProcess(), LocalCompute(1), two):
        assert list(compute.map(math.factorial, items)) == expected
        assert list(compute.map(math.factorial, iter(items))) == expected
        assert list(compute.map(math.factorial, [])) == []


def test_a_slow_task_holds_no_other_worker_up(two: LocalCompute) -> None:
    found = list(two.map(computed.slow_first, range(6)))
    assert [item for item, _ in found] == list(range(6))
    processes = [pid for _, pid in found]
    assert processes[0] not in processes[1:]
    assert len(set(processes)) == 2


def test_an_item_is_taken_when_a_worker_is_free(two: LocalCompute, tmp_path: Path) -> None:
    ended: list[int] = []

    def items() -> Iterator[int]:
        for item in range(6):
            ended.append(len(list(tmp_path.iterdir())))
            yield item

    assert list(two.map(partial(computed.leave_mark, str(tmp_path)), items())) == list(range(6))
    assert all(before >= number - 1 for number, before in enumerate(ended)), "at most two are computed at a time"


def test_an_error_in_a_worker_reaches_the_caller(two: LocalCompute) -> None:
    with pytest.raises(ValueError, match="negative"):
        list(two.map(math.factorial, [1, -1, 2]))
    with pytest.raises(StageError, match="Unsendable: two arguments"):
        list(two.map(computed.raise_unsendable, [1, 1]))
    assert list(two.map(math.factorial, [3, 4])) == [6, 24], "the workers go on"


def test_an_error_of_the_user_keeps_its_parts(two: LocalCompute) -> None:
    with pytest.raises(ParameterError) as caught:
        list(two.map(check_setting, ["nonsense", "2"]))
    assert (caught.value.code, caught.value.values) == ("run.compute_not_understood", {"setting": "nonsense"})
    assert caught.value.expected


def test_a_killed_worker_costs_its_task_only(tmp_path: Path) -> None:
    compute = LocalCompute(2)
    assert list(compute.map(partial(computed.die_once, str(tmp_path)), range(8))) == [2 * i for i in range(8)]
    calls = {i: (tmp_path / f"calls-{i}").read_text().split() for i in range(8)}
    assert {i: len(pids) for i, pids in calls.items()} == {i: 2 if i == 2 else 1 for i in range(8)}
    assert len({pid for pids in calls.values() for pid in pids}) == 3, "one worker was replaced"
    compute.close()


def test_a_task_that_kills_its_workers_fails_after_three() -> None:
    with refused("run.workers_ended", StageError, task=1, attempts=3):
        list(LocalCompute(2).map(computed.die_of_one, [1, 2]))


def test_a_map_that_is_left_ends_its_workers(tmp_path: Path) -> None:
    """An exception in the caller's loop, as when a run is cancelled, leaves no worker computing."""
    psutil = pytest.importorskip("psutil")
    compute = LocalCompute(2)
    for first in compute.map(partial(computed.sleep_unless_zero, str(tmp_path)), [0, 1, 2]):
        assert first == 0
        break
    pids = [int(path.name) for path in tmp_path.iterdir()]
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert list(compute.map(math.factorial, [3, 4])) == [6, 24]
    compute.close()


def test_workers_have_one_thread_each(two: LocalCompute, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    for compute in (two, LocalCompute(2)):
        assert list(compute.map(computed.threads, [0, 1])) == [{"pools": 1, "torch": 1, "OMP_NUM_THREADS": "1"}] * 2
        compute.close()


def test_the_function_is_sent_to_a_worker_once(two: LocalCompute) -> None:
    function = computed.LoadedOnce()
    found = [*two.map(function, range(6)), *two.map(function, range(6))]
    assert {loaded for _, loaded in found} == {1}


def test_where_to_compute_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIRA_NB_COMPUTE", raising=False)
    for setting, workers in ((None, available_cores()), ("3", 3), ("processes:1", 1)):
        with get_compute(setting) as compute:
            assert compute.n_workers == workers
    with compute_for_kernels("processes:5"):
        assert os.environ["MIRA_NB_COMPUTE"] == "processes:5"
        with get_compute() as compute:
            assert compute.n_workers == 5
    assert "MIRA_NB_COMPUTE" not in os.environ
    for wrong in ("", "0", "-1", "processes:", "processes:x", "somewhere", "http://a", str(tmp_path / "no.yaml")):
        code = "compute_file_missing" if wrong.endswith("no.yaml") else "compute_not_understood"
        with refused(f"run.{code}", ParameterError):
            check_setting(wrong)


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("mira_nb.run.compute.CONNECT_SECONDS", 1)
    with (
        refused("run.dask_no_answer", ParameterError, address="tcp://127.0.0.1:9"),
        compute_for_kernels("tcp://127.0.0.1:9"),
    ):
        pass


SLURM = "jobs: 3\njobqueue:\n  slurm: {cores: 4, memory: 8GB, queue: short}\n"


def test_a_file_for_a_queue_is_read(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(SLURM)
    assert read_queue(file) == ("slurm", {"processes": 4, "cores": 4, "memory": "8GB", "queue": "short"}, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jobqueue: [", "unreadable"),
        ("- slurm", "systems"),
        ("jobqueue: {}", "systems"),
        ("jobqueue: {cloud: {cores: 1, memory: 1GB}}", "unknown"),
        ("jobqueue: {slurm: {cores: 1}}", "incomplete"),
        ("jobs: 0\njobqueue: {slurm: {cores: 1, memory: 1GB}}", "jobs"),
    ],
)
def test_a_file_of_another_form_is_refused(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    with refused(f"run.jobqueue_{said}", ParameterError, file=str(file)):
        read_queue(file)


def test_a_missing_dask_jobqueue_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(SLURM)
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with refused("run.jobqueue_missing", ParameterError), job_cluster(file):
        pass


# the stand-in leaves the handles of its ended processes to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_jobs_of_a_queue_compute(tmp_path: Path) -> None:
    """dask-jobqueue's own stand-in for a queue runs each job as a process."""
    pytest.importorskip("dask_jobqueue")
    file = tmp_path / "cluster.yaml"
    file.write_text(f"jobs: 2\njobqueue:\n  local: {{cores: 1, memory: 1GB, log_directory: {tmp_path}}}\n")
    with get_compute(str(file)) as compute:
        assert list(compute.map(math.factorial, [3, 1, 2])) == [6, 1, 2]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same(address: str, tmp_path: Path) -> None:
    with compute_for_kernels(address), get_compute() as compute:
        assert isinstance(compute, DaskCompute)
        assert compute.n_workers == 2
        items = list(range(50))
        assert list(compute.map(math.factorial, iter(items))) == [math.factorial(item) for item in items]
        with pytest.raises(ValueError, match="negative"):
            list(compute.map(math.factorial, [1, -1, 2]))
        found = list(compute.map(computed.threads, [0, 1, 2]))
        assert {(item["pools"], item["torch"]) for item in found} == {(1, 1)}
        assert list(compute.map(partial(computed.die_once, str(tmp_path)), range(8))) == [2 * i for i in range(8)]
        calls = {i: len((tmp_path / f"calls-{i}").read_text().split()) for i in range(8)}
        assert calls == {i: 2 if i == 2 else 1 for i in range(8)}

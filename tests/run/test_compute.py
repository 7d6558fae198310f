"""Independent work: the same answers, in order, wherever it runs."""

from __future__ import annotations

import math

import pytest

from mira_nb.run.compute import DaskCompute, LocalCompute, get_compute
from mira_nb.stages.base import InProcess


def test_results_come_in_order_wherever_they_are_computed() -> None:
    items = list(range(7))
    expected = [math.factorial(item) for item in items]
    for compute in (InProcess(), LocalCompute(1), LocalCompute(2)):
        assert list(compute.map(math.factorial, items)) == expected


def test_an_error_in_a_worker_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="negative"):
        list(LocalCompute(2).map(math.factorial, [1, -1, 2]))


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        monkeypatch.setenv("MIRA_NB_DASK", cluster.scheduler_address)
        compute = get_compute()
        assert isinstance(compute, DaskCompute)
        assert list(compute.map(math.factorial, [3, 1, 2])) == [6, 1, 2]
        compute.client.close()

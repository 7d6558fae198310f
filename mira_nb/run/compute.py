"""Independent pieces of work (genes, sequences, trials) on this machine's processes or on a Dask cluster.

A stage sees only :class:`mira_nb.stages.base.Compute`; which one it gets is decided here, by the run's owner.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from mira_nb.errors import ParameterError
from mira_nb.stages.base import Compute

Item = TypeVar("Item")
Out = TypeVar("Out")

ADDRESS_VARIABLE = "MIRA_NB_DASK"
"""Environment variable with the address of a Dask scheduler."""


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalCompute:
    """Worker processes on this machine.

    Parameters
    ----------
    n_workers
        Processes; 1 computes in this process. Default: the cores that may be used.
    """

    def __init__(self, n_workers: int | None = None) -> None:
        self.n_workers = n_workers or available_cores()

    def map(self, function: Callable[[Item], Out], items: Sequence[Item]) -> Iterator[Out]:
        """Apply `function` to every item; results come in the order of the items."""
        if self.n_workers == 1 or len(items) < 2:
            yield from map(function, items)
            return
        # spawn: a forked child of a process that has started threads (torch, numba) can hang
        with ProcessPoolExecutor(min(self.n_workers, len(items)), mp_context=get_context("spawn")) as pool:
            yield from pool.map(function, items)


class DaskCompute:
    """A Dask cluster: an address, or a client made from a ``dask-jobqueue`` cluster.

    Parameters
    ----------
    address
        Address of the scheduler, e.g. ``tcp://head:8786``.
    """

    def __init__(self, address: str | Any) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise ParameterError(
                "a Dask cluster was asked for, but the package distributed is not installed",
                remedy="pip install 'mira-nb[dask]'",
            ) from None
        self.client = address if isinstance(address, Client) else Client(address)
        self.n_workers = max(1, sum(self.client.nthreads().values()))

    def map(self, function: Callable[[Item], Out], items: Sequence[Item]) -> Iterator[Out]:
        """Apply `function` to every item; results come in the order of the items."""
        futures = self.client.map(function, list(items), pure=False)
        for future in futures:
            yield future.result()


def get_compute(address: str | None = None, *, n_workers: int | None = None) -> Compute:
    """Dask when an address is given here or in ``MIRA_NB_DASK``, else this machine's processes."""
    address = address or os.environ.get(ADDRESS_VARIABLE)
    return DaskCompute(address) if address else LocalCompute(n_workers)

"""Independent pieces of work (trials, refits, blocks of sequences) on this machine's processes or on a Dask cluster.

A stage sees only :class:`mira_nb.stages.base.Compute`; which one it gets is decided here, by the run's owner.
"""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mira_nb.errors import ParameterError, StageError

from .messages import refusal
from .workers import Failure, Pool, in_order, one_thread

Item = TypeVar("Item")
Out = TypeVar("Out")

COMPUTE_VARIABLE = "MIRA_NB_COMPUTE"
"""Environment variable by which a run tells its kernels where to compute; holds what ``--compute`` takes."""

SCHEMES = ("tcp://", "tls://", "ws://", "wss://")

CONNECT_SECONDS = 20
"""Time in which a scheduler must answer."""

TASKS_AHEAD = 32
"""Tasks that a cluster is given at the same time at least, so that one that grows with its work does so (chosen)."""


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalCompute:
    """Worker processes on this machine, with one thread each.

    Parameters
    ----------
    n_workers
        Processes; 1 computes in this process. Default: the cores that may be used.
    """

    def __init__(self, n_workers: int | None = None) -> None:
        self.n_workers = n_workers or available_cores()
        self._pool = Pool(self.n_workers)

    def map(self, function: Callable[[Item], Out], items: Iterable[Item]) -> Iterator[Out]:
        """Apply `function` to every item; results come in the order of the items.

        Function and items must be picklable; the function is sent to each worker once. A worker that is killed costs
        its task only, which another one computes again.

        Raises
        ------
        StageError
            When three workers died of the same item.
        """
        if self.n_workers == 1 or (isinstance(items, Sized) and len(items) < 2):
            yield from map(function, items)
            return
        yield from in_order(self._pool.finished(function, items))

    def close(self) -> None:
        """End the worker processes."""
        self._pool.close()


class DaskCompute:
    """A Dask cluster.

    Parameters
    ----------
    address
        Address of the scheduler, e.g. ``tcp://head:8786``, or a ``distributed.Client``.

    Raises
    ------
    ParameterError
        When ``distributed`` is not installed or no scheduler answers at the address.
    """

    def __init__(self, address: str | Any) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise refusal(ParameterError, "dask_missing") from None
        self._own = not isinstance(address, Client)
        try:
            client: Any = Client(address, timeout=CONNECT_SECONDS) if self._own else address
        except (OSError, ValueError) as error:
            raise refusal(
                ParameterError, "dask_no_answer", address=address, reason=str(error) or type(error).__name__
            ) from None
        self.client = client
        threads: dict[str, int] = client.nthreads()
        self.n_workers = max(2, sum(threads.values()))

    def map(self, function: Callable[[Item], Out], items: Iterable[Item]) -> Iterator[Out]:
        """Apply `function` to every item; results come in the order of the items.

        The function is sent to the cluster once. Dask computes the tasks of a lost worker again, by default up to three
        times.

        Raises
        ------
        StageError
            When too many workers died of the same item.
        """
        yield from in_order(self._finished(function, items))

    def _finished(
        self, function: Callable[[Item], Out], items: Iterable[Item]
    ) -> Generator[tuple[int, Any], None, None]:
        from distributed import as_completed

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            # as a task, not scattered: Dask makes it anew when the workers that held it are lost
            sent = self.client.submit(_load, pickle.dumps(function), pure=False)
        todo = enumerate(items)
        ahead = max(TASKS_AHEAD, 2 * self.n_workers)
        numbers: dict[Any, int] = {}
        completed = as_completed([])
        try:
            while True:
                for number, item in islice(todo, ahead - len(numbers)):
                    future = self.client.submit(_apply, sent, item, pure=False)
                    numbers[future] = number
                    completed.add(future)
                if not numbers:
                    return
                future = next(completed)
                # fetched at once, so that the loss of the worker that made it costs nothing
                value = _outcome(future)
                if isinstance(value, Failure):
                    todo = enumerate(())
                yield numbers.pop(future), value
        finally:
            self.client.cancel([*numbers, sent])

    def close(self) -> None:
        """Leave the cluster, unless the client was given."""
        if self._own:
            self.client.close()


def _outcome(future: Any) -> Any:
    """Return the result of a finished task, or what it failed of."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        return Failure(refusal(StageError, "dask_workers_ended", reason=str(error)))
    except Exception as error:
        return Failure(error)


class _Sent:
    """A function on the cluster (Dask would take a bare one for part of its graph)."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function


def _load(pickled: bytes) -> _Sent:
    return _Sent(pickle.loads(pickled))


def _apply(sent: _Sent, item: Any) -> Any:
    with one_thread():
        return sent.function(item)


def check_setting(setting: str) -> str:
    """Return where to compute as it was given, if it can be understood.

    Raises
    ------
    ParameterError
        For a text of another form and for a file that does not exist.
    """
    text = setting.strip()
    if text.startswith(SCHEMES) or _processes(text) is not None:
        return text
    if text.endswith((".yaml", ".yml")):
        if not Path(text).is_file():
            raise refusal(ParameterError, "compute_file_missing", file=text)
        return text
    raise refusal(ParameterError, "compute_not_understood", setting=setting)


def _processes(text: str) -> int | None:
    """Return the number of processes that a text names, None when it names something else."""
    number = text.removeprefix("processes:")
    return int(number) if number.isdecimal() and int(number) > 0 else None


@contextmanager
def compute_for_kernels(setting: str | None) -> Iterator[None]:
    """Set for the kernels of a run where to compute; jobs of a queue are asked for here, once for all stages.

    Parameters
    ----------
    setting
        What ``--compute`` takes; None changes nothing.

    Raises
    ------
    ParameterError
        When the setting is not understood, or its cluster does not answer.
    """
    if setting is None:
        yield
        return
    text = check_setting(setting)
    if text.endswith((".yaml", ".yml")):
        from .jobqueue import job_cluster

        with job_cluster(Path(text)) as cluster, _variable(cluster.scheduler_address):
            yield
        return
    if text.startswith(SCHEMES):
        DaskCompute(text).close()  # before anything is computed
    with _variable(text):
        yield


@contextmanager
def _variable(value: str) -> Iterator[None]:
    before = os.environ.get(COMPUTE_VARIABLE)
    os.environ[COMPUTE_VARIABLE] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(COMPUTE_VARIABLE, None)
        else:
            os.environ[COMPUTE_VARIABLE] = before


@contextmanager
def get_compute(setting: str | None = None) -> Iterator[LocalCompute | DaskCompute]:
    """Yield what computes by the setting given here or in ``MIRA_NB_COMPUTE``; by default this machine's processes.

    Raises
    ------
    ParameterError
        When the setting is not understood, or its cluster does not answer.
    """
    text = setting or os.environ.get(COMPUTE_VARIABLE) or str(available_cores())
    text = check_setting(text)
    if text.endswith((".yaml", ".yml")):
        from .jobqueue import job_cluster

        with job_cluster(Path(text)) as cluster, get_compute(cluster.scheduler_address) as compute:
            yield compute
        return
    compute = DaskCompute(text) if text.startswith(SCHEMES) else LocalCompute(_processes(text))
    try:
        yield compute
    finally:
        compute.close()

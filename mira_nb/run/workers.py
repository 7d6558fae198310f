"""Worker processes on this machine, one thread each; a worker that is killed costs no more than the task it had."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

from mira_nb.errors import StageError

from .messages import refusal

MAX_ATTEMPTS = 3
"""Workers that may die of one task before it fails (chosen)."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip
"""Environment variables that libraries read their number of threads from when they are loaded."""


@dataclass(frozen=True)
class Failure:
    """An exception that a task raised, in the place of its result."""

    error: BaseException


def in_order(finished: Generator[tuple[int, Any], None, None]) -> Iterator[Any]:
    """Yield results by number, from 0, whatever the order in which they come; raise the first failure in its place."""
    early: dict[int, Any] = {}
    following = 0
    with closing(finished):  # what is not needed any more is ended, also when a failure is raised
        for number, value in finished:
            early[number] = value
            while following in early:
                result = early.pop(following)
                following += 1
                if isinstance(result, Failure):
                    raise result.error
                yield result


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit the libraries that are loaded to one thread inside the block."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        if torch:
            torch.set_num_threads(before)


class Pool:
    """Worker processes that are kept from one map to the next.

    Parameters
    ----------
    n_workers
        Largest number of processes; they start when there is work for them.
    """

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._idle: list[_Worker] = []

    def finished(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Generator[tuple[int, Any], None, None]:
        """Yield (number of the item, result or :class:`Failure`) as results come in.

        `function` is sent to each worker once. An item is taken from `items` only when a worker is free to compute it.

        Raises
        ------
        StageError
            When :data:`MAX_ATTEMPTS` workers died of the same item.
        """
        tasks = _Tasks(enumerate(items))
        busy: dict[_Worker, tuple[int, Any]] = {}
        try:
            while True:
                while len(busy) < self.n_workers and (task := tasks.following()) is not None:
                    worker = self._idle.pop() if self._idle else _Worker()
                    busy[worker] = task
                    worker.start(function, task[1])
                if not busy:
                    return
                ready = wait([worker.connection for worker in busy])
                for worker in [worker for worker in busy if worker.connection in ready]:
                    task = busy.pop(worker)
                    answered, value = worker.answer()
                    if not answered:
                        worker.end()
                        tasks.again(*task)
                        continue
                    self._idle.append(worker)
                    if isinstance(value, Failure):
                        tasks.stop()
                    yield task[0], value
        finally:
            for worker in busy:  # nobody waits for what they compute
                worker.end()

    def close(self) -> None:
        """End the workers."""
        while self._idle:
            self._idle.pop().end()


class _Tasks:
    """Items to hand out: those whose worker died first, then those not yet taken."""

    def __init__(self, items: Iterator[tuple[int, Any]]) -> None:
        self._items = items
        self._again: deque[tuple[int, Any]] = deque()
        self._attempts: dict[int, int] = {}

    def following(self) -> tuple[int, Any] | None:
        return self._again.popleft() if self._again else next(self._items, None)

    def again(self, number: int, item: Any) -> None:
        self._attempts[number] = self._attempts.get(number, 1) + 1
        if self._attempts[number] > MAX_ATTEMPTS:
            raise refusal(StageError, "workers_ended", task=number + 1, attempts=MAX_ATTEMPTS)
        self._again.append((number, item))

    def stop(self) -> None:
        """Take no more items."""
        self._items = iter(())


class _Worker:
    """One process that computes a task at a time."""

    def __init__(self) -> None:
        # spawn: a forked child of a process that has started threads (torch, numba) can hang
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True, name="mira-nb worker")
        self.process.start()
        theirs.close()  # so that the end of the process is seen as the end of the file
        self._function: Callable[[Any], Any] | None = None

    def start(self, function: Callable[[Any], Any], item: Any) -> None:
        """Send a task; a dead worker shows itself when its answer is read.

        Raises
        ------
        Exception
            When function or item cannot be pickled.
        """
        with suppress(BrokenPipeError, ConnectionResetError):
            if self._function is not function:
                self.connection.send(("function", pickle.dumps(function)))
                self._function = function
            self.connection.send(("item", pickle.dumps(item)))

    def answer(self) -> tuple[bool, Any]:
        """Return (True, result or :class:`Failure`), or (False, None) when the process has died."""
        try:
            return True, pickle.loads(self.connection.recv_bytes())
        except (EOFError, ConnectionResetError):
            return False, None

    def end(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def _serve(connection: Connection) -> None:
    """Compute tasks until the other end is closed."""
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    function: Any = None
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        while True:
            kind, pickled = connection.recv()
            if kind == "item":
                connection.send_bytes(_attempt(function, pickled))
                continue
            try:
                function = pickle.loads(pickled)
            except Exception as error:  # told with the next task
                function = Failure(error)


def _attempt(function: Any, pickled: bytes) -> bytes:
    """Return the pickled result of a task, or a pickled :class:`Failure`."""
    try:
        if isinstance(function, Failure):
            raise function.error
        item = pickle.loads(pickled)
        with one_thread():
            return pickle.dumps(function(item))
    except Exception as error:
        try:
            failure = pickle.dumps(Failure(error))
            pickle.loads(failure)  # some exceptions can be sent, but not received
            return failure
        except Exception:
            return pickle.dumps(Failure(StageError(f"{type(error).__name__}: {error}")))


def _end_with_parent() -> None:
    """End this process when its parent has ended, even by a kill."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

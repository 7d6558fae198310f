"""A few threads for compiled loops that release the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from types import TracebackType
from typing import Any, Self, TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Made = TypeVar("Made")


class Workers:
    """Deals ranges of blocks or numbered parts of a loop to ``n`` threads."""

    def __init__(self, n: int) -> None:
        self.n = max(1, int(n))
        self._pool = ThreadPoolExecutor(self.n - 1) if self.n > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def ranges(self, n_items: int, kernel: Callable[..., None], *arguments: Any) -> None:
        """Call ``kernel(first, last, *arguments)`` so that 0 .. n_items is covered once."""
        cuts = [n_items * w // self.n for w in range(self.n + 1)]
        self._run([(kernel, first, last, arguments) for first, last in pairwise(cuts)])

    def parts(self, n_parts: int, kernel: Callable[..., None], *arguments: Any) -> None:
        """Call ``kernel(part, n_parts, *arguments)`` for every part."""
        self._run([(kernel, part, n_parts, arguments) for part in range(n_parts)])

    def ahead(self, make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        """Yield ``make(item)`` of every item in order; with threads, the next is made while one is used."""
        if self._pool is None:
            yield from map(make, items)
            return
        waiting: Future[Made] | None = None
        for item in items:
            following = self._pool.submit(make, item)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()

    def _run(self, calls: list[tuple[Callable[..., None], int, int, tuple[Any, ...]]]) -> None:
        if self._pool is None:
            for kernel, a, b, arguments in calls:
                kernel(a, b, *arguments)
            return
        waiting = [self._pool.submit(kernel, a, b, *arguments) for kernel, a, b, arguments in calls[1:]]
        kernel, a, b, arguments = calls[0]
        kernel(a, b, *arguments)
        for future in waiting:
            future.result()


@contextmanager
def library_threads(n: int) -> Iterator[None]:
    """Limit torch and the linear algebra libraries to ``n`` threads inside the block, and restore.

    Many tiny operations run slower on several, and the compiled loops bring their own.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        with threadpool_limits(n, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)

"""What the tests of independent work compute in worker processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def die_once(folder: str, item: int) -> int:
    """Double the item; the process that takes item 2 first is killed, like one whose memory ran out."""
    with (Path(folder) / f"calls-{item}").open("a") as file:
        file.write(f"{os.getpid()}\n")
    mark = Path(folder) / "died"
    if item == 2 and not mark.exists():
        mark.touch()
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
    return 2 * item


def die_of_one(item: int) -> int:
    if item == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def leave_mark(folder: str, item: int) -> int:
    time.sleep(0.02)
    (Path(folder) / str(item)).touch()
    return item


def slow_first(item: int) -> tuple[int, int]:
    time.sleep(1.0 if item == 0 else 0.01)
    return item, os.getpid()


def sleep_unless_zero(folder: str, item: int) -> int:
    if item:
        (Path(folder) / str(os.getpid())).touch()
        time.sleep(600)
    return item


def threads(_: int) -> dict[str, Any]:
    import numpy as np
    import torch
    from threadpoolctl import threadpool_info

    np.ones((50, 50)) @ np.ones((50, 50))
    return {
        "pools": max(pool["num_threads"] for pool in threadpool_info()),
        "torch": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
    }


class Unsendable(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__("two arguments, one kept")


def raise_unsendable(item: int) -> int:
    raise Unsendable(1, 2) if item else ValueError("zero")


class LoadedOnce:
    """A function that counts how often it is unpickled in a process."""

    loaded = 0

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return _load, ()

    def __call__(self, item: int) -> tuple[int, int]:
        time.sleep(0.02)
        return os.getpid(), sys.modules[__name__].LoadedOnce.loaded


def _load() -> LoadedOnce:
    LoadedOnce.loaded += 1
    return LoadedOnce()

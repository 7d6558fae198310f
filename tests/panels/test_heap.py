"""Memory of the dashboard's server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import weakref

import pytest

from mira_nb.panels import heap
from mira_nb.panels.server import KernelSweep


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_refers_to_itself_is_collected():
    """An object that only itself refers to is gone afterwards."""
    gone = weakref.ref(Knot())
    assert gone() is not None
    heap.give_back()
    assert gone() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_memory_goes_back_to_the_system():
    """300 MB of small pieces, every 1,000th kept, lie in a heap that glibc alone does not shrink."""
    code = """
import ctypes, sys
from mira_nb.panels.heap import give_back, share_heap
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
if not share_heap():
    sys.exit(3)
c = ctypes.CDLL("libc.so.6"); c.malloc.restype = ctypes.c_void_p; c.free.argtypes = [ctypes.c_void_p]
pieces = [c.malloc(10_000) for _ in range(30_000)]
for piece in pieces:
    ctypes.memset(piece, 1, 10_000)
for number, piece in enumerate(pieces):
    if number % 1000:
        c.free(piece)
before = resident(); back = give_back(); after = resident()
print(before, after, back)
sys.exit(0 if back and before - after > 200 else 1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("the C library is not glibc")
    assert done.returncode == 0, done.stdout + done.stderr


class Manager:
    """Kernels by id, without any process."""

    def __init__(self) -> None:
        self.kernels = ["a"]
        self._kernel_connections = {"a": 1, "b": 1}
        self._pools: dict = {}

    def list_kernel_ids(self) -> list[str]:
        """Return the ids."""
        return list(self.kernels)


def test_memory_is_given_back_when_pages_come_and_go(monkeypatch):
    """Once after each change of the kernels that are there, and not in between."""
    calls = []
    monkeypatch.setattr("mira_nb.panels.server.give_back", lambda: calls.append(1))
    manager = Manager()
    sweep = KernelSweep(manager)
    for kernels in (["a"], ["a"], ["a", "b"], ["a", "b"], ["b"]):
        manager.kernels = kernels
        asyncio.run(sweep.run())
    assert len(calls) == 3

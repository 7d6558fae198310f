"""Memory of a server that runs for weeks: what pages needed goes back to the system (with glibc, as far as it can).

Every page takes some megabytes in the server: its template, its notebook, its messages. Nothing of them is kept, but
much of it refers to itself and waits for Python's collector, which looks at old objects the more rarely the more there
are, and glibc gives each thread a heap of its own, in which pieces in use hold the freed ones between them.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

ARENA_MAX: Final = -8
"""``M_ARENA_MAX`` of malloc.h."""


def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None


def share_heap() -> bool:
    """Make all threads that start from now on share one heap; returns whether that could be had.

    What is there now stays for good, and is not looked at by later collections.
    """
    gc.collect()
    gc.freeze()
    library = _glibc()
    return library is not None and bool(library.mallopt(ARENA_MAX, 1))


def give_back() -> bool:
    """Collect what refers to itself, and give freed memory back to the system; returns whether there was any."""
    gc.collect()
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))

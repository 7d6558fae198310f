"""Memory: what this process took, what a stage needs, and what the machine or container has free."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from mira_nb.keys import RNA
from mira_nb.stages.base import Memory

from .messages import message


def peak_rss_mb() -> float:
    """Return the largest memory of this process so far, in MB."""
    # getrusage also counts the process this one was forked from; Linux knows better
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2


@dataclass(frozen=True)
class Size:
    """Size of the checked input: cells, genes, and the values stored in both matrices."""

    cells: int
    genes: int
    stored: int


def input_size(path: Path) -> Size:
    """Read the size of the checked input from its head, without the matrices."""
    import h5py

    with h5py.File(path, "r") as file:
        shapes = {name: group["X"].attrs["shape"] for name, group in file["mod"].items()}
        stored = sum(int(group["X"]["data"].shape[0]) for group in file["mod"].values())
    return Size(int(shapes[RNA][0]), int(shapes[RNA][1]), stored)


def needed_mb(cost: Memory, size: Size) -> float:
    """Return the memory that a stage of this cost needs, in MB: a rule of thumb from measured runs.

    See docs/decisions/memory-estimate.md.
    """
    return cost.base_mb + (cost.per_value * size.stored + cost.per_cell_and_gene * size.cells * size.genes) / 1e6


def available_mb(root: Path = Path("/")) -> float | None:
    """Return the memory that is free for a new process, in MB; None where the system does not say.

    The least of what the machine has free and what the limits of the control groups (containers, batch jobs) of this
    process leave. Files that the system caches count as free.

    Parameters
    ----------
    root
        Where ``proc`` and ``sys`` are.
    """
    found = [_machine(root), *_groups(root)]
    known = [value for value in found if value is not None]
    return max(0.0, min(known)) if known else None


def _machine(root: Path) -> float | None:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    return None


def _groups(root: Path) -> list[float]:
    """Return what each control group with a limit leaves, the groups above those of this process included."""
    out = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        inner = base / path.strip("/")
        # inside of a container the path may be that of the host: then the group is the mount itself
        for folder in {inner, *inner.parents, base}:
            left = _left(folder, *names) if folder.is_relative_to(base) else None
            if left is not None:
                out.append(left)
    return out


def _left(folder: Path, limit: str, usage: str, cached: str) -> float | None:
    most, used = "".join(_lines(folder / limit)), "".join(_lines(folder / usage))
    if not (most.isdecimal() and used.isdecimal()):  # "max", or no such file
        return None
    statistics = dict(line.split()[:2] for line in _lines(folder / "memory.stat") if len(line.split()) > 1)
    return (int(most) - int(used) + int(statistics.get(cached, 0))) / 1024**2


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def shortage(stage: str, cost: Memory, size: Size, available: float | None) -> str:
    """Return that a stage probably needs more memory than is free, and what to do, in one line; '' when it does not."""
    needed = needed_mb(cost, size)
    if available is None or needed <= available:
        return ""
    return message(
        "memory_short",
        stage=stage,
        needed=needed / 1000,
        n_cells=size.cells,
        n_stored=size.stored,
        free=available / 1000,
        advice=message("more_memory"),
    )

"""What a reader needs to repeat a run: versions, platform, inputs, command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from mira_nb.version import __version__

PACKAGES: Final = (
    "numpy", "scipy", "pandas", "anndata", "mudata", "scanpy", "torch", "pyro-ppl", "numba", "scikit-learn",
    "umap-learn", "leidenalg", "igraph", "palantir", "MOODS-python", "gseapy", "altair", "vl-convert-python",
    "papermill", "optuna",
)  # fmt: skip


def package_versions() -> dict[str, str]:
    """Versions of this package and of everything that can change a number."""
    out = {"mira-nb": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            out[name] = "not installed"
    return out


def platform_facts() -> dict[str, Any]:
    """Operating system, processor and number of cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"system": platform.platform(), "machine": platform.machine(), "cores": cores}


def command_line() -> str:
    """Return the command as typed, with the program's short name."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    if program in {"__main__.py", "-m", "-c"}:
        program = "mira-nb"
    return shlex.join([program, *sys.argv[1:]])

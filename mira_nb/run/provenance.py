"""What a reader needs to repeat a run: versions, platform, inputs, command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from mira_nb.version import __version__

from .used_packages import used_packages

MODULES: Final = {
    "numpy": "numpy", "scipy": "scipy", "pandas": "pandas", "h5py": "h5py", "anndata": "anndata", "mudata": "mudata",
    "scanpy": "scanpy", "torch": "torch", "pyro-ppl": "pyro", "numba": "numba", "scikit-learn": "sklearn",
    "umap-learn": "umap", "pynndescent": "pynndescent", "igraph": "igraph", "leidenalg": "leidenalg",
    "palantir": "palantir", "MOODS-python": "MOODS", "gseapy": "gseapy", "bioframe": "bioframe",
    "pyfaidx": "pyfaidx", "biopython": "Bio", "altair": "altair", "vl-convert-python": "vl_convert",
    "matplotlib": "matplotlib", "papermill": "papermill", "optuna": "optuna", "distributed": "distributed",
}  # fmt: skip
"""Packages that can change a number or a figure, and the module by which it is seen that one was used."""


def package_versions() -> dict[str, str]:
    """Return the versions of Python, of this package, and of everything in :data:`MODULES` that this process used."""
    out = {"mira-nb": __version__, "python": platform.python_version()}
    used = used_packages(MODULES)
    for name in filter(used.__contains__, MODULES):
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            out[name] = str(getattr(sys.modules[MODULES[name]], "__version__", "unknown"))
    return out


def merged_versions(found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Join the versions seen by several processes; a package seen in more than one version lists them all.

    Parameters
    ----------
    found
        One :func:`package_versions` per process.
    """
    seen: dict[str, list[str]] = {}
    for versions in found:
        for name, version in versions.items():
            known = seen.setdefault(name, [])
            if version not in known:
                known.append(version)
    order = ["mira-nb", "python", *MODULES]
    names = [*filter(seen.__contains__, order), *sorted(set(seen) - set(order))]
    return {name: ", ".join(seen[name]) for name in names}


def platform_facts() -> dict[str, Any]:
    """Return operating system, processor and number of cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"system": platform.platform(), "machine": platform.machine(), "cores": cores}


def command_line() -> str:
    """Return the command as typed, with the program's short name."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    if program in {"__main__.py", "-m", "-c"}:
        program = "mira-nb"
    return shlex.join([program, *sys.argv[1:]])

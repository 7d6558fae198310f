"""Trials per hour of one and of two one-thread workers on the same search.

The published search is cut to a few trials and folds, and neither refits nor starting of processes is counted. A figure
means something on a quiet machine only: the load is printed beside it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from scipy import sparse

from mira_nb.core.topics.settings import Modality
from mira_nb.core.tuning.result import Processors, SearchPlan
from mira_nb.core.tuning.tune import tune
from mira_nb.run.compute import LocalCompute

N_TRIALS, N_FOLDS = 8, 2
"""Trials of the search that is timed, two batches of suggestions, and its folds."""

WORKERS = (1, 2)


def trials_per_hour(counts: sparse.csr_matrix, modality: Modality, n_workers: int, *, n_trials: int) -> dict[str, Any]:
    """Time a search whose trials run on `n_workers` processes of one thread; results do not depend on their number."""
    compute = LocalCompute(n_workers)

    def search(part: sparse.csr_matrix, trials: int) -> Any:
        return tune(
            part,
            modality=modality,
            plan=SearchPlan(mode="paper", n_trials=trials, n_folds=N_FOLDS, n_seeds=0, bounds=(4, 12)),
            processors=Processors(run_all=compute.map, n_workers=n_workers),
        )

    try:
        search(counts[:100], n_workers)  # starts the processes and compiles
        started = time.perf_counter()
        found = search(counts, n_trials)
        seconds = time.perf_counter() - started
    finally:
        compute.close()
    trials = found.trials[found.trials["phase"] == "search"]
    return {"trials_per_hour": 3600 * len(trials) / seconds, "seconds": seconds, "loss": trials["loss"].tolist()}


def measure_workers(folder: Path, *, n_cells: int = 1000, n_trials: int = N_TRIALS) -> dict[str, Any]:
    """Compare one worker with two on the first cells of the expression counts in a folder.

    Returns
    -------
    dict
        ``one`` and ``two``, the ratio of their trials per hour, whether their losses are equal, and the load (runnable
        processes, mean of the last minute) before and after.
    """
    counts = sparse.load_npz(folder / "rna.npz")[:n_cells]
    before = os.getloadavg()[0]
    one, two = (trials_per_hour(counts, "expression", n, n_trials=n_trials) for n in WORKERS)
    return {
        "part": "workers", "cells": counts.shape[0], "trials": n_trials, "folds": N_FOLDS,
        "ratio": two["trials_per_hour"] / one["trials_per_hour"], "equal": one.pop("loss") == two.pop("loss"),
        "one": one, "two": two, "load": [before, os.getloadavg()[0]],
    }  # fmt: skip

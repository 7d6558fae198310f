"""A small search in a process of its own, to be killed or joined by another: ``one_search.py FOLDER OUT.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from mira_nb.core.topics.settings import TopicSettings
from mira_nb.core.tuning.result import SearchPlan
from mira_nb.core.tuning.tune import tune

QUICK_FITS = TopicSettings(
    learning_rate_min=2e-3, learning_rate_max=2e-2, n_hidden=16, warmup_epochs=2, holdout_fraction=0.0
)


def planted(k: int, *, n_cells: int = 300, n_features: int = 400, depth: int = 300, seed: int = 0) -> Any:
    """Counts of k sparse programmes mixed by sparse proportions, and the proportions."""
    rng = np.random.default_rng(seed)
    profiles = rng.dirichlet(np.full(n_features, 0.05), k)
    topics = rng.dirichlet(np.full(k, 0.15), n_cells)
    rates = topics @ profiles * depth
    return sparse.csr_matrix(rng.poisson(rates).astype(np.float32)), topics


def search(counts: Any, folder: Path | None = None, *, n_trials: int = 6, n_seeds: int = 0, **rest: Any) -> Any:
    """A published search of few trials and folds."""
    return tune(
        counts,
        modality="expression",
        plan=SearchPlan(mode="paper", bounds=(2, 6), n_trials=n_trials, n_folds=3, n_seeds=n_seeds),
        settings=QUICK_FITS,
        seed=1,
        folder=folder,
        **rest,
    )


def small() -> Any:
    return planted(3, n_cells=150, n_features=60, depth=150)[0]


if __name__ == "__main__":
    print("searching", flush=True)
    found = search(small(), Path(sys.argv[1]))
    Path(sys.argv[2]).write_text(
        json.dumps(
            {
                "trials": found.trials.to_csv(index=False),
                "computed": [name for name in found.seconds if name != "total"],
                "n_topics": found.n_topics,
            }
        )
    )

"""Quick choice of the number of topics on simulated sets, beside the planted number set by hand.

    python -m tests.benchmarks.number_of_topics FOLDER [FOLDER ...] [--seed 0]

Each FOLDER holds ``rna.h5ad``, ``atac.h5ad`` and ``truth.npz`` (``theta_rna``, ``theta_atac``) of a simulated set. It
prints one JSON line per set and modality: what was chosen; held-out log-likelihood per count of the short fits of the
choice and of the planted number (the best of J = K and K / 2) on one split; topics that the stability check flags;
match and effective topics per cell of the model that is then fitted to all cells.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment

import mira_nb
from mira_nb.core.topics.diagnostics import effective_number
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.settings import Modality, TopicSettings
from mira_nb.core.tuning.factorise import score_topics
from mira_nb.core.tuning.held_out import difference
from mira_nb.core.tuning.quick import SHARP_START, QuickSearch, quick_trials
from mira_nb.keys import ENCODER, MODELLED
from mira_nb.stages.base import no_progress

MODALITIES: dict[str, Modality] = {"rna": "expression", "atac": "accessibility"}
BOUNDS = (2, 40)
"""Numbers of topics that are tried, those of the stages."""

N_SEEDS = 5
"""Refits of the stability check, as in the stages."""


def modelled(part: Any) -> tuple[sparse.csr_matrix, NDArray[np.bool_]]:
    """Return the counts of the modelled features and the mask of those that the encoder reads."""
    masks = [
        np.asarray(part.var[name], bool) if name in part.var else np.ones(part.n_vars, bool)
        for name in (MODELLED, ENCODER)
    ]
    counts = sparse.csr_matrix(part.X[:, np.flatnonzero(masks[0])], dtype=np.float32)
    counts.sort_indices()
    return counts, masks[1][masks[0]]


def matched(planted: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of each planted topic that has a match with it, best one-to-one match."""
    both = np.corrcoef(planted.T, found.T)[: planted.shape[1], planted.shape[1] :]
    rows, columns = linear_sum_assignment(-both)
    return both[rows, columns]


def held_out_at(search: QuickSearch, k: int, encoder: NDArray[np.bool_]) -> Any:
    """Return the best short fit of K = `k` (J = K and K / 2, both starts) on the split of a finished search."""
    if k not in search.starts:
        _, search.starts[k], _ = score_topics(search.factoriser, search.split, k)
    powers = (1.0, SHARP_START) if search.modality == "expression" else (1.0,)
    pairs = [(k, float(k)), (k, k / 2)]
    fits = [fit for power in powers for fit in search._fitted(pairs, encoder, power=power).values()]
    return max(fits, key=lambda fit: fit.per_count)


def measure_set(folder: Path, *, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the row of each modality of one set."""
    truth = np.load(folder / "truth.npz")
    data = mira_nb.read(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad")
    mira_nb.prepare(data, seed=seed)
    for name, modality in MODALITIES.items():
        counts, encoder = modelled(data.mod[name])
        theta = np.asarray(truth[f"theta_{name}"], float)
        settings = TopicSettings.for_modality(modality)
        search = QuickSearch(
            counts, encoder, modality, settings, BOUNDS, quick_trials(*BOUNDS), N_SEEDS, seed, 1, no_progress
        )  # fmt: skip
        _, _, chosen, taken, stability, sample = search.run()
        best = search.fits[chosen, taken["initial_pseudocounts"], taken.get("start_power", 1.0)]
        by_hand = held_out_at(search, theta.shape[1], encoder[sample.features])
        gain, error = difference(by_hand.scores, best.scores, best.n_counts)
        final = replace(settings, n_topics=chosen, holdout_fraction=0.0, **taken)
        fit = fit_topic_model(counts, modality=modality, settings=final, encoder_features=encoder, seed=seed)
        yield {
            "data": folder.name, "modality": modality, "planted": theta.shape[1], "chosen": chosen,
            "pseudocounts": taken["initial_pseudocounts"], "held_out": best.per_count,
            "held_out_planted": by_hand.per_count, "gain_of_planted": gain, "standard_error": error,
            "flags": [] if stability is None else [flag for flag in stability.table["flag"] if flag],
            "matched_r": matched(theta, fit.topics).round(3).tolist(),
            "effective_topics": float(np.median(effective_number(fit.topics))),
            "effective_topics_planted": float(np.median(effective_number(theta))),
        }  # fmt: skip


def main() -> None:
    """Measure the sets of some folders."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.number_of_topics")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the fits")
    options = parser.parse_args()
    for folder in options.folders:
        for row in measure_set(folder, seed=options.seed):
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

"""``python -m tests.benchmarks.tuners FOLDER [FOLDER ...]``: our tuning beside the reference's own tuner.

Each FOLDER holds ``rna.h5ad`` and ``atac.h5ad`` of a set. A fifth of the cells is held out. Ours tunes (mode
``quick``) and fits the rest at its defaults; the reference's tuner then gets the time that this took, and its best
model is taken. Both get the same threads. Topics of held-out cells come from one half of their counts, the score from
the other half. Prints one JSON line per set, modality and seed: held-out log-likelihood per count of both, and of the
reference fitted at our number of topics; differences are ours less theirs, with their paired standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

import mira_nb
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.settings import Modality, TopicSettings
from mira_nb.core.tuning.held_out import Split, difference, make_split
from mira_nb.core.tuning.result import Processors
from mira_nb.core.tuning.short_fit import decoder_scores
from mira_nb.core.tuning.tune import tune
from mira_nb.run.compute import available_cores
from tests.benchmarks.__main__ import measure as run_script
from tests.benchmarks.__main__ import reference_python
from tests.benchmarks.number_of_topics import MODALITIES, modelled


def ours(
    split: Split, encoder: NDArray[np.bool_], modality: Modality, *, seed: int, threads: int
) -> tuple[NDArray[np.float64], int, float]:  # fmt: skip
    """Return scores of the held-out cells after tuning and fit, the number of topics, and seconds."""
    settings = TopicSettings.for_modality(modality)
    started = time.perf_counter()
    tuning = tune(
        split.training, modality=modality, settings=settings, encoder_features=encoder, seed=seed,
        processors=Processors(n_threads=threads),
    )  # fmt: skip
    fit = fit_topic_model(
        split.training, modality=modality, settings=replace(settings, n_topics=tuning.n_topics, **tuning.settings),
        encoder_features=encoder, seed=seed, n_threads=threads,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    topics = fit.encode(split.observed, n_threads=threads)
    return decoder_scores(split.scored, fit.decoder, topics), tuning.n_topics, seconds


def reference(python: Path, work: Path, **options: Any) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return scores of the held-out cells by the reference, and what it says of its fit."""
    said = run_script(python, "reference_tuner.py", work=work, **options)
    if "error" in said:
        raise RuntimeError(f"the reference failed: {said['error']}")
    return np.load(work / "reference.npy"), said


def compare(
    counts: sparse.csr_matrix, encoder: NDArray[np.bool_], modality: Modality, python: Path, *, seed: int, threads: int
) -> dict[str, Any]:
    """Return the figures of one modality of one set."""
    split = make_split(counts, np.random.default_rng(seed))
    found, chosen, seconds = ours(split, encoder, modality, seed=seed, threads=threads)
    row: dict[str, Any] = {"chosen": chosen, "seconds": seconds, "held_out": float(found.sum()) / split.n_scored}
    asks: dict[str, dict[str, Any]] = {"tuner": {"seconds": seconds}, "same_topics": {"topics": chosen}}
    for name, asked in asks.items():
        with tempfile.TemporaryDirectory(prefix="mira_nb-tuners-") as folder:
            work = Path(folder)
            for part in ("training", "observed", "scored"):
                sparse.save_npz(work / f"{part}.npz", getattr(split, part))
            np.save(work / "encoder.npy", encoder)
            theirs, said = reference(python, work, modality=modality, seed=seed, threads=threads, **asked)
        gain, error = difference(found, theirs, split.n_scored)
        per_count = float(theirs.sum()) / split.n_scored
        row[name] = {**said, "held_out": per_count, "difference": gain, "standard_error": error}
    return row


def measure(folder: Path, python: Path, *, seed: int, threads: int) -> Iterator[dict[str, Any]]:
    """Yield the row of each modality of one set."""
    data = mira_nb.read(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad")
    mira_nb.prepare(data, seed=seed)
    for name, modality in MODALITIES.items():
        counts, encoder = modelled(data.mod[name])
        row = compare(counts, encoder, modality, python, seed=seed, threads=threads)
        yield {"data": folder.name, "modality": modality, "seed": seed, **row}


def main() -> int:
    """Compare on the sets of some folders."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tuners")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--threads", type=int, default=available_cores(), help="of both (default: all cores)")
    options = parser.parse_args()
    python = reference_python(Path(os.environ.get("PEER_VENV", ".peer-venv")))
    if python is None:
        return 1
    for folder in options.folders:
        for seed in options.seeds:
            for row in measure(folder, python, seed=seed, threads=options.threads):
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

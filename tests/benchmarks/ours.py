"""Fits one topic model with this package and prints what it took as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time

from scipy import sparse

import mira_nb.core.topics.fitting  # noqa: F401  (with torch: the reference's libraries are not timed either)
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.settings import TopicSettings
from mira_nb.run.memory import peak_rss_mb


def main() -> None:
    """Fit and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", required=True)
    parser.add_argument("--modality", choices=["expression", "accessibility"], required=True)
    for name in ("topics", "epochs", "batch", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--engine", choices=["compiled", "pyro"], default="compiled")
    parser.add_argument("--defaults", type=int, choices=[0, 1], default=0, help="1: epochs and batches at defaults")
    options = parser.parse_args()
    counts = sparse.load_npz(options.counts)
    asked = {"n_epochs": options.epochs, "batch_size": options.batch} if not options.defaults else {}
    settings = TopicSettings.for_modality(
        options.modality, n_topics=options.topics, engine=options.engine, **asked
    )  # fmt: skip
    before = peak_rss_mb()
    started = time.perf_counter()
    fit = fit_topic_model(counts, modality=options.modality, settings=settings, seed=0, n_threads=options.threads)
    seconds = time.perf_counter() - started
    result = {
        "epoch_s": float(fit.history["seconds"].median()),
        "fit_s": seconds,
        "epochs": len(fit.history),
        "peak_mb": peak_rss_mb(),
        "added_mb": peak_rss_mb() - before,
        "parts_s": dict(fit.seconds),
    }
    sys.stdout.write("\n" + json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

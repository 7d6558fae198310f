"""Fits one topic model with mira-multiome 2.1.1, in its own environment, and prints what it took as JSON."""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import torch
from mira import topics
from mira.topic_model import base
from scipy import sparse


def peak_mb():
    """Largest memory of this process so far, in MB."""
    # getrusage also counts the process this one was forked from
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def drop_verbose(self, optimizer, **options):
    """Set the schedule up without an argument that current torch no longer has."""
    options.pop("verbose", None)
    torch.optim.lr_scheduler.OneCycleLR.__init__(self, optimizer, options.pop("max_lr"), **options)


def main():
    """Fit and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", required=True)
    parser.add_argument("--modality", choices=["expression", "accessibility"], required=True)
    for name in ("topics", "epochs", "batch", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    base.OneCycleLR_Wrapper.__init__ = drop_verbose
    data = anndata.AnnData(sparse.load_npz(options.counts))
    data.layers["counts"] = data.X
    own = {"counts_layer": "counts"} if options.modality == "expression" else {"atac_encoder": "light"}
    model = topics.make_model(
        *data.shape,
        feature_type=options.modality,
        num_topics=options.topics,
        num_epochs=options.epochs,
        batch_size=options.batch,
        seed=0,
        **own,
    )
    spent = [0.0]
    statistics = model._get_dataset_statistics

    def timed(*arguments, **named):
        started = time.perf_counter()
        result = statistics(*arguments, **named)
        spent[0] += time.perf_counter() - started
        return result

    model._get_dataset_statistics = timed
    before = peak_mb()
    started = time.perf_counter()
    model.fit(data)
    seconds = time.perf_counter() - started
    n_epochs = len(np.atleast_1d(model.training_loss))
    result = {
        "epoch_s": (seconds - spent[0]) / n_epochs,
        "fit_s": seconds,
        "epochs": n_epochs,
        "peak_mb": peak_mb(),
        "added_mb": peak_mb() - before,
        "parts_s": {"statistics": spent[0]},
    }
    sys.stdout.write("\n" + json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

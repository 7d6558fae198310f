"""Tunes a topic model with mira-multiome's own tuner for a given time, in its environment; prints how it did as JSON.

The tuner is the reference's: its sampler, its pruner, its trials, its choice of the best. Three repairs, without which
it does not run with current libraries: the learning-rate schedule gets no ``verbose``, models are read back as the
pickles that they are, and the method that ends a trial in one process, which the class lacks, is the module's function.
"""

import argparse
import functools
import json
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import torch
from mira import topics
from mira.topic_model import base, model_factory
from mira.topic_model.hyperparameter_optim import trainer
from reference import drop_verbose
from scipy import sparse


def table(path, encoder):
    """Return counts as the reference reads them."""
    counts = sparse.load_npz(path).tocsr()
    data = anndata.AnnData(counts)
    data.layers["counts"] = data.X
    data.var["endogenous"] = encoder
    return data


def scores(counts, rates):
    """Return sum_j x_ij log rho_ij of every cell, (cells,), nats."""
    counts = counts.tocoo()
    logs = counts.data * np.log(np.maximum(rates[counts.row, counts.col], 1e-30))
    return np.bincount(counts.row, logs.astype(float), minlength=counts.shape[0])


def tune(model, training, options, seconds):
    """Return the tuner after `seconds`; a trial that runs when they end is finished, and counts."""
    ends = time.perf_counter() + seconds
    tuner = topics.BayesianTuner(
        model=model, save_name="study", min_topics=5, max_topics=55, seed=options.seed,
        storage=f"sqlite:///{options.work}/study.db", model_dir=f"{options.work}/models",
        tensorboard_logdir=f"{options.work}/logs",
    )  # fmt: skip
    given = tuner.get_stop_callback()

    def stop(study, trial):
        if time.perf_counter() > ends and any(found.state.name == "COMPLETE" for found in study.trials):
            raise trainer.FailureToImproveException
        given(study, trial)

    tuner._tune_step = lambda shared: trainer._tune_step(shared, study=tuner.study, callback_fn=stop)
    tuner.fit(*topics.BayesianTuner.train_test_split(training, seed=options.seed))
    return tuner


def fitted(options, encoder):
    """Return the model, and what its making took."""
    training = table(f"{options.work}/training.npz", encoder)
    own = {"counts_layer": "counts"} if options.modality == "expression" else {"atac_encoder": "light"}
    if not encoder.all():
        own["endogenous_key"] = "endogenous"
    model = topics.make_model(*training.shape, feature_type=options.modality, seed=options.seed, **own)
    model.get_learning_rate_bounds(training)  # its tuner needs it; not part of the time that it gets
    started = time.perf_counter()
    result = {"trials": 0, "finished": 0}
    if options.topics:
        model.set_params(num_topics=options.topics)
        model.fit(training)
    else:
        tuner = tune(model, training, options, options.seconds)
        model = tuner.model
        states = [trial.state.name for trial in tuner.study.trials]
        result = {"trials": len(states), "finished": states.count("COMPLETE")}
    return model, {**result, "topics": int(model.num_topics), "seconds": time.perf_counter() - started}


def main():
    """Tune or fit, and report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True, help="folder with training, observed, scored and encoder")
    parser.add_argument("--modality", choices=["expression", "accessibility"], required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.0, help="time of the tuner")
    parser.add_argument("--topics", type=int, default=0, help="fit this number of topics, do not tune")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model_factory.load = functools.partial(torch.load, weights_only=False)
    base.OneCycleLR_Wrapper.__init__ = drop_verbose
    encoder = np.load(f"{options.work}/encoder.npy")
    model, result = fitted(options, encoder)
    observed = table(f"{options.work}/observed.npz", encoder)
    model.predict(observed)
    model.impute(observed)
    found = scores(sparse.load_npz(f"{options.work}/scored.npz"), np.asarray(observed.layers["imputed"]))
    np.save(Path(options.work) / "reference.npy", found)
    sys.stdout.write("\n" + json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

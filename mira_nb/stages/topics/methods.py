"""Methods text of the topic-model stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_nb.core.topics.settings import FEATURE_PSEUDOCOUNTS, FULL_DEPTH, RATE_BOUNDS

if TYPE_CHECKING:
    from .compute import TopicsOutput


_DATA = {
    "rna": (
        "Expression was modelled with the MIRA topic model [@lynch2022mira], a variational autoencoder "
        "[@kingma2013vae] in which each cell is a mixture of topics and counts follow a negative binomial distribution "
        "around the product of an effective read depth and the composition softmax(batchnorm(Z beta)) "
        "[@lopez2018scvi; @ioffe2015batchnorm]. The encoder reads binomial deviance residuals [@townes2019glmpca] "
        "(clipped at +-10) of {n_encoder:,} genes and the log depth, through two hidden layers of {n_hidden} nodes; "
        "{n_features:,} genes were modelled."
    ),
    "atac": (
        "Accessibility was modelled with the MIRA topic model [@lynch2022mira], a variational autoencoder "
        "[@kingma2013vae] in which each cell is a mixture of topics and its open peaks are multinomial draws from the "
        "composition softmax(batchnorm(Z beta)) [@ioffe2015batchnorm]. The encoder is a deep averaging network "
        "[@iyyer2015dan]: the mean of {n_hidden}-dimensional embeddings of a cell's open peaks (of {n_encoder:,} "
        "peaks read, each left out in training at rate {dropout:g}) and the log number of open peaks go through one "
        "hidden layer of {n_hidden} nodes; {n_features:,} peaks were modelled."
    ),
}
_START = {
    "nmf": (
        "Training started from a Kullback-Leibler non-negative matrix factorisation of the counts [@lee1999nmf], "
        "fitted by over-relaxed EM [@salakhutdinov2003adaptive]{priors}{choice}: the decoder from the log-linear model "
        "closest to it{contrasts}, the encoder after {warmup_epochs} epochs of predicting its topics; the published "
        "method starts from random weights."
    ),
    "random": "Training started from random weights.",
}
_ENGINE = {
    "compiled": "The objective is computed by compiled code that is tested to equal, in loss and gradients, Pyro's "
    "mean-field ELBO [@bingham2019pyro] of the model.",
    "pyro": "Model and guide were trained by Pyro's stochastic variational inference with the mean-field ELBO "
    "[@bingham2019pyro].",
}


def methods(fitted: TopicsOutput) -> str:
    """Describe the fit that was made."""
    fit, s = fitted.fit, fitted.fit.settings
    numbers = {
        "n_features": len(fitted.features),
        "n_encoder": int(fit.encoder_features.sum()),
        "n_hidden": s.n_hidden,
        "dropout": s.dropout,
        "restarts": s.restarts,
        "warmup_epochs": s.warmup_epochs,
        "priors": ""
        if fit.modality == "expression"
        else f" under Dirichlet priors ({s.initial_pseudocounts / fit.n_topics:.2g} counts a cell and topic, as the "
        f"model's own, and {FEATURE_PSEUDOCOUNTS:g} a peak and topic)",
        "choice": ""
        if s.restarts < 2
        else f" from {s.restarts} random starts, of which the most likely "
        + ("" if s.restarts < 3 else "among those that other starts find again ")
        + "was kept",
        "contrasts": ", its contrasts halved and shrunk as below" if s.shrinkage == "empirical_bayes" else "",
    }
    depth = FULL_DEPTH[fit.modality]
    rule = (
        f" (sqrt(cells x min(1, median count / {depth:g})) / 4, from 4 to 40)"
        if fitted.params.settings().n_topics == "auto"
        else ""
    )
    variance = (
        "the paper's Laplace variance" if s.dirichlet_variance == "laplace" else "the Laplace variance of ProdLDA"
    )
    annealing = (
        "rising linearly from 0 to 1 over the first half of training"
        if s.kl_schedule == "linear"
        else "rising from 0 to 1 in three cycles"
    )
    shrinkage = (
        " After training, each feature's contrasts between topics were multiplied by the share of them that its counts "
        "support (empirical Bayes over a grid of variances [@stephens2017ash]) to the power "
        f"{fit.shrinkage_power:g}, the one under which held-out cells are most likely (0 leaves them as trained); "
        "topic activations do not depend on it, and the published method has no such step."
        if s.shrinkage == "empirical_bayes"
        else ""
    )
    bounds = (
        "by a learning-rate range test within {:g} to {:g}".format(*RATE_BOUNDS[fit.modality])
        if len(fit.range_test)
        else "by the user"
    )
    n_out = int(fit.held_out.sum())
    held = f" {n_out:,} cells were kept out to follow the held-out ELBO." if n_out else ""
    return " ".join(
        [
            _DATA[fitted.modality].format(**numbers),
            f"The prior over {fit.n_topics} topics{rule} is a Dirichlet distribution with log-normal parameters "
            f"(initial pseudocounts {s.initial_pseudocounts:g}), approximated by a softmax-normal "
            f"[@srivastava2017prodlda] with {variance}; the prior on the parameters is scaled by the batch's share of "
            "the cells.",
            _START[s.initialisation].format(**numbers),
            f"The evidence lower bound was then maximised with Adam [@kingma2014adam] for {len(fit.history)} epochs in "
            f"batches of at most {s.batch_size} cells, with dropout {s.dropout:g} [@srivastava2014dropout], a "
            f"one-cycle learning rate [@smith2017onecycle] from {float(s.learning_rate_min):.2g} to "
            f"{float(s.learning_rate_max):.2g} (set {bounds}) that peaks after {s.peak_at:.0%} of training, and the KL "
            f"term's weight {annealing} [@bowman2016sentences].{held}{shrinkage}",
            f"{_ENGINE[s.engine]} A cell's topics are softmax(mu) of its posterior mean; "
            "topic activations are the decoder's weights standardised by batch-normalisation statistics. Topics are "
            "numbered by decreasing mean share.",
        ]
    )

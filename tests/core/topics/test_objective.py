"""The compiled objective against Pyro's TraceMeanField_ELBO, scipy, and dense torch."""

from __future__ import annotations

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import TraceMeanField_ELBO
from scipy import sparse, stats

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics import likelihoods, objective
from mira_nb.core.topics.data import CellData, pooled_shares
from mira_nb.core.topics.decoder import Decoder
from mira_nb.core.topics.model import Weights, guide, model
from mira_nb.core.topics.network import Network, Posterior
from mira_nb.core.topics.objective import Noise, negative_elbo
from mira_nb.core.topics.settings import TopicSettings

N_CELLS, K = 9, 4


def make(modality: str, n_features: int, *, seed: int = 0):
    rng = np.random.default_rng(seed)
    if modality == "expression":
        dense = rng.negative_binomial(1, 0.3, (N_CELLS, n_features)) * (rng.random((N_CELLS, n_features)) < 0.5)
        dense[0, 0], dense[1, 1] = 300, 9
    else:
        dense = (rng.random((N_CELLS, n_features)) < 0.2).astype(int)
    dense[:, 2] = 0
    counts = sparse.csr_matrix(dense.astype(np.float64))
    data = CellData(counts, modality, np.ones(n_features, bool), pooled_shares(counts, np.arange(N_CELLS)))
    batch = data.batch(np.arange(N_CELLS))
    g = torch.Generator().manual_seed(seed)
    network = Network(modality, n_features, n_features, K, TopicSettings(n_topics=K), g).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=g, dtype=torch.float64) * 0.3)

    def leaf(*shape, positive=False):
        value = torch.randn(*shape, generator=g, dtype=torch.float64)
        return (value.abs() + 0.1 if positive else value).requires_grad_()

    depth = (leaf(N_CELLS), leaf(N_CELLS, positive=True)) if modality == "expression" else (None, None)
    posterior = Posterior(leaf(N_CELLS, K), leaf(N_CELLS, K, positive=True), *depth)
    return network, posterior, batch, dense, Noise.draw(network, N_CELLS, g)


def leaves(network, posterior):
    named = {n: p for n, p in network.named_parameters() if not n.startswith("encoder")}
    named |= {f"posterior.{n}": v for n, v in vars(posterior).items() if v is not None}
    return named


def gradients(loss, named):
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


@pytest.mark.parametrize("modality", ["expression", "accessibility"])
@pytest.mark.parametrize("variance", ["laplace", "prodlda"])
@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
def test_loss_and_gradients_equal_pyro(modality, variance, kl_weight, monkeypatch):
    network, posterior, batch, dense, noise = make(modality, 2100)
    n_training = 57
    queue = {(N_CELLS, K): noise.topics, (K,): noise.alpha, (N_CELLS,): noise.depth}
    monkeypatch.setattr(
        torch.distributions.normal, "_standard_normal", lambda shape, dtype, device: queue[tuple(shape)]
    )
    counts = torch.tensor(dense, dtype=torch.float64)
    weights = Weights(kl=kl_weight, batch_share=N_CELLS / n_training)
    with pyro.validation_enabled(False):
        expected = TraceMeanField_ELBO().differentiable_loss(
            model, guide, network, posterior, counts, weights, pseudocounts=30.0, variance=variance
        )
    with Workers(2) as workers:
        ours = negative_elbo(
            network, posterior, batch, noise, workers,
            kl_weight=kl_weight, n_training=n_training, pseudocounts=30.0, variance=variance,
        ).loss  # fmt: skip
    assert ours.item() == pytest.approx(expected.item(), rel=1e-9)
    named = leaves(network, posterior)
    wanted, found = gradients(expected, named), gradients(ours, named)
    for name in named:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-6, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("modality", ["expression", "accessibility"])
@pytest.mark.parametrize("running", [False, True])
def test_dense_torch_path_equals_compiled(modality, running, monkeypatch):
    network, posterior, batch, _, noise = make(modality, 1500, seed=3)
    network.track(torch.softmax(posterior.mean.detach(), -1), 0.5)
    named = leaves(network, posterior)
    options = {"kl_weight": 1.0, "n_training": 20, "running": running}
    with Workers(1) as workers:
        compiled = negative_elbo(network, posterior, batch, noise, workers, **options).loss
        monkeypatch.setattr(
            objective,
            "log_likelihood",
            lambda network, topics, depth, batch, moments, _: likelihoods._dense(
                network, topics, depth, batch, moments
            ),
        )
        dense = negative_elbo(network, posterior, batch, noise, workers, **options).loss
    assert compiled.item() == pytest.approx(dense.item(), rel=1e-10)
    wanted, found = gradients(dense, named), gradients(compiled, named)
    for name in named:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("modality", ["expression", "accessibility"])
def test_single_precision_is_close_and_threads_do_not_matter(modality):
    network, posterior, batch, _, noise = make(modality, 2100)
    named = leaves(network, posterior)
    options = {"kl_weight": 1.0, "n_training": 20}
    with Workers(1) as one:
        exact = negative_elbo(network, posterior, batch, noise, one, **options).loss
        wanted = gradients(exact, named)
    network = network.float()
    posterior = Posterior(*(v if v is None else v.detach().float().requires_grad_() for v in vars(posterior).values()))
    noise = Noise(*(v if v is None else v.float() for v in vars(noise).values()))
    named = leaves(network, posterior)
    found = []
    for n in (1, 2, 3):
        with Workers(n) as workers:
            loss = negative_elbo(network, posterior, batch, noise, workers, **options).loss
            found.append((loss.item(), gradients(loss, named)))
    assert found[0][0] == pytest.approx(exact.item(), rel=1e-5)
    for name in named:
        scale = wanted[name].abs().max()
        assert (found[0][1][name] - wanted[name]).abs().max() < 2e-4 * scale
    for loss, grads in found[1:]:
        assert loss == found[0][0]
        assert all(torch.equal(grads[n], found[0][1][n]) for n in named)


@pytest.mark.parametrize("modality", ["expression", "accessibility"])
def test_log_likelihood_equals_scipy(modality):
    network, posterior, batch, dense, noise = make(modality, 300, seed=5)
    with Workers(1) as workers:
        elbo = negative_elbo(network, posterior, batch, noise, workers, kl_weight=1.0, n_training=20)
    topics = elbo.topics.numpy()
    values = {n: p.detach().numpy() for n, p in network.named_parameters()}
    raw = topics @ values["beta"]
    decoder = Decoder(values["beta"], raw.mean(0), raw.var(0), values["gamma"], values["bias"])
    rho = decoder.composition(topics)
    if modality == "accessibility":
        expected = sum(stats.multinomial.logpmf(x, x.sum(), p / p.sum()) for x, p in zip(dense, rho, strict=True))
    else:
        log_n = posterior.depth_mean + posterior.depth_scale * noise.depth
        mean = np.exp(log_n.detach().numpy())[:, None] * rho
        theta = np.exp(values["log_theta"])
        expected = stats.nbinom.logpmf(dense, theta, theta / (theta + mean)).sum()
    assert elbo.log_likelihood.item() == pytest.approx(expected, rel=1e-9)

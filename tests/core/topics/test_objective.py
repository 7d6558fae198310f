"""The compiled objective against Pyro's TraceMeanField_ELBO on the model, and against scipy."""

from __future__ import annotations

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import TraceMeanField_ELBO
from scipy import sparse, stats

from mira_nb.core.numerics.threads import Workers
from mira_nb.core.topics.data import CellData, pooled_shares
from mira_nb.core.topics.decoder import Decoder
from mira_nb.core.topics.model import Cells, Weights, guide, model
from mira_nb.core.topics.network import Network, Noise, Posterior
from mira_nb.core.topics.objective import DirichletPrior, negative_elbo
from mira_nb.core.topics.settings import TopicSettings
from mira_nb.core.topics.svi import Latents

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


def pyro_loss(network, posterior, dense, noise, weights, **options):
    """Negative ELBO of the model that the Pyro engine trains, for a given posterior and given noise."""
    network.encode = lambda *inputs: posterior
    running = options.pop("running")
    counts = torch.tensor(dense, dtype=torch.float64)

    def guided(*arguments):
        with Latents(lambda: noise):
            guide(*arguments)

    def modelled(*arguments):
        model(*arguments, running=running, **options)

    with pyro.validation_enabled(False), pyro.get_param_store().scope():
        elbo = TraceMeanField_ELBO()
        return elbo.differentiable_loss(modelled, guided, network, Cells(counts, counts), weights)


@pytest.mark.parametrize("modality", ["expression", "accessibility"])
@pytest.mark.parametrize("variance", ["laplace", "prodlda"])
@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
@pytest.mark.parametrize("running", [False, True])
def test_loss_and_gradients_equal_pyro(modality, variance, kl_weight, running):
    network, posterior, batch, dense, noise = make(modality, 2100)
    network.track(torch.softmax(posterior.mean.detach(), -1), 0.5)
    n_training = 57
    weights = Weights(kl=kl_weight, batch_fraction=N_CELLS / n_training)
    options = {"pseudocounts": 30.0, "variance": variance, "running": running}
    expected = pyro_loss(network, posterior, dense, noise, weights, **options)
    with Workers(2) as workers:
        ours = negative_elbo(
            network, posterior, batch, noise, workers, kl_weight=kl_weight, n_training=n_training,
            prior=DirichletPrior(30.0, variance), running=running,
        ).loss  # fmt: skip
    assert ours.item() == pytest.approx(expected.item(), rel=1e-9)
    named = leaves(network, posterior)
    wanted, found = gradients(expected, named), gradients(ours, named)
    for name in named:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-6, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("modality", ["expression", "accessibility"])
def test_noise_of_ours_is_used_as_pyro_uses_its_own(modality, monkeypatch):
    """The same loss as with Pyro's own draws where torch's source of normal numbers hands out our noise."""
    network, posterior, _, dense, noise = make(modality, 300)
    options = {"pseudocounts": 30.0, "variance": "laplace"}
    ours = pyro_loss(network, posterior, dense, noise, Weights(), running=False, **options)
    queue = {(N_CELLS, K): noise.topics, (K,): noise.alpha, (N_CELLS,): noise.depth}
    monkeypatch.setattr(
        torch.distributions.normal, "_standard_normal", lambda shape, dtype, device: queue[tuple(shape)]
    )
    counts = torch.tensor(dense, dtype=torch.float64)
    with pyro.validation_enabled(False), pyro.get_param_store().scope():
        theirs = TraceMeanField_ELBO().differentiable_loss(
            model, lambda *given, **_: guide(*given), network, Cells(counts, counts), Weights(), **options
        )
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)


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

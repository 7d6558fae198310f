"""Network parameters to plain arrays and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .decoder import Decoder
from .likelihoods import BN_EPS
from .network import Network
from .settings import Modality, TopicSettings

COUNTER = "num_batches_tracked"


def decoder_of(network: Network) -> Decoder:
    """Return the decoder, with the running statistics of Z turned into those of Z beta."""
    beta = _array(network.beta)
    mean, cov = _array(network.topic_mean), _array(network.topic_cov)
    dispersion = np.exp(_array(network.log_theta)) if network.modality == "expression" else None
    return Decoder(
        beta, mean @ beta, np.maximum((beta * (cov @ beta)).sum(0), 0.0), _array(network.gamma),
        _array(network.bias), dispersion, BN_EPS,
    )  # fmt: skip


def encoder_weights(network: Network) -> dict[str, NDArray[Any]]:
    """Return encoder weights and running statistics by name."""
    return {
        name: value.detach().cpu().numpy().copy()
        for name, value in network.encoder.state_dict().items()
        if not name.endswith(COUNTER)
    }


def network_of(
    weights: Mapping[str, NDArray[Any]], modality: Modality, n_features: int, encoder: NDArray[np.bool_],
    settings: TopicSettings, *, n_topics: int,
) -> Network:  # fmt: skip
    """Build a network with stored encoder ``weights`` (its decoder parameters are not filled)."""
    network = Network(
        modality, n_features, int(encoder.sum()), n_topics, settings, torch.Generator().manual_seed(0)
    )  # fmt: skip
    state = {name: value for name, value in network.encoder.state_dict().items() if name.endswith(COUNTER)}
    state |= {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    network.encoder.load_state_dict(state)
    return network.eval()


@torch.no_grad()
def order_topics(network: Network, order: NDArray[np.intp]) -> None:
    """Renumber the topics in place: new topic t is old topic ``order[t]``."""
    index = torch.from_numpy(np.ascontiguousarray(order)).to(network.beta.device)
    for parameter in (network.beta, network.alpha_loc, network.alpha_raw, network.topic_mean):
        parameter.copy_(parameter[index].clone())
    network.topic_cov.copy_(network.topic_cov[index][:, index].clone())
    k = network.n_topics
    rest = torch.arange(2 * k, network.encoder.output.linear.out_features, device=index.device)
    rows = torch.cat([index, index + k, rest])
    for name, value in network.encoder.output.state_dict().items():
        if not name.endswith(COUNTER):
            value.copy_(value[rows].clone())


def _array(value: torch.Tensor) -> NDArray[np.float64]:
    return value.detach().cpu().double().numpy()

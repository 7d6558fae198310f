"""Diagram of a topic model: encoder, topics, decoder, with the sizes of the fitted model."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from .theme import CATEGORICAL, FONT, MUTED

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE: Final = Path(__file__).with_suffix(".svg.j2")
PARTS: Final[dict[str, str]] = {
    "encoder": CATEGORICAL[0],
    "topics": CATEGORICAL[2],
    "decoder": CATEGORICAL[1],
    "prior": CATEGORICAL[3],
}
"""Colour of each part of the model."""


def architecture(
    modality: Literal["rna", "atac"], *, n_features: int, n_encoder: int, n_topics: int, n_hidden: int
) -> str:
    """Draw the model: counts to topics (encoder, upper row), topics to counts (decoder, lower row), priors between.

    Parameters
    ----------
    modality
        ``"rna"``: deviance residuals and a negative binomial; ``"atac"``: peak embeddings and a multinomial.
    n_features, n_encoder
        Modelled features, and how many of them the encoder reads.
    n_topics, n_hidden
        Number of topics; width of the hidden layers.

    Returns
    -------
    str
        SVG. Source of the drawing: Extended Methods, Model architecture (Extended Data Fig. 1).
    """
    sizes = {"n_features": n_features, "n_encoder": n_encoder, "n_topics": n_topics, "n_hidden": n_hidden}
    numbers = {name: f"{value:,}" for name, value in sizes.items()}
    what = "genes" if modality == "rna" else "peaks"
    return _template().render(modality=modality, what=what, colors=PARTS, font=FONT, muted=MUTED, **numbers)


@cache
def _template() -> Template:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))

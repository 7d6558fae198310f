"""Words of the pages, kept apart from the code."""

from __future__ import annotations

from typing import Any, Final

from mira_nb.sentences import entries, fill

PARENT: Final = __name__.rpartition(".")[0]
"""Package whose folder ``texts`` this is."""


def words(name: str) -> dict[str, Any]:
    """Return the words of one page.

    Parameters
    ----------
    name
        Name of a YAML file beside this module, without its ending.
    """
    return entries(PARENT, f"{name}.yaml")


def phrase(name: str, key: str, /, **values: Any) -> str:
    """Return a sentence of one page with its values filled in."""
    return fill(words(name)[key], values)

"""Words of the pages, kept apart from the code."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any


@cache
def words(name: str) -> dict[str, Any]:
    """Return the words of one page.

    Parameters
    ----------
    name
        Name of a YAML file beside this module, without its ending.
    """
    import yaml

    loaded: dict[str, Any] = yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded

"""Matching of chromosome names between files (chr1, 1, CHR1), once for the whole package."""

from __future__ import annotations

from collections.abc import Sequence


def match_chromosomes(wanted: Sequence[str], available: Sequence[str]) -> dict[str, str]:
    """Translate chromosome names: as they are, else with or without ``chr``, M against MT, ignoring case.

    Returns
    -------
    dict
        Name in `wanted` -> name in `available`; names without a counterpart are absent.
    """
    by_plain: dict[str, str] = {}
    for name in available:
        by_plain.setdefault(_plain(name), name)
    exact = set(available)
    out = {}
    for name in wanted:
        if name in exact:
            out[name] = name
        elif _plain(name) in by_plain:
            out[name] = by_plain[_plain(name)]
    return out


def _plain(name: str) -> str:
    text = name.lower().removeprefix("chr")
    return "m" if text == "mt" else text

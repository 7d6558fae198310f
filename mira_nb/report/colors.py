"""One colour per group, lineage state and topic of a run, put into every chart of its report."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mira_nb.charts import theme

STATE_COLUMN: Final = "lineage state"
"""Column of a map's cells, and heading of its menu, that names the node of the lineage tree."""

OTHERS: Final = {"other genes", "all others", "others"}
"""Entries of a scale that stand for the rest and keep their colour."""


@dataclass(frozen=True)
class Palette:
    """Colours of a run's names.

    Attributes
    ----------
    names
        Colour of every group and lineage state. A lineage that is named for a group has the group's colour.
    topics
        Colour of every topic; partners of the two assays share theirs.
    clusters
        Colour of every cluster, by its number: beside other names it keeps it.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    topics: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)

    def of(self, names: Sequence[str]) -> dict[str, str]:
        """Return the colour of every name; names that the run does not know get colours that no other here has."""
        known = {**self.clusters, **self.names}
        known = {name: known[name] for name in names if name in known}
        free = [color for color in theme.CATEGORICAL if color not in known.values()] or theme.CATEGORICAL
        others = [name for name in names if name not in known]
        out = {**{name: free[place % len(free)] for place, name in enumerate(others)}, **known}
        return {name: out[name] for name in names}

    def digest(self) -> str:
        """Return a short text that differs for other colours."""
        parts = [sorted(part.items()) for part in (self.names, self.topics, self.clusters)]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    def apply(self, spec: Any) -> Any:
        """Return a chart with the run's colours in the scales that name groups, states or topics."""
        out = copy.deepcopy(spec)
        self._walk(out)
        return out

    def _walk(self, node: Any) -> None:
        if isinstance(node, list):
            for part in node:
                self._walk(part)
        elif isinstance(node, dict):
            domain, colors = node.get("domain"), node.get("range")
            if isinstance(domain, list) and isinstance(colors, list) and len(domain) == len(colors) and domain:
                node["range"] = self._colors(domain, colors)
            for key, part in node.items():
                if key not in {"datasets", "values", "usermeta"}:
                    self._walk(part)

    def _colors(self, domain: list[Any], colors: list[Any]) -> list[Any]:
        """Return the colours of one scale: entries of a menu are ``HEADING|NAME``, others are names."""
        names = [str(entry) for entry in domain]
        out = list(colors)
        for position, name in enumerate(names):
            heading, bar, rest = name.partition("|")
            if bar and rest in self.names and not heading.startswith("cluster"):
                out[position] = self.names[rest]
        plain = [name.removesuffix(" *").removeprefix("terminal in ") for name in names]
        asked = [name for name in plain if name not in OTHERS]
        for known in (self.names, self.topics):
            if asked and all(name in known for name in asked):
                return [known.get(name, color) for name, color in zip(plain, out, strict=True)]
        return out


def make_palette(
    groups: Iterable[str],
    states: Iterable[str],
    rna: Sequence[str],
    atac: Sequence[str],
    partners: Mapping[str, str],
    *,
    clusters: Iterable[str] = (),
) -> Palette:
    """Return the colours of a run.

    Parameters
    ----------
    groups, states
        Names of the cell annotation's groups, and of the lineage tree's nodes.
    rna, atac
        Topics of both assays.
    partners
        Partner of each topic that has one.
    clusters
        Numbers of the clusters.
    """
    order = list(dict.fromkeys([*theme.natural_sort(groups), *theme.natural_sort(states)]))
    topics = theme.topic_colors(rna)
    taken = set(topics.values())
    free = [color for color in theme.CATEGORICAL if color not in taken] or list(theme.CATEGORICAL)
    alone = 0
    for topic in atac:
        partner = partners.get(topic)
        if partner in topics:
            topics[topic] = topics[partner]
        else:
            topics[topic] = free[alone % len(free)]
            alone += 1
    return Palette(theme.category_colors(order), topics, theme.category_colors(theme.natural_sort(clusters)))

"""Verdicts on the trajectory, carried to everything that is drawn or tabulated over its lineages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mira_nb.keys import LINEAGE_TREE
from mira_nb.stages.result import Alert, Figure, Table
from mira_nb.stages.texts import Texts

if TYPE_CHECKING:
    from mudata import MuData

TEXTS = Texts(__package__)
NOT_ESTABLISHED = "not established"
"""Verdict on the direction where neither a start nor the evidence settles it."""


@dataclass(frozen=True)
class Caveat:
    """What limits the reading of lineages.

    Attributes
    ----------
    label
        A few words beside titles.
    sentence
        A sentence for captions.
    alert
        For stages that use the lineages.
    """

    label: str
    sentence: str
    alert: Alert


def trajectory_caveats(record: Mapping[str, Any], *, pseudotime: bool = False) -> list[Caveat]:
    """Return the caveats of a lineage tree as the stage trajectory stores it in ``uns``.

    Trees stored by versions without these verdicts have none.

    Parameters
    ----------
    pseudotime
        Whether what is marked is drawn over pseudotime, which is there also where lineages are not drawn.
    """
    out = []
    drawn = bool(record.get("drawn", False))
    if (drawn or pseudotime) and not record.get("supported", True):
        sentence = "not_supported_sentence" if drawn else "not_supported_order_sentence"
        words = TEXTS.text("not_supported"), TEXTS.text(sentence)
        out.append(Caveat(*words, TEXTS.alert("not_supported")))
    if str(record.get("direction", "")) == NOT_ESTABLISHED:
        words = TEXTS.text("direction_not_established"), TEXTS.text("direction_not_established_sentence")
        out.append(Caveat(*words, TEXTS.alert("direction_not_established")))
    return out


def data_caveats(data: MuData) -> list[Caveat]:
    """Return the caveats of the lineages that a MuData holds; none without lineages."""
    record = data.uns.get(LINEAGE_TREE)
    return trajectory_caveats(record) if isinstance(record, Mapping) else []


def caveat_alerts(caveats: Sequence[Caveat]) -> list[Alert]:
    """Return one alert per caveat, for a stage that uses the lineages."""
    return [item.alert for item in caveats]


def mark_lineage_figures(
    figures: Sequence[Figure], caveats: Sequence[Caveat], *, names: Collection[str] | None = None
) -> list[Figure]:
    """Mark figures over lineages with the caveats: in the title, the caption and the chart itself.

    Parameters
    ----------
    names
        Names of the figures that are drawn over lineages; None: all.
    """
    if not caveats:
        return list(figures)
    label, sentence = _joined(caveats)
    out = []
    for figure in figures:
        if names is not None and figure.name not in names:
            out.append(figure)
            continue
        chart = figure.chart if figure.chart is None else _subtitled(figure, label)
        out.append(
            replace(figure, title=f"{figure.title} ({label})", caption=f"{sentence} {figure.caption}", chart=chart)
        )
    return out


def mark_lineage_tables(
    tables: Sequence[Table], caveats: Sequence[Caveat], *, names: Collection[str] | None = None
) -> list[Table]:
    """Mark tables over lineages with the caveats, in the title and the caption; `names` as for figures."""
    if not caveats:
        return list(tables)
    label, sentence = _joined(caveats)
    return [
        replace(table, title=f"{table.title} ({label})", caption=f"{sentence} {table.caption}")
        if names is None or table.name in names
        else table
        for table in tables
    ]


def _joined(caveats: Sequence[Caveat]) -> tuple[str, str]:
    return ", ".join(item.label for item in caveats), " ".join(item.sentence for item in caveats)


def _subtitled(figure: Figure, label: str) -> dict[str, Any]:
    """Return the figure's specification with the label below its title."""
    spec = figure.chart if isinstance(figure.chart, dict) else figure.chart.to_dict()
    title = spec.get("title", "")
    title = dict(title) if isinstance(title, Mapping) else {"text": title or ""}
    return {**spec, "title": {**title, "subtitle": label}}

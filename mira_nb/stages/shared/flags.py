"""Marks of topics that should not be read alone: found from one seed only, duplicates, unused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mira_nb.keys import ATAC, RNA, TOPIC_FLAGS, TOPIC_MODEL
from mira_nb.stages.result import Figure, Table
from mira_nb.stages.texts import Texts

if TYPE_CHECKING:
    from mudata import MuData

TEXTS = Texts(__package__)

MARK = " \u2691"
"""Follows the name of a marked topic in axes, legends, panel titles and menus."""

LABELLED = {"x": "axis", "y": "axis", "color": "legend", "fill": "legend", "row": "header", "column": "header",
            "facet": "header"}  # fmt: skip
"""Channels of a Vega-Lite chart that write names, and the property that holds how."""


def topic_flags(data: MuData) -> dict[str, str]:
    """Return the flags of the topics that have any, by name; empty where no tuning checked stability."""
    out: dict[str, str] = {}
    for modality in (RNA, ATAC):
        stored = data.mod[modality].uns.get(TOPIC_MODEL, {}) if modality in data.mod else {}
        if TOPIC_FLAGS in stored:
            pairs = zip(stored["topic_names"], stored[TOPIC_FLAGS], strict=True)
            out |= {str(name): str(flag) for name, flag in pairs if str(flag)}
    return out


def marked(names: Iterable[str], flags: Mapping[str, str]) -> list[str]:
    """Return names, those of flagged topics followed by the mark."""
    return [f"{name}{MARK}" if name in flags else name for name in names]


def mark_figures(figures: Sequence[Figure], flags: Mapping[str, str], *, images: Iterable[str] = ()) -> list[Figure]:
    """Mark flagged topics in charts that name them, and name them with their flags in the caption.

    Parameters
    ----------
    figures
        Figures of a stage.
    flags
        Flag by name of topic; without any the figures are returned as they are.
    images
        Names of raster figures that show topics (:func:`marked` names their panels).
    """
    if not flags:
        return list(figures)
    drawn, out = set(images), []
    for figure in figures:
        if figure.chart is None:
            shown = dict(flags) if figure.name in drawn else {}
            out.append(_captioned(figure, shown))
            continue
        spec = figure.chart if isinstance(figure.chart, dict) else figure.chart.to_dict()
        named = _strings(spec) | {text for frame in figure.packed.values() for text in _names(frame)}
        shown = {name: flag for name, flag in flags.items() if name in named}
        out.append(_captioned(replace(figure, chart=_marked_spec(spec, shown)), shown) if shown else figure)
    return out


def mark_tables(tables: Sequence[Table], flags: Mapping[str, str]) -> list[Table]:
    """Name flagged topics in the caption of every table with a column ``topic`` that holds any of them."""
    out = []
    for table in tables:
        held = set(table.frame["topic"].astype(str)) if flags and "topic" in table.frame else set()
        shown = {name: flag for name, flag in flags.items() if name in held}
        out.append(replace(table, caption=f"{table.caption} {flag_sentence(shown)}") if shown else table)
    return out


def flag_sentence(flags: Mapping[str, str]) -> str:
    """Return the sentence that names flagged topics and says how to read them."""
    return TEXTS.text("flags", mark=MARK.strip(), topics=[f"{name} ({flag})" for name, flag in flags.items()])


def _captioned(figure: Figure, shown: Mapping[str, str]) -> Figure:
    return replace(figure, caption=f"{figure.caption} {flag_sentence(shown)}") if shown else figure


def _names(frame: Any) -> set[str]:
    texts = {str(name) for name in frame.columns}
    for column in frame.columns:
        if frame[column].dtype.kind not in "biuf":
            texts |= {str(value) for value in frame[column].unique()}
    return texts


def _strings(node: Any) -> set[str]:
    if isinstance(node, dict):
        return set().union(*(_strings(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(_strings(value) for value in node))
    return {node} if isinstance(node, str) else set()


def _marked_spec(spec: dict[str, Any], flags: Mapping[str, str]) -> dict[str, Any]:
    """Return the specification with marks in the labels alone: values, domains and menus keep the plain names."""
    out = copy.deepcopy(spec)
    suffix = f"(indexof({json.dumps(sorted(flags))}, datum.value) >= 0 ? {json.dumps(MARK)} : '')"
    _mark(out, suffix, flags)
    return out


def _mark(node: Any, suffix: str, flags: Mapping[str, str]) -> None:
    if isinstance(node, list):
        for item in node:
            _mark(item, suffix, flags)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key == "bind" and isinstance(value, dict) and set(flags) & set(map(str, value.get("options") or [])):
            known = value.get("labels") or [str(option) for option in value["options"]]
            value["labels"] = [
                f"{label}{MARK}" if option in flags else label
                for option, label in zip(value["options"], known, strict=True)
            ]
        elif key in LABELLED and isinstance(value, dict) and value.get("type") in {"nominal", "ordinal"}:
            _mark_channel(value, LABELLED[key], suffix)
        elif key != "datasets":
            _mark(value, suffix, flags)


def _mark_channel(channel: dict[str, Any], part: str, suffix: str) -> None:
    if part in channel and channel[part] is None:
        return
    style = channel.setdefault(part, {})
    if style.get("labels") is not False:
        style["labelExpr"] = f"{style.get('labelExpr', 'datum.label')} + {suffix}"

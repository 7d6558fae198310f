"""Atlas of figures: every panel and table of the paper's Extended Data, and where its kind stands in a report.

The list is in ``atlas.toml``; :func:`atlas_rows` joins it to what a run has, for the report's appendix, and
:mod:`mira_nb.report.atlas_docs` draws it for the documentation.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from mira_nb.errors import MiraError

from . import embed
from .texts import phrase

FILE: Final = Path(__file__).parent / "atlas.toml"
_ITEM: Final = re.compile(r"(\w+)/(figures|tables)/([\w-]+)")
_FUNCTION: Final = re.compile(r"[\w.]+:\w+")
Kind = Literal["figures", "tables"]


@dataclass(frozen=True)
class Item:
    """A figure or table of a run folder: ``stages/STAGE/KIND/NAME``."""

    stage: str
    kind: Kind
    name: str


@dataclass(frozen=True)
class Panel:
    """A panel or table of the paper.

    Attributes
    ----------
    panel
        As in the paper: ``"2a"``, ``"7"``, ``"table 1"``.
    what
        What the paper shows there.
    items
        Where its kind is in a run folder; the first answers it, others add to it.
    functions
        ``module:function`` of what draws (or, for tables, computes) it.
    needs
        What a run needs to have it besides the stage itself.
    reading
        How to read it in the embedded data set.
    """

    panel: str
    what: str
    items: tuple[Item, ...]
    functions: tuple[str, ...]
    needs: str
    reading: str

    @property
    def is_table(self) -> bool:
        """Whether the paper has a table there."""
        return self.panel.startswith("table")

    @property
    def label(self) -> str:
        """Label to show: ``Fig. 2a`` or ``Table 1``."""
        return self.panel.capitalize() if self.is_table else f"Fig. {self.panel}"

    @property
    def figure(self) -> str:
        """Figure or table that the panel belongs to: ``Fig. 2`` of ``2a``, ``Tables`` for every table."""
        return "Tables" if self.is_table else f"Fig. {self.panel.rstrip('abcdef')}"

    @property
    def anchor(self) -> str:
        """Fragment identifier in the report and the documentation."""
        return f"atlas-{embed.slug(self.panel)}"


@cache
def read_atlas(path: Path = FILE) -> tuple[Panel, ...]:
    """Read the list of panels, in the order of the paper.

    Raises
    ------
    MiraError
        When an entry is incomplete, names an unknown stage, or a panel occurs twice.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["panels"]
    panels = tuple(_panel(entry, path) for entry in entries)
    names = [panel.panel for panel in panels]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise MiraError(f"{path.name} lists {', '.join(double)} twice", remedy="keep one entry per panel")
    return panels


def drawn_items(panels: Iterable[Panel] | None = None) -> dict[Item, list[Panel]]:
    """Return every figure that the panels name, in their order, with the panels that it answers or adds to.

    Parameters
    ----------
    panels
        Panels to look through; None: all of them.
    """
    found: dict[Item, list[Panel]] = {}
    for panel in read_atlas() if panels is None else panels:
        for item in panel.items:
            if item.kind == "figures":
                found.setdefault(item, []).append(panel)
    return found


def picture_name(item: Item) -> str:
    """Return the name of a figure's picture in the documentation folder ``atlas``."""
    return f"{item.stage}-{item.name}.png"


def _panel(entry: Mapping[str, Any], path: Path) -> Panel:
    expected = {"panel", "what", "items", "function", "needs", "reading"}
    if set(entry) != expected:
        raise MiraError(
            f"{path.name}: panel {entry.get('panel')!r} has the fields {', '.join(entry)}",
            expected=", ".join(sorted(expected)),
            remedy="complete the entry",
        )
    found = [_ITEM.fullmatch(text) for text in entry["items"]]
    functions = tuple(entry["function"])
    if not found or not all(found):
        raise MiraError(
            f"{path.name}: panel {entry['panel']!r} has the items {entry['items']}",
            expected="STAGE/figures/NAME or STAGE/tables/NAME",
            remedy="correct the entry",
        )
    if not functions or not all(map(_FUNCTION.fullmatch, functions)):
        raise MiraError(
            f"{path.name}: panel {entry['panel']!r} names {functions}", expected="MODULE:FUNCTION", remedy="correct it"
        )
    items = tuple(Item(match[1], _kind(match[2]), match[3]) for match in found if match)
    return Panel(entry["panel"], entry["what"], items, functions, entry["needs"], entry["reading"])


def _kind(text: str) -> Kind:
    return "tables" if text == "tables" else "figures"


def atlas_rows(stages: Sequence[Mapping[str, Any]], panels: Iterable[Panel] | None = None) -> list[dict[str, Any]]:
    """Join the panels to the stages of a report.

    Parameters
    ----------
    stages
        Value of :meth:`mira_nb.report.sections.Builder.stages`: figures and tables with ``name``, ``id``, ``number``.
    panels
        Panels to show; None: all of them.

    Returns
    -------
    list of dict
        One per panel: ``links`` to what the run has (``href``, ``text``, ``title``) or, where it has none, ``missing``,
        which says what is needed.
    """
    known: dict[Item, dict[str, str]] = {}
    for stage in stages:
        for group in stage["figure_groups"]:
            for figure in group["figures"]:
                known[Item(stage["name"], "figures", figure["name"])] = _link("Figure", figure)
        for table in stage["tables"]:
            known[Item(stage["name"], "tables", table["name"])] = _link("Table", table)
    by_name = {stage["name"]: stage for stage in stages}
    return [_row(panel, known, by_name) for panel in (read_atlas() if panels is None else panels)]


def _link(kind: str, item: Mapping[str, Any]) -> dict[str, str]:
    return {"href": f"#{item['id']}", "text": f"{kind} {item['number']}", "title": str(item["title"])}


def _row(panel: Panel, known: Mapping[Item, dict[str, str]], stages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    links = [known[item] for item in panel.items if item in known]
    return {
        "id": panel.anchor,
        "label": panel.label,
        "what": panel.what,
        "links": links,
        "missing": "" if links else _missing(panel, stages),
        "functions": panel.functions,
    }


def _missing(panel: Panel, stages: Mapping[str, Mapping[str, Any]]) -> str:
    """Return why the run has no such figure and what to give."""
    name = panel.items[0].stage
    stage = stages.get(name, {"title": name, "status": "pending", "reason": ""})
    title, reason = stage["title"], stage["reason"]
    if stage["status"] == "skipped":
        return phrase("panel_skipped", title=title, reason=reason)
    if stage["status"] in {"failed", "pending"}:
        return phrase(f"panel_{stage['status']}", title=title)
    return phrase("panel_missing", needs=panel.needs)

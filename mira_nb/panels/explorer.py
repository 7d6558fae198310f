"""The explorer: a map of the cells coloured by anything, selections, and what follows from them at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mira_nb.charts.theme import natural_sort
from mira_nb.errors import MiraError, ParameterError
from mira_nb.explorer import compare
from mira_nb.explorer.cells import LABELLED, CellData, Feature, Values
from mira_nb.explorer.pages import page
from mira_nb.explorer.search import Search
from mira_nb.keys import ATAC, LEIDEN, RNA
from mira_nb.report.explore.page import pseudotime_doubts
from mira_nb.report.findings.facts import Facts
from mira_nb.report.reader import read_run
from mira_nb.run.files import write_bytes
from mira_nb.run.store import plain_cells

from . import drawings, markup
from .browser_widgets import TableDeck
from .cell_map import CellMap
from .locus_view import LocusPanel
from .texts import phrase, words

MOST_SETS: Final = 12
"""Sets of cells that are drawn side by side."""
Use = Callable[[str, Mapping[str, Any]], str]
"""Takes what a selection is to be used as, and its values; returns what was done, in a sentence."""


class Explorer:
    """Map, selections, and the pictures and tables that follow.

    Parameters
    ----------
    root
        The run folder.
    use
        Called when a selection is to be the start, an end, or a subset of the analysis.

    Attributes
    ----------
    widget
        The page.

    Raises
    ------
    StoreError
        There is no map yet.
    """

    def __init__(self, root: Path, *, use: Use | None = None) -> None:
        self.data = CellData(root)
        self.search = Search(self.data)
        self._use = use
        self._lock = threading.RLock()
        self.values: Values | None = None
        self.map = CellMap(self.data, self.search, shown=self.show, kept=self.keep)
        self.note = widgets.HTML()
        self.pictures, self.page, self.marker_note = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.page.add_class("mn-page")
        self.table = TableDeck()
        self.locus = LocusPanel(self.data)
        self._build()
        self._list_selections()
        self.show(self._first())
        threading.Thread(target=self._prepare, daemon=True).start()

    def _build(self) -> None:
        text = words("explorer")
        self.first = widgets.Dropdown(description="Compare", style={"description_width": "initial"})
        self.second = widgets.Dropdown(description="with", style={"description_width": "initial"})
        self.test = widgets.Button(description="Find marker genes", tooltip=text["test"])
        self.test.add_class("mn-primary")
        self.test.on_click(lambda _: self._in_thread(self.find_markers))
        for menu in (self.first, self.second):
            menu.observe(lambda _: self._draw(), names="value")
        self.drop = widgets.Button(description="Delete selection", tooltip=text["drop"])
        self.drop.on_click(lambda _: self._try(self._drop))
        self.uses = widgets.Dropdown(
            description="Use it as",
            options=[("start of the trajectory", "start"), ("end of the trajectory", "end"),
                     ("groups (both selections)", "groups"), ("subset of a new run", "subset")],
            style={"description_width": "initial"},
        )  # fmt: skip
        self.use_button = widgets.Button(description="Use", tooltip=text["use"])
        self.use_button.on_click(lambda _: self._try(self._use_selection))
        rows = [[self.first, self.second, self.test, self.drop], [self.uses, self.use_button]]
        self.renamed = widgets.Text(description="Name", placeholder="name", style={"description_width": "initial"})
        self.rename = widgets.Button(description="Keep name", tooltip=text["rename"])
        self.rename.on_click(lambda _: self._try(self._rename))
        self.cluster = widgets.Dropdown(description="Cluster", style={"description_width": "initial"})
        self.label = widgets.Text(description="is called", style={"description_width": "initial"})
        self.keep_label = widgets.Button(description="Keep label", tooltip=text["label"])
        self.keep_label.on_click(lambda _: self._try(self._label))
        self.naming = _row([self.renamed, self.rename])
        self.labelling = _row([self.cluster, self.label, self.keep_label])
        if LEIDEN in self.data.annotations:
            self.cluster.options = natural_sort(self.data.annotations[LEIDEN].astype(str).unique())
        self.follow = widgets.VBox(
            [
                self.naming,
                self.labelling,
                self.page,
                self.pictures,
                self.locus.widget,
                *(_row(row) for row in rows),
                self.marker_note,
                self.table,
            ]
        )
        intro = widgets.HTML(f"<h2>Explorer</h2><p class='mn-purpose'>{markup.text(text['intro'])}</p>")
        self.widget = widgets.VBox([intro, self.map, self.note, self.follow])
        self.widget.add_class("mn-explorer")

    def _prepare(self) -> None:
        """Write counts by column before they are asked for."""
        for assay in (RNA, ATAC):
            try:
                self.data.columns[assay].make()
            except (MiraError, OSError) as error:
                self.map.say(str(error))

    def _first(self) -> str:
        if LEIDEN in self.data.annotations:
            return f"column:{LABELLED if self.data.kept.labels() else LEIDEN}"
        columns = list(self.data.annotations.columns)
        return f"column:{columns[0]}" if columns else f"gene:{self.data.genes[0]}"

    # ------------------------------------------------------------------ show
    def show(self, key: str) -> None:
        """Colour the map by a feature, and let pictures and page follow."""
        feature = self.search.feature(key)
        if feature is None:
            raise ParameterError(f"there is nothing called {key!r} here")
        values = self.data.values(feature)
        with self._lock:
            self.values = values
            self.map.show(values)
            self.note.value = ""
            self._draw()
            self.page.value = _page(page(self.data, feature))
            self.locus.show(feature.name if feature.kind in {"gene", "nite"} else "")
            is_topic = feature.kind == "topic"
            self.naming.layout.display = "" if is_topic else "none"
            self.labelling.layout.display = "" if _is_cluster(feature) else "none"
            if is_topic:
                self.renamed.description = f"Name of {feature.name}"
                self.renamed.value = self.data.kept.topics().get(feature.name, "")

    def sets(self) -> dict[str, NDArray[np.int64]]:
        """Return the sets of cells that are compared: the two that are chosen, else the clusters."""
        known = self.data.kept.selections()
        if self.first.value in known:
            names = [self.first.value, self.second.value]
            one = np.flatnonzero(self.data.names.isin(known[names[0]]))
            other = np.setdiff1d(np.arange(len(self.data.names)), one)
            if names[1] in known:
                other = np.flatnonzero(self.data.names.isin(known[names[1]]))
            return {names[0]: one, str(names[1]): other}
        for name in (LABELLED, LEIDEN):
            found = self.data.column_values(name)
            if found is not None and found.codes is not None:
                order = enumerate(found.categories[:MOST_SETS])
                return {category: np.flatnonzero(found.codes == i) for i, category in order}
        return {"all cells": np.arange(len(self.data.names))}

    def _draw(self) -> None:
        """Draw violins and curves of the value that is shown, for the sets that are compared."""
        values = self.values
        if values is None or values.numbers is None:
            self.pictures.value = f'<p class="mn-help">{markup.text(words("explorer")["numbers"])}</p>'
            return
        sets = self.sets()
        colours = drawings.set_colours(list(sets), self.data.palette)
        label = values.feature.shown
        violins = drawings.violins(compare.spreads(values.numbers, sets), label=label, colours=colours)
        lines = drawings.lines(compare.curves(self.data, values.numbers, sets), label=label, colours=colours)
        charts = "".join(f"<div>{chart}</div>" for chart in (violins, lines) if chart)
        notes = [values.unit, self._doubts() if lines else ""]
        below = "".join(f'<p class="mn-help">{markup.text(note)}</p>' for note in notes if note)
        self.pictures.value = f'{drawings.key(list(sets), colours)}<div class="mn-charts">{charts}</div>{below}'

    def _doubts(self) -> str:
        """Return what the verdicts of the run say against curves; a damaged record says nothing here."""
        try:
            return pseudotime_doubts(Facts(read_run(self.data.root)))
        except MiraError:
            return ""

    # ------------------------------------------------------------------ selections
    def keep(self, name: str, positions: NDArray[np.int64]) -> None:
        """Keep a selection under a name."""
        name = name.strip() or f"selection {len(self.data.kept.selections()) + 1}"
        kept = self.data.kept.keep_selection(name, self.data.names[positions].tolist())
        with self._lock:
            self._list_selections(chosen=kept)
            self._draw()
        self.locus.refresh()
        self.note.value = markup.alert("success", phrase("explorer", "kept", name=kept, n_cells=len(positions)))

    def _list_selections(self, chosen: str | None = None) -> None:
        known = self.data.kept.selections()
        options = [(f"{name} ({len(cells):,} cells)", name) for name, cells in known.items()]
        before = chosen or self.first.value
        others = self.second.value
        self.first.options = options or [("no selection yet", "")]
        self.first.value = before if before in known else self.first.options[0][1]
        self.second.options = [*options, (compare.REST, compare.REST)]
        self.second.value = others if others in known and others != self.first.value else compare.REST
        for button in (self.test, self.drop, self.use_button):
            button.disabled = not known

    def _drop(self) -> None:
        self.data.kept.drop_selection(self.first.value)
        self._list_selections()
        self.locus.refresh()
        self._draw()

    def find_markers(self) -> None:
        """Test all genes between the two sets, and show the table."""
        first, second = self.first.value, self.second.value
        self.test.disabled = True
        self.marker_note.value = '<p class="mn-help" role="status">Testing all genes</p>'
        try:
            found = compare.markers(self.data, first, second)
            path = Path("markers") / f"{len(list((self.data.kept.folder / 'markers').glob('*.csv'))) + 1}.csv"
            write_bytes(self.data.kept.folder / path, plain_cells(found.table).to_csv(index=False).encode("utf-8"))
            title = f"Genes of {first} against {second}"
            facts = {"title": title, "caption": words("explorer")["markers"], "file": path.as_posix()}
            item = {"name": "markers", "rows": len(found.table), **facts}
            self.table.show(self.data.kept.folder, [item], key=str(path))
            sampled = "" if found.n == found.tested else words("explorer")["sampled"].format(*found.tested)
            self.marker_note.value = (
                f'<p class="mn-help" role="status">{markup.text(title)}: {found.n[0]:,} and {found.n[1]:,} cells. '
                f"{markup.text(sampled)}</p>"
            )
        except MiraError as error:
            self.marker_note.value = markup.error_box({"message": str(error)})
        finally:
            self.test.disabled = False

    def _use_selection(self) -> None:
        kept, first, second = self.data.kept, self.first.value, self.second.value
        cells = kept.selections()[first]
        kind = self.uses.value
        values: dict[str, Any] = {"name": first, "cells": cells}
        if kind in {"start", "end"}:
            values["cell"] = compare.central_cell(self.data, cells)
        else:
            names = [first] if kind == "subset" or second == compare.REST else [first, second]
            values["names"], values["file"] = names, kept.groups(names)
        said = self._use(kind, values) if self._use else ""
        self.note.value = markup.alert("success", said) if said else ""

    # ------------------------------------------------------------------ names
    def _rename(self) -> None:
        if self.values is None:
            return
        topic = self.values.feature.name
        self.data.kept.name_topic(topic, self.renamed.value.strip())
        self.show(f"topic:{topic}")
        self.note.value = markup.alert("success", words("explorer")["renamed"].format(topic))

    def _label(self) -> None:
        self.data.kept.label(self.cluster.value, self.label.value)
        self.locus.refresh()
        self.show(f"column:{LABELLED}" if self.data.kept.labels() else f"column:{LEIDEN}")
        self.note.value = markup.alert("success", words("explorer")["labelled"].format(self.cluster.value))

    # ------------------------------------------------------------------ act
    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (MiraError, OSError) as error:
            self.note.value = markup.error_box({"message": str(error)})

    def _in_thread(self, action: Callable[[], None]) -> None:
        threading.Thread(target=lambda: self._try(action), daemon=True).start()


def _is_cluster(feature: Feature) -> bool:
    return feature.kind == "column" and feature.name in {LEIDEN, LABELLED}


def _row(children: list[Any]) -> Any:
    row = widgets.HBox(children)
    row.add_class("mn-row")
    return row


def _page(parts: list[Any]) -> str:
    """Return the lists of a page as HTML."""
    out = []
    for part in parts:
        body = f"<p>{markup.text(part.text)}</p>" if part.text else ""
        if part.table is not None:
            body = _rows(part.table) if len(part.table) else '<p class="mn-help">Nothing.</p>'
        out.append(f"<div><h3>{markup.text(part.heading)}</h3>{body}</div>")
    return f'<div class="mn-charts">{"".join(out)}</div>' if out else ""


def _rows(frame: pd.DataFrame) -> str:
    head = "".join(f'<th scope="col">{markup.text(str(name).replace("_", " "))}</th>' for name in frame.columns)
    rows = [
        "".join(f"<td>{markup.number(value.item() if hasattr(value, 'item') else value)}</td>" for value in row)
        for row in frame.itertuples(index=False)
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"

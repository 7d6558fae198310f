"""The report's locus view within the explorer: peaks of a gene with their weights, accessibility by group, hits."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anywidget
import ipywidgets as widgets
import pandas as pd

from mira_nb.errors import MiraError, StoreError
from mira_nb.explorer.cells import CellData
from mira_nb.explorer.groupings import grouping, groupings
from mira_nb.keys import DRIVERS, REGULATION
from mira_nb.report.explore import packing
from mira_nb.report.explore.locus import PROMOTER_BP, LocusInputs, locus_of, read_inputs
from mira_nb.report.explore.page import column_title, locus_caption
from mira_nb.report.explore.source import results

from .browser_widgets import ASSETS, SHARED
from .drawings import set_colours
from .texts import words

_SCRIPTS: Final = (
    SHARED / "common.js", ASSETS / "locus_page.js",
    *(SHARED / name for name in ("values.js", "pens.js", "views.js", "zip.js", "genes.js", "coverage.js", "locus.js")),
    ASSETS / "locus_view.js",
)  # fmt: skip


MOST_KEPT: Final = 3
"""Groupings whose values are kept in memory."""


class LocusView(anywidget.AnyWidget):
    """Locus of one gene; says why there is none.

    Parameters
    ----------
    data
        The run.

    Attributes
    ----------
    by
        One of :func:`.groupings`, whose groups have tracks; '' for one track of all cells.
    """

    _esm = "".join(path.read_text(encoding="utf-8") for path in _SCRIPTS)

    def __init__(self, data: CellData) -> None:
        super().__init__()
        self.data = data
        self.by = ""
        self._lock = threading.Lock()
        self._inputs: dict[tuple[str, bytes], LocusInputs] = {}
        self._gene = ""
        self.on_msg(self._heard)

    def show(self, gene: str) -> None:
        """Show the locus of a gene; an empty name hides the view."""
        self._gene = gene
        threading.Thread(target=self._answer, args=(gene, self.by), daemon=True).start()

    def _heard(self, _: Any, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        if message.get("kind") == "ready" and self._gene:
            self.show(self._gene)

    def _answer(self, gene: str, by: str) -> None:
        content, chunks = self.message(gene)
        if (gene, by) == (self._gene, self.by):  # nothing else was chosen meanwhile
            self.send(content, buffers=chunks)

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send a message to the page."""
        super().send(content, buffers=buffers)

    def message(self, gene: str) -> tuple[dict[str, Any], list[bytes]]:
        """Return what the page is sent for a gene: facts and packed values, or a sentence."""
        if not gene or REGULATION not in self.data.done:
            return {"kind": "none"}, []
        try:
            found = locus_of(self._read(), gene)
        except (MiraError, OSError) as error:
            return {"kind": "none", "text": str(error)}, []
        if found is None:
            return {"kind": "none", "text": words("explorer")["locus"].format(gene=gene)}, []
        facts = {**found.facts, "promoter_bp": self._promoter()}
        header = packing.header(found.sets, n_cells=found.n_peaks, cells="")
        colours = set_colours(facts["groups"], self.data.palette)
        chunks = {"loci": [chunk for item in found.sets for chunk in item.chunks], "coverage": []}
        content = {
            "kind": "locus", "gene": gene, "facts": facts, "header": header, "colours": colours,
            "caption": locus_caption(found),
        }  # fmt: skip
        if found.coverage is not None:
            chunks["coverage"] = list(found.coverage.values.chunks)
            content["coverage"] = packing.header((found.coverage.values,), n_cells=found.coverage.n_bins, cells="")
        content["chunks"] = {name: len(part) for name, part in chunks.items()}
        return content, [chunk for part in chunks.values() for chunk in part]

    def _read(self) -> LocusInputs:
        """Return what all loci are cut from, read once for the same groups."""
        groups = pd.Series(grouping(self.data, self.by), index=self.data.names)
        key = self.by, groups.cat.codes.to_numpy().tobytes()
        with self._lock:
            if key not in self._inputs:
                with results(self.data.root) as file:
                    found = read_inputs(file, groups, self._drivers())
                if found is None:
                    raise StoreError("results.h5mu holds no models of genes", remedy="run the stage regulation again")
                for old in list(self._inputs)[: 1 - MOST_KEPT]:
                    del self._inputs[old]
                self._inputs[key] = found
            return self._inputs[key]

    def _drivers(self) -> list[str]:
        """Return the called drivers, those of the largest effect first."""
        if DRIVERS not in self.data.done:
            return []
        try:
            table = self.data.store.table(DRIVERS, "driver_factors")
            called = table[table["called"].astype(str).str.lower() == "true"]
            return [str(name) for name in called.sort_values("effect_size", ascending=False)["factor"]]
        except (StoreError, KeyError):
            return []

    def _promoter(self) -> float:
        rows = (self.data.store.stage_record(REGULATION) or {}).get("parameters") or ()
        return next((row.get("used", row["value"]) for row in rows if row["name"] == "promoter_bp"), PROMOTER_BP)


class LocusPanel:
    """The locus view with a menu of the groups that have tracks in it.

    Parameters
    ----------
    data
        The run.

    Attributes
    ----------
    menu
        The groupings; at first that of the report.
    view
        The locus.
    widget
        Both.
    """

    def __init__(self, data: CellData) -> None:
        self.data, self.view = data, LocusView(data)
        self._gene, self._quiet = "", False
        self.menu = widgets.Dropdown(
            description=words("explorer")["locus_groups"], style={"description_width": "initial"}
        )
        self.row = widgets.HBox([self.menu])
        self.row.add_class("mn-row")
        self.refresh()
        self.menu.observe(lambda _: self._regroup(), names="value")
        self.widget = widgets.VBox([self.row, self.view])

    def show(self, gene: str) -> None:
        """Show the locus of a gene; an empty name hides menu and view."""
        self._gene = gene
        self.row.layout.display = "" if gene and REGULATION in self.data.done else "none"
        self.view.show(gene)

    def refresh(self) -> None:
        """Offer the groupings that there are now; what was chosen stays chosen while it is there."""
        chosen, found = self.menu.value, groupings(self.data)
        self._quiet = True  # new options choose the first one
        try:
            self.menu.options = [(column_title(name), name) for name in found] or [("all cells", "")]
            self.menu.value = chosen if chosen in found else self.menu.options[0][1]
        finally:
            self._quiet = False
        self._regroup()  # a selection of the same name may have other cells now

    def _regroup(self) -> None:
        if self._quiet:
            return
        self.view.by = self.menu.value or ""
        if self._gene:
            self.view.show(self._gene)

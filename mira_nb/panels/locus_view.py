"""The report's locus view within the explorer: peaks of a gene with their weights, accessibility by group, hits."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anywidget

from mira_nb.charts import theme
from mira_nb.errors import MiraError, StoreError
from mira_nb.explorer.cells import CellData
from mira_nb.keys import DRIVERS, LEIDEN, LINEAGE_STATE, REGULATION
from mira_nb.report.explore import packing
from mira_nb.report.explore.locus import PROMOTER_BP, LocusInputs, locus_of, read_inputs
from mira_nb.report.explore.source import results

from .browser_widgets import ASSETS, SHARED
from .texts import words

_SCRIPTS: Final = (
    SHARED / "common.js", ASSETS / "locus_page.js",
    *(SHARED / name for name in ("values.js", "pens.js", "views.js", "zip.js", "locus.js")),
    ASSETS / "locus_view.js",
)  # fmt: skip


class LocusView(anywidget.AnyWidget):
    """Locus of one gene; says why there is none.

    Parameters
    ----------
    data
        The run.
    """

    _esm = "".join(path.read_text(encoding="utf-8") for path in _SCRIPTS)

    def __init__(self, data: CellData) -> None:
        super().__init__()
        self.data = data
        self._lock = threading.Lock()
        self._inputs: LocusInputs | None = None
        self._gene = ""
        self.on_msg(self._heard)

    def show(self, gene: str) -> None:
        """Show the locus of a gene; an empty name hides the view."""
        self._gene = gene
        threading.Thread(target=self._answer, args=(gene,), daemon=True).start()

    def _heard(self, _: Any, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        if message.get("kind") == "ready" and self._gene:
            self.show(self._gene)

    def _answer(self, gene: str) -> None:
        content, chunks = self.message(gene)
        if gene == self._gene:  # no other gene was chosen meanwhile
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
        colours = theme.category_colors(facts["groups"])
        content = {"kind": "locus", "gene": gene, "facts": facts, "header": header, "colours": colours}
        return content, [chunk for item in found.sets for chunk in item.chunks]

    def _read(self) -> LocusInputs:
        """Return what all loci are cut from, read once."""
        with self._lock:
            if self._inputs is None:
                known = self.data.annotations
                grouping = next((name for name in (LINEAGE_STATE, LEIDEN) if name in known), "")
                with results(self.data.root) as file:
                    self._inputs = read_inputs(file, grouping, self._drivers())
            if self._inputs is None:
                raise StoreError("results.h5mu holds no models of genes", remedy="run the stage regulation again")
            return self._inputs

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

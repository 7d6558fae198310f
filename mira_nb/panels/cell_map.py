"""The map of the cells as a widget: sends coordinates and colours as bytes, hears of searches and selections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from mira_nb.charts import theme
from mira_nb.errors import MiraError, ParameterError
from mira_nb.explorer.cells import CellData, Values
from mira_nb.explorer.run_names import RunNames
from mira_nb.explorer.search import Search
from mira_nb.report.colors import Palette
from mira_nb.typing import Floats

from .browser_widgets import ASSETS, SHARED
from .texts import phrase

STEPS: Final = 254
"""Steps of a number's colour scale; 255 stands for a missing value."""
MISSING: Final = 255


class CellMap(anywidget.AnyWidget):
    """Map, search box and drawing tools.

    Parameters
    ----------
    data
        The run.
    search
        What can be searched.
    shown
        Called with the key of what was picked.
    kept
        Called with a name and the positions of the cells of a new selection.
    """

    _esm = "".join(
        path.read_text(encoding="utf-8")
        for path in (SHARED / "common.js", *(ASSETS / name for name in ("cloud.js", "search.js", "explorer.js")))
    )

    pick = traitlets.Unicode().tag(sync=True)
    """What the page asks for while one cell is to be picked; empty: nothing."""

    def __init__(
        self,
        data: CellData,
        search: Search,
        *,
        shown: Callable[[str], None],
        kept: Callable[[str, NDArray[np.int64]], None],
    ) -> None:
        super().__init__()
        self.data, self.search = data, search
        self._shown, self._kept = shown, kept
        self._values: Values | None = None
        self._taken: Callable[[str], None] | None = None
        self._cells = RunNames(data.root)
        self.on_msg(self._heard)

    def show(self, values: Values) -> None:
        """Colour the cells."""
        self._values = values
        self.send(*colour_message(values, self.data.palette))

    def ask_cell(self, hint: str, taken: Callable[[str], None]) -> None:
        """Ask for one cell, by a click or by name; `taken` is called with its name, or an empty one for none."""
        self._taken, self.pick = taken, hint

    def _picked(self, message: Mapping[str, Any]) -> None:
        name = str(message.get("name", ""))
        if "index" in message:
            name = str(self.data.names[int(message["index"])])
        if name and name not in self.data.names:
            raise ParameterError(phrase("stage", "unknown_name", name=name, nearest=[]))
        taken, self._taken, self.pick = self._taken, None, ""
        if taken is not None:
            taken(name)

    def say(self, text: str) -> None:
        """Show a sentence below the map."""
        self.send({"kind": "problem", "text": text})

    def _heard(self, _: Any, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        try:
            kind = message.get("kind")
            if kind == "ready":
                points, label = self.data.map
                self.send({"kind": "points", "n": len(points), "label": label}, buffers=[packed_points(points)])
                if self._values is not None:
                    self.show(self._values)
            elif kind == "search":
                found = self.search.find(str(message.get("text", "")))
                items = [{"key": item.key, "label": item.shown, "kind": item.kind} for item in found]
                self.send({"kind": "found", "id": message.get("id"), "items": items})
            elif kind == "search-cell":
                names = [name for name, _ in self._cells.find("cells", str(message.get("text", "")))]
                items = [{"label": name, "kind": ""} for name in names if name in self.data.names]
                self.send({"kind": "found-cell", "id": message.get("id"), "items": items})
            elif kind == "picked":
                self._picked(message)
            elif kind == "show":
                self._shown(str(message.get("key", "")))
            elif kind == "keep":
                flags = np.frombuffer(bytes(buffers[0]), dtype=np.uint8)
                self._kept(str(message.get("name", "")), np.flatnonzero(flags[: len(self.data.names)]))
        except (MiraError, OSError, IndexError) as error:
            self.say(str(error))

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send a message to the page."""
        super().send(content, buffers=buffers)


def packed_points(points: Floats) -> bytes:
    """Return coordinates as pairs of 16-bit numbers: the larger side fills the range, the map keeps its shape."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = float((high - low).max()) or 1.0
    place = (points - (low + high) / 2) / span + 0.5
    return np.round(np.clip(place, 0, 1) * 65535).astype("<u2").tobytes()


def colour_message(values: Values, palette: Palette) -> tuple[dict[str, Any], list[bytes]]:
    """Return what the page needs to colour the cells: facts, and a byte per cell.

    Parameters
    ----------
    values
        Values of the cells.
    palette
        Colours of the run's names.
    """
    facts: dict[str, Any] = {
        "kind": "colour", "key": values.feature.key, "label": values.feature.shown, "unit": values.unit,
        "numeric": values.numbers is not None,
    }  # fmt: skip
    if values.numbers is not None:
        low, high, steps = scaled(values.numbers)
        return {**facts, "low": low, "high": high, "colours": list(scale_colours())}, [steps.tobytes()]
    codes = np.asarray(values.codes)
    colours = palette.of(values.categories)
    counts = np.bincount(codes[codes >= 0], minlength=len(values.categories))
    facts |= {"names": list(values.categories), "colours": list(colours.values()), "counts": counts.tolist()}
    return facts, [np.where(codes < 0, MISSING, codes).astype(np.uint8).tobytes()]


def scaled(numbers: Floats) -> tuple[float, float, NDArray[np.uint8]]:
    """Return the ends of a colour scale, and the step of every value; the most extreme 1 in 500 take an end's."""
    known = np.isfinite(numbers)
    if not known.any():
        return 0.0, 0.0, np.full(len(numbers), MISSING, dtype=np.uint8)
    low, high = (float(x) for x in np.percentile(numbers[known], (0.2, 99.8)))
    if high <= low:
        low, high = float(numbers[known].min()), float(numbers[known].max())
    place = np.clip((np.where(known, numbers, low) - low) / ((high - low) or 1.0), 0, 1)
    return low, high, np.where(known, np.round(place * STEPS), MISSING).astype(np.uint8)


@cache
def scale_colours() -> tuple[str, ...]:
    """Return the colours of numbers: the sequential scale of all charts."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return tuple(to_hex(colormaps[theme.SEQUENTIAL_MPL](i / STEPS)) for i in range(STEPS + 1))

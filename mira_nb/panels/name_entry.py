"""An entry for names of the run: searched while typing, several as a list, wrong ones marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from mira_nb.explorer.run_names import RunNames
from mira_nb.stages.describe import Parameter

from .browser_widgets import ASSETS, SHARED
from .texts import words


class NameEntry(anywidget.AnyWidget):
    """Entry of a parameter that names genes, cells, groups, topics, factors or columns.

    Parameters
    ----------
    spec
        The parameter, which says what it names.
    names
        What the run has.
    value
        What is entered at first: names, separated by commas.
    """

    _esm = "".join(
        path.read_text(encoding="utf-8") for path in (SHARED / "common.js", ASSETS / "search.js", ASSETS / "names.js")
    )
    label = traitlets.Unicode().tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    several = traitlets.Bool().tag(sync=True)
    value = traitlets.Unicode().tag(sync=True)
    wrong: Any = traitlets.List().tag(sync=True)
    pickable = traitlets.Bool().tag(sync=True)
    """Whether a cell can be picked on the map."""
    pick_label = traitlets.Unicode().tag(sync=True)
    returned = traitlets.Bool().tag(sync=True)
    """Whether the reader comes back from the map."""

    def __init__(self, spec: Parameter, names: RunNames, *, value: str = "") -> None:
        self.spec, self.names = spec, names
        self.pick: Callable[[str], None] = lambda _: None
        hint = words("stage")["names"].get(spec.choices_from, "")
        super().__init__(
            label=spec.label,
            placeholder=hint,
            several=spec.kind == "list",
            value=value,
            pick_label=words("stage")["pick"],
        )
        self.on_msg(self._asked)

    def _asked(self, _: Any, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Answer a search of the page, or open the map."""
        if message.get("kind") == "pick":
            self.pick(self.spec.name)
        if message.get("kind") != "search":
            return
        text = str(message.get("text", ""))
        if self.spec.kind != "list" and text == self.value:
            text = ""  # a name that is entered already: all others are offered
        fixed = [(word, "") for word in self.spec.words if text.casefold() in word.casefold()]
        found = [*fixed, *self.names.find(self.spec.choices_from, text)]
        items = [{"value": name, "label": name, "kind": more} for name, more in found]
        self.send({"kind": "found", "id": message.get("id"), "items": items})

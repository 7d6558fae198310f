"""The explorer within the page of a run: made when it is opened, and made anew when results change."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

import ipywidgets as widgets

from mira_nb.errors import MiraError
from mira_nb.keys import JOINT_STAGE, PREPARE, TRAJECTORY
from mira_nb.run.store import RunStore

from . import markup
from .explorer import Explorer
from .texts import phrase, words

NAME: Final = "explorer"
Propose = Callable[[str, Mapping[str, Any]], None]


class ExplorerTab:
    """The entry of the explorer in the list of stages, and its page.

    Parameters
    ----------
    store
        The run folder.
    propose
        Puts values into the form of a stage.
    """

    def __init__(self, store: RunStore, propose: Propose) -> None:
        self.store, self._propose = store, propose
        self._page: Any = None
        self._explorer: Explorer | None = None
        self._made_for: Any = None
        self._ends: list[str] = []

    def items(self) -> list[dict[str, str]]:
        """Return the entry of the list, once there is a map to explore."""
        if not self._done():
            return []
        return [{"name": NAME, "title": "Explorer", "status": "done", "label": "map, selections, names"}]

    def widget(self) -> Any:
        """Return the page for the results that are there."""
        state = self._done()
        if self._page is None or state != self._made_for:
            self._made_for = state
            try:
                self._explorer = Explorer(self.store.root, use=self.use)
                self._page = self._explorer.widget
            except (MiraError, OSError) as error:
                self._explorer = None
                self._page = widgets.HTML(markup.error_box({"message": str(error)}))
        return self._page

    def pick(self, label: str, taken: Callable[[str], None]) -> bool:
        """Ask for one cell on the map; return whether there is one.

        Parameters
        ----------
        label
            What the cell is to be.
        taken
            Called with its name, or with an empty one where none was picked.
        """
        if not self.items():
            return False
        self.widget()
        if self._explorer is not None:
            self._explorer.map.ask_cell(phrase("explorer", "pick", label=label), taken)
        return self._explorer is not None

    def _done(self) -> dict[str, str]:
        """Return the keys of the results; empty without a map."""
        stages = self.store.read_record().get("stages", {})
        keys = {name: str(entry.get("key")) for name, entry in stages.items() if entry.get("status") == "done"}
        return keys if keys.keys() & {PREPARE, JOINT_STAGE} else {}

    def use(self, kind: str, values: Mapping[str, Any]) -> str:
        """Use a selection as start or end of the trajectory; say how to use it as groups or subset of a new run."""
        text = words("explorer")
        if kind == "start":
            self._propose(TRAJECTORY, {"start_cell": values["cell"]})
        elif kind == "end":
            name = str(values["name"]).replace("=", " ")
            self._ends = [item for item in self._ends if item.partition("=")[0] != name] + [f"{name}={values['cell']}"]
            self._propose(TRAJECTORY, {"terminal_cells": self._ends})
        else:
            return str(text["file"]).format(file=values["file"], command=self.command(kind, values))
        return str(text[kind]).format(**{key: values[key] for key in ("name", "cell")})

    def command(self, kind: str, values: Mapping[str, Any]) -> str:
        """Return the command of a new run with selections as groups, or with the cells of one alone."""
        record = self.store.read_record()
        given = {**record.get("input_spec", {}), **record.get("resource_paths", {}), "obs": str(values["file"])}
        given |= {"groups": "selection"} if kind == "groups" else {"subset": f"selection={values['name']}"}
        parts = ["mira-nb", "run"]
        for name, value in given.items():
            for item in value if isinstance(value, list) else [value]:
                if item is not None:
                    parts += [f"--{name.replace('_', '-')}", str(item)]
        return shlex.join([*parts, "--out", f"{self.store.root}-{kind}"])

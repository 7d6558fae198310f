"""Which cells a new run analyses: a column and some of its values, chosen from what the data hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from mira_nb.errors import InputError
from mira_nb.io.cluster_labels import read_cluster_labels
from mira_nb.io.subset import subset_text
from mira_nb.keys import CELL_LABEL, LEIDEN

from .texts import words


class SubsetChoice:
    """Menus of a column and of its values.

    Parameters
    ----------
    changed
        Called when another column or other values are chosen.

    Attributes
    ----------
    column, values
        The menus.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        text = words("start")
        style = {"style": {"description_width": "13em"}}
        self.column = widgets.Dropdown(
            options=[(text["all_cells"], "")], value="", description=text["labels"]["subset"], **style
        )
        self.values = widgets.SelectMultiple(description=text["labels"]["subset_values"], rows=5, **style)
        for entry in (self.column, self.values):
            entry.add_class("mn-entry")
            entry.add_class("mn-wide")
        self._known: Mapping[str, Sequence[str]] = {}
        self._changed, self._quiet = changed, False
        self._show_values(())
        self.column.observe(lambda _: self._chosen(), names="value")
        self.values.observe(lambda _: self._quiet or self._changed(), names="value")

    def fill(self, columns: Mapping[str, Sequence[str]], labels: Path | None) -> None:
        """Offer the columns of the data, and clusters and labels of a table; what is still there stays chosen.

        Parameters
        ----------
        columns
            Values by column.
        labels
            Table of labels of clusters, if one was chosen.
        """
        column, values = self.column.value, self.values.value
        self._known = {**columns, **{name: known for name, known in _later(labels).items() if name not in columns}}
        titles = words("start")["later"]
        self._quiet = True
        try:
            offered = [(str(titles.get(name, name)) if name not in columns else name, name) for name in self._known]
            self.column.options = [(words("start")["all_cells"], ""), *offered]
            left = [value for value in values if value in self._known.get(column, ())]
            self.column.value = column if left else ""
            self._show_values(left)
        finally:
            self._quiet = False

    @property
    def incomplete(self) -> bool:
        """Whether a column is chosen but no value of it."""
        return bool(self.column.value) and not self.values.value

    def text(self) -> str | None:
        """Return the subset as ``--subset`` takes it; None for all cells."""
        if not self.column.value or not self.values.value:
            return None
        return subset_text(self.column.value, self.values.value)

    def _chosen(self) -> None:
        if self._quiet:
            return
        self._quiet = True
        try:
            self._show_values(())
        finally:
            self._quiet = False
        self._changed()

    def _show_values(self, chosen: Sequence[str]) -> None:
        known = list(self._known.get(self.column.value, ()))
        self.values.options = known
        self.values.value = tuple(value for value in chosen if value in known)
        self.values.layout.display = "" if self.column.value else "none"


def _later(labels: Path | None) -> dict[str, Sequence[str]]:
    """Return what the stage joint makes of a table of labels; nothing where it cannot be read, as the check says."""
    if labels is None:
        return {}
    try:
        table = read_cluster_labels(labels)
    except (InputError, OSError):
        return {}
    clusters: dict[str, Any] = {**table.labels, **table.sizes}
    return {CELL_LABEL: table.names, LEIDEN: list(clusters)}

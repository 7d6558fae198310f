"""A fold: a head that shows and hides what is below it, with the mouse and with the keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from .browser_widgets import script


class FoldHead(anywidget.AnyWidget):
    """The button of a fold."""

    _esm = script("common.js", "fold.js")
    title = traitlets.Unicode().tag(sync=True)
    shown = traitlets.Bool().tag(sync=True)


class Fold:
    """Parts of a page under a head that says what they are.

    Parameters
    ----------
    title
        What the head says.
    children
        What is shown when it is open.
    open
        Whether it is open at first.

    Attributes
    ----------
    widget
        Head and body.
    """

    def __init__(self, title: str, children: Sequence[Any], *, open: bool = False) -> None:
        self.head = FoldHead(title=title, shown=open)
        self.body = widgets.VBox(list(children))
        self.widget = widgets.VBox([self.head, self.body])
        self.widget.add_class("mn-fold")
        self.head.observe(lambda _: self._show(), names="shown")
        self._show()

    @property
    def title(self) -> str:
        """What the head says."""
        return str(self.head.title)

    @title.setter
    def title(self, text: str) -> None:
        if self.head.title != text:
            self.head.title = text

    @property
    def open(self) -> bool:
        """Whether the body is shown."""
        return bool(self.head.shown)

    @open.setter
    def open(self, value: bool) -> None:
        self.head.shown = value

    def _show(self) -> None:
        self.body.layout.display = "" if self.head.shown else "none"

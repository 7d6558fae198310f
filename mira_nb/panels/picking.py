"""Pick a cell for a parameter on the map: the explorer opens, one cell is chosen, and the form shows again."""

from __future__ import annotations

from collections.abc import Callable

from .explorer_tab import NAME, ExplorerTab
from .form import ParamsForm


class Picking:
    """The way from a form to the map and back.

    Parameters
    ----------
    explorer
        The explorer of the run.
    form
        Returns the form of a stage.
    show
        Shows a stage, or the explorer, by its name.
    """

    def __init__(
        self, explorer: ExplorerTab, form: Callable[[str], ParamsForm | None], show: Callable[[str], None]
    ) -> None:
        self.explorer, self._form, self._show = explorer, form, show

    @property
    def possible(self) -> bool:
        """Whether there is a map."""
        return bool(self.explorer.items())

    def ask(self, stage: str, parameter: str) -> None:
        """Open the map for one parameter of a stage; nothing happens without a map."""
        form = self._form(stage)
        if form is None:
            return
        label = form.fields[parameter].spec.label
        if self.explorer.pick(label, lambda cell: self._picked(stage, parameter, cell)):
            self._show(NAME)

    def _picked(self, stage: str, parameter: str, cell: str) -> None:
        """Put a cell into the form, an empty name meaning that none was picked, and show it again."""
        form = self._form(stage)
        if form is not None:
            form.fields[parameter].take(cell)
        self._show(stage)

"""The list of versions on the page of a run: open the report of an earlier one, or restore it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from mira_nb.errors import MiraError
from mira_nb.run.versions import Version, restore_version, versions

from . import markup
from .browser_widgets import FileButtons, Reply, inside
from .fold import Fold
from .texts import words


class VersionList:
    """Versions of a run folder, the latest first.

    Parameters
    ----------
    root
        The run folder.
    restored
        Called when a version was restored.

    Attributes
    ----------
    widget
        The list, empty without a version.
    """

    def __init__(self, root: Path, restored: Callable[[], None]) -> None:
        self.root, self._restored = Path(root), restored
        self._shown: list[Version] = []
        self._buttons: list[Any] = []
        self.said = widgets.HTML()
        self.reports = FileButtons(self._report)
        self.rows = widgets.VBox([])
        self.rows.add_class("mn-runs")
        help_text = widgets.HTML(f'<p class="mn-help">{markup.text(words("versions")["help"])}</p>')
        self._fold = Fold(words("versions")["title"], [help_text, self.said, self.rows])
        self.widget = widgets.VBox([])

    def update(self, *, busy: bool) -> None:
        """Show what there is; nothing can be restored while something is computed."""
        found = versions(self.root)[::-1]
        if found != self._shown:
            self._shown = found
            self._buttons = []
            self.rows.children = [self._row(version) for version in found]
            self.widget.children = [self._fold.widget] if found else []
        for button in self._buttons:
            button.disabled = busy

    def _row(self, version: Version) -> Any:
        text = words("versions")["row"].format(
            number=version.number,
            made=version.made[:16].replace("T", " "),
            reason=version.reason,
            stages=len(version.done),
            size=f"{version.bytes / 1e6:,.1f}",
        )
        report = FileButtons(self._report)
        name = f"report of version {version.number}"
        report.items = [{"id": str(version.number), "label": f"Open the {name}", "open": True, "bytes": -1}]
        button = widgets.Button(description="Restore", tooltip=f"Make version {version.number} the present one")
        button.add_class("mn-quiet")
        button.on_click(lambda _: threading.Thread(target=self.restore, args=(version.number,), daemon=True).start())
        self._buttons.append(button)
        row = widgets.HBox([widgets.HTML(f"<p>{markup.text(text)}</p>"), report, button])
        row.add_class("mn-run-row")
        return row

    def _report(self, number: str) -> Reply:
        chosen = next(version for version in self._shown if version.number == int(number))
        path = inside(self.root, chosen.report.relative_to(self.root).as_posix())
        return Reply(path.read_bytes(), "report.html", "text/html;charset=utf-8")

    def restore(self, number: int) -> None:
        """Restore a version and say so on the page."""
        for button in self._buttons:
            button.disabled = True
        try:
            self.said.value = markup.alert("success", restore_version(self.root, number))
        except (MiraError, OSError) as error:
            self.said.value = markup.error_box({"message": str(error)})
        self._restored()

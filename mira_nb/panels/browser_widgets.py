"""Widgets of our own: stage list, figures, tables, file buttons. Each is a small script in ``assets`` and its data.

Data travel on request, as bytes over the widget's own channel: nothing is fetched from a server route, so it works the
same under Voila, in a notebook and behind a proxy, without any request to the outside.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from mira_nb.charts import theme
from mira_nb.errors import MiraError, StoreError
from mira_nb.report.colors import Palette
from mira_nb.report.embed import plain_json
from mira_nb.report.names import named_spec, named_text, topic_names
from mira_nb.report.palette import read_palette
from mira_nb.report.tables import Limit, read_table
from mira_nb.run.files import write_bytes

ASSETS: Final = Path(__file__).parent / "assets"
SHARED: Final = Path(__file__).parents[1] / "report" / "assets"
"""Scripts that the report uses too."""
MAX_TABLE_ROWS: Final = 20_000
"""Rows sent to the page; the complete file has all."""
MAX_TABLE_BYTES: Final = 10_000_000
MAX_BYTES: Final = 60_000_000
"""Largest file handed out through the page."""


def script(*names: str) -> str:
    """Return scripts as one: all but the last are those of the report."""
    folders = [*[SHARED] * (len(names) - 1), ASSETS]
    return "".join((folder / name).read_text(encoding="utf-8") for folder, name in zip(folders, names, strict=True))


@cache
def stylesheet() -> str:
    """Return the style sheet of the panels."""
    return "".join((ASSETS / name).read_text(encoding="utf-8") for name in ("panels.css", "explorer.css"))


@cache
def vega_bundle() -> bytes:
    """Return Vega, Vega-Lite and vega-embed as one script.

    Building it takes seconds, so it is kept in the user's cache folder.
    """
    import platformdirs
    import vl_convert

    version = metadata.version("vl-convert-python")
    path = Path(platformdirs.user_cache_dir("mira_nb")) / f"vega-{version}.js"
    try:
        return path.read_bytes()
    except OSError:
        bundle: bytes = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode()
    with contextlib.suppress(OSError):  # a read-only home only costs time
        write_bytes(path, bundle)
    return bundle


@dataclass(frozen=True)
class Reply:
    """Answer to a request of the page."""

    content: bytes
    name: str = ""
    mime: str = "application/octet-stream"


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file of `folder`.

    Raises
    ------
    StoreError
        When the name, or a link, leads out of the folder: records of a run that came from elsewhere can say anything.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise StoreError(f"{name} lies outside of {folder.name}", remedy="only files of the run folder are handed out")
    return path


class _Asked(anywidget.AnyWidget):
    """Widget that answers requests ``{"kind": ..., "id": ...}`` with bytes, or with the problem in one sentence."""

    items: Any = traitlets.List().tag(sync=True)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.on_msg(self._asked)

    def answer(self, kind: str, name: str) -> Reply:
        """Answer one request; a :class:`MiraError` or OSError is shown on the page."""
        raise NotImplementedError

    def _asked(self, _: Any, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        kind, name = str(message.get("kind", "")), str(message.get("id", ""))
        try:
            reply = self.answer(kind, name)
            if len(reply.content) > MAX_BYTES:
                raise MiraError(
                    f"{reply.name} is too large to pass through the page", remedy="take it from the run folder"
                )
        except (MiraError, OSError, ValueError, KeyError) as error:
            self.send({"kind": "problem", "id": name, "text": str(error)})
            return
        self.send({"kind": kind, "id": name, "name": reply.name, "mime": reply.mime}, buffers=[reply.content])


def _names(folder: Path) -> dict[str, str]:
    """Return the names of topics that hold in a stage's folder."""
    return topic_names(folder.parents[1]) if folder.parent.name == "stages" else {}


def _palette(folder: Path) -> Palette:
    """Return the colours of the run that a stage's folder belongs to."""
    return read_palette(folder.parents[1]) if folder.parent.name == "stages" else Palette()


def _worded(item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return title, caption and alternative text of a figure or table with the names of topics."""
    return {part: named_text(str(item[part]), names) for part in ("title", "caption", "alt") if part in item}


class StageList(anywidget.AnyWidget):
    """The list of stages with their status; ``selected`` is the one shown."""

    _esm = script("common.js", "nav.js")
    items: Any = traitlets.List().tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)


class FigureGallery(_Asked):
    """All figures of a stage; each is read and drawn when it comes into view."""

    _esm = script("common.js", "packed.js", "figures.js")
    config = traitlets.Dict().tag(sync=True)

    def __init__(self) -> None:
        super().__init__(config=theme.config())
        self._folder = Path()
        self._files: dict[str, str] = {}

    def show(self, folder: Path, figures: Sequence[Mapping[str, Any]], *, key: str) -> None:
        """Show the figures that a stage.json lists; `key` makes a new result differ from an old one."""
        self._folder = folder
        self._files = {item["name"]: item["file"] for item in figures}
        shown = ("name", "title", "caption", "alt", "section")
        names, palette = _names(folder), _palette(folder)
        key = f"{key} {sorted(names.items())} {palette.digest()}"
        self.items = [
            {**{name: item.get(name, "") for name in shown}, **_worded(item, names), "key": key} for item in figures
        ]

    def answer(self, kind: str, name: str) -> Reply:
        """Return the Vega bundle or the file of one figure."""
        if kind == "library":
            return Reply(vega_bundle(), "vega.js", "text/javascript")
        path = inside(self._folder, self._files[name])
        mime = {".png": "image/png", ".svg": "image/svg+xml"}.get(path.suffix, "application/json")
        content = path.read_bytes()
        if path.suffix == ".json":
            spec = _palette(self._folder).apply(json.loads(content))
            content = plain_json(named_spec(spec, _names(self._folder))).encode("utf-8")
        return Reply(content, path.name, mime)


class TableDeck(_Asked):
    """All tables of a stage: one at a time, sorted, filtered and paged in the page."""

    _esm = script("common.js", "tables.js", "deck.js")

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path()
        self._tables: dict[str, Mapping[str, Any]] = {}

    def show(self, folder: Path, tables: Sequence[Mapping[str, Any]], *, key: str) -> None:
        """Show the tables that a stage.json lists."""
        self._folder = folder
        self._tables = {item["name"]: item for item in tables}
        names = _names(folder)
        key = f"{key} {sorted(names.items())}"
        self.items = [
            {**{name: item[name] for name in ("name", "rows")}, **_worded(item, names), "key": key} for item in tables
        ]

    def answer(self, kind: str, name: str) -> Reply:
        """Return one table, as columns for the page or as its CSV file."""
        item = self._tables[name]
        path = inside(self._folder, item["file"])
        if kind == "csv":
            return Reply(path.read_bytes(), path.name, "text/csv")
        return Reply(table_message(path, names=_names(self._folder)), path.name, "application/json")


def table_message(path: Path, *, max_rows: int = MAX_TABLE_ROWS, names: Mapping[str, str] | None = None) -> bytes:
    """Return a CSV table as the JSON that ``tables.js`` shows; `note` says what was cut from a long one."""
    limit = Limit(max_rows, MAX_TABLE_BYTES)
    view = read_table(path, whole=limit, cut=limit, names=names)
    return plain_json({**view.payload, "note": view.note}).encode()


class FileButtons(_Asked):
    """Buttons that save a file, or open it in a new tab.

    Parameters
    ----------
    read
        Called with a button's id; returns the file's content.
    """

    _esm = script("common.js", "files.js")

    def __init__(self, read: Callable[[str], Reply]) -> None:
        super().__init__()
        self._read = read

    def answer(self, kind: str, name: str) -> Reply:
        """Return the file behind a button."""
        return self._read(name)

"""Files that are uploaded through the page, piece by piece, into ``uploads`` below the served root."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from mira_nb.errors import MiraError, ParameterError

from .browser_widgets import script

MAX_UPLOAD: Final = 2_000_000_000
"""Largest file that is taken, in bytes."""
FOLDER: Final = "uploads"


class Upload(anywidget.AnyWidget):
    """A field for files; each arrives in pieces and is renamed when it is whole.

    Parameters
    ----------
    root
        The served root.
    received
        Called with the path of every file that has arrived.
    """

    _esm = script("common.js", "upload.js")
    limit = traitlets.Int(MAX_UPLOAD).tag(sync=True)

    def __init__(self, root: Path, received: Callable[[Path], None]) -> None:
        super().__init__()
        self.folder = Path(root) / FOLDER
        self._received = received
        self._targets: dict[str, Path] = {}
        self.on_msg(self._take)

    def _take(self, _: Any, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        number = str(message.get("id", ""))
        try:
            answer = self.take(number, message, bytes(buffers[0]) if buffers else b"")
        except (MiraError, OSError, ValueError, KeyError) as error:
            self.send({"kind": "problem", "id": number, "text": str(error)})
            return
        self.send({"kind": "taken", "id": number, **answer})

    def take(self, number: str, message: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        """Write one piece and return what to send next.

        Raises
        ------
        ParameterError
            When the file is too large, its pieces do not follow each other, or its name is none.
        """
        size, offset = int(message["size"]), int(message["offset"])
        name = Path(str(message["name"]).replace("\\", "/")).name
        if size > self.limit or offset + len(content) > size:
            raise ParameterError(f"{name} is too large", expected=f"at most {self.limit / 1e6:,.0f} MB")
        if not name or name.startswith(".") or not name.isprintable():
            raise ParameterError(f"{name!r} is not a name for a file", remedy="rename it before uploading")
        if offset == 0:
            self._targets[number] = self._free(name)
        target = self._targets.get(number)
        if target is None:
            raise ParameterError(f"the beginning of {name} is missing", remedy="upload it again")
        partial = target.with_name(f".{target.name}.partial")
        if offset != (partial.stat().st_size if offset else 0):
            raise ParameterError(f"a piece of {name} is missing", remedy="upload it again")
        with partial.open("ab" if offset else "wb") as stream:
            stream.write(content)
        if offset + len(content) < size:
            return {"offset": offset + len(content)}
        partial.replace(target)
        del self._targets[number]
        self._received(target)
        return {"done": True, "name": target.name}

    def _free(self, name: str) -> Path:
        """Return a path of that name, or with a number where a file of that name is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        stem, dot, ending = name.partition(".")
        names = (name if number == 1 else f"{stem}-{number}{dot}{ending}" for number in range(1, 1000))
        return next(self.folder / item for item in names if not (self.folder / item).exists())

"""Presets: parameters kept under a name, each a file that ``mira-nb run --params`` takes too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mira_nb.errors import ParameterError

from .messages import refusal
from .parameter_files import read_parameters, write_parameters

FOLDER: Final = "presets"
ENDING: Final = ".yaml"
LONGEST_NAME: Final = 60
_NAME: Final = re.compile(r"\w[\w .-]*")


class Presets:
    """The presets of one folder.

    Parameters
    ----------
    folder
        Where they are kept; made when the first one is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """Return the names of the presets, sorted."""
        try:
            found = [path.stem for path in self.folder.glob(f"*{ENDING}") if _is_name(path.stem)]
        except OSError:
            return []
        return sorted(found, key=str.casefold)

    def path(self, name: str) -> Path:
        """Return the file of a preset, whether it is there or not.

        Raises
        ------
        ParameterError
            The name cannot be that of a file.
        """
        name = name.strip()
        if not _is_name(name):
            raise refusal(ParameterError, "preset_name", name=name, longest=LONGEST_NAME)
        return self.folder / f"{name}{ENDING}"

    def read(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the parameters of a preset by stage and name.

        Raises
        ------
        ParameterError
            There is no such preset, or its file has another form.
        """
        path = self.path(name)
        if not path.is_file():
            raise refusal(ParameterError, "preset_missing", name=name, known=self.names())
        return read_parameters(path)

    def save(self, name: str, values: Mapping[str, Mapping[str, Any]]) -> Path:
        """Keep parameters under a name; a preset of this name is replaced."""
        return write_parameters(self.path(name), values)

    def delete(self, name: str) -> None:
        """Delete a preset; nothing happens where there is none."""
        self.path(name).unlink(missing_ok=True)


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST_NAME and bool(_NAME.fullmatch(text)) and not text.endswith((".", " "))

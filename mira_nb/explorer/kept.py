"""What a user named and selected, as plain tables of the run folder.

DIR/explorer/selections.csv   cell, selection: a row per cell of each selection
DIR/explorer/labels.csv       cluster, label: clusters with one label are one
DIR/explorer/topics.csv       topic, name
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd
from filelock import FileLock

from mira_nb.errors import ParameterError
from mira_nb.report.names import FILE as topic_file
from mira_nb.report.names import topic_names
from mira_nb.run.contents import CRATE
from mira_nb.run.files import write_bytes
from mira_nb.run.selections import SELECTIONS, read_selections
from mira_nb.run.store import plain_cells
from mira_nb.text import from_spreadsheet_cell

from .messages import refusal

FOLDER: Final = "explorer"
LONGEST: Final = 40
"""Characters of a name."""


class Kept:
    """The tables of one run folder.

    Parameters
    ----------
    root
        The run folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.folder = self.root / FOLDER

    @property
    def selections_file(self) -> Path:
        """Cells of the selections."""
        return self.root / SELECTIONS

    @property
    def labels_file(self) -> Path:
        """Names of clusters, as ``mira-nb run --labels`` reads them."""
        return self.folder / "labels.csv"

    @property
    def topics_file(self) -> Path:
        """Names of topics."""
        return self.root / topic_file

    # ------------------------------------------------------------------ selections
    def selections(self) -> dict[str, list[str]]:
        """Return the names of the cells of each selection, in the order in which they were made."""
        return read_selections(self.root)

    def keep_selection(self, name: str, cells: Sequence[str]) -> str:
        """Keep a selection; one of this name is replaced. Returns the name as it is kept.

        Raises
        ------
        ParameterError
            The name is no name, or there is no cell.
        """
        name = checked_name(name)
        if not len(cells):
            raise refusal(ParameterError, "nothing_selected")
        with self._locked():
            self._write_selections({**self.selections(), name: list(cells)})
        return name

    def drop_selection(self, name: str) -> None:
        """Forget a selection."""
        with self._locked():
            self._write_selections({key: cells for key, cells in self.selections().items() if key != name})

    def _write_selections(self, selections: Mapping[str, Sequence[str]]) -> None:
        rows = [(cell, name) for name, cells in selections.items() for cell in cells]
        _write(self.selections_file, pd.DataFrame(rows, columns=["cell", "selection"]))

    def groups(self, names: Sequence[str]) -> Path:
        """Write selections as an annotation for ``--obs``, of which cells of none have no value.

        Raises
        ------
        ParameterError
            A cell is in two of them.
        """
        known = self.selections()
        rows = pd.DataFrame(
            [(cell, name) for name in names for cell in known.get(name, ())], columns=["cell", "selection"]
        )
        twice = rows["cell"].duplicated()
        if twice.any():
            raise refusal(ParameterError, "cells_in_two", n_cells=int(twice.sum()), names=names)
        path = self.folder / "groups.csv"
        _write(path, rows)
        return path

    # ------------------------------------------------------------------ names
    def labels(self) -> dict[str, str]:
        """Return the label of each cluster that has one."""
        return _mapping(self.labels_file, "cluster", "label")

    def label(self, cluster: str, label: str) -> None:
        """Name a cluster; an empty label takes its name back."""
        self._name(self.labels_file, ("cluster", "label"), cluster, label)

    def topics(self) -> dict[str, str]:
        """Return the name of each topic that has one."""
        return topic_names(self.root)

    def name_topic(self, topic: str, name: str) -> None:
        """Name a topic; an empty name takes its name back.

        Raises
        ------
        ParameterError
            Another topic has this name.
        """
        others = {key: value for key, value in self.topics().items() if key != topic}
        if name and checked_name(name) in others.values():
            raise refusal(ParameterError, "topic_name_taken", name=name)
        self._name(self.topics_file, ("topic", "name"), topic, name)

    def _name(self, path: Path, columns: tuple[str, str], key: str, name: str) -> None:
        with self._locked():
            known = _mapping(path, *columns)
            known.pop(key, None)
            if name.strip():
                known[key] = checked_name(name)
            _write(path, pd.DataFrame(sorted(known.items()), columns=list(columns)))

    def _locked(self) -> FileLock:
        """Return the lock under which a table is read, changed and written: two pages may be open."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / ".lock", timeout=10)


def _write(path: Path, frame: pd.DataFrame) -> None:
    (path.parents[1] / CRATE).unlink(missing_ok=True)  # it names this table with its hash
    write_bytes(path, plain_cells(frame).to_csv(index=False).encode("utf-8"))


def checked_name(name: str) -> str:
    """Return a name without outer spaces.

    Raises
    ------
    ParameterError
        It is empty, too long, or holds control characters.
    """
    plain = " ".join(name.split())
    if not plain or len(plain) > LONGEST or re.search(r"[\x00-\x1f\x7f|]", plain):
        raise refusal(ParameterError, "no_name", name=name, longest=LONGEST)
    return plain


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return pd.DataFrame(columns=list(columns), dtype=str)
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    if list(frame.columns) != list(columns):
        raise refusal(ParameterError, "other_columns", path=path, found=list(frame.columns), columns=columns)
    return frame.map(from_spreadsheet_cell)


def _mapping(path: Path, key: str, value: str) -> dict[str, str]:
    frame = _read(path, (key, value))
    return dict(zip(frame[key], frame[value], strict=True))

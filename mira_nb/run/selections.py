"""Selections of cells that a user made: read here, and written into the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pandas as pd

from mira_nb.errors import ParameterError
from mira_nb.report.names import topic_names
from mira_nb.text import from_spreadsheet_cell

SELECTIONS: Final = Path("explorer") / "selections.csv"
"""Table of a run folder with the columns cell, selection."""
COLUMNS: Final = ["cell", "selection"]


def read_selections(root: Path) -> dict[str, list[str]]:
    """Return the names of the cells of each selection, in the order in which they were made.

    Raises
    ------
    ParameterError
        The table has other columns.
    """
    path = Path(root) / SELECTIONS
    if not path.exists():
        return {}
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(frame.columns) != COLUMNS:
        raise ParameterError(f"{path} has the columns {', '.join(frame.columns)}", expected=", ".join(COLUMNS))
    frame = frame.map(from_spreadsheet_cell)
    return {str(name): part["cell"].tolist() for name, part in frame.groupby("selection", sort=False)}


def apply_selections(root: Path, data: Any) -> None:
    """Write a run's selections into obs, as ``selection NAME`` of True and False, and names of topics into uns."""
    for name, cells in read_selections(root).items():
        data.obs[f"selection {name}".replace("/", " ")] = data.obs_names.isin(cells)
    names = topic_names(root)
    if names:
        data.uns["topic_names"] = names


def kept_state(root: Path) -> list[list[str]]:
    """Return what results and report take from the user's selections and names: a line if there is any."""
    from hashlib import sha256

    folder = Path(root) / SELECTIONS.parent
    found = [path.read_bytes() for path in (folder / "selections.csv", folder / "topics.csv") if path.exists()]
    return [["explorer", sha256(b"\0".join(found)).hexdigest(), ""]] if found else []

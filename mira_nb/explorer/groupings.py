"""Groups of the cells that can be compared: columns of labels, named clusters, kept selections."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from mira_nb.errors import StoreError
from mira_nb.report.explore.source import first_groupings, is_number, labels, usable

from .cells import LABELLED, CellData

SELECTION: Final = "selection "
"""What stands before the name of a selection among the groupings."""
OTHERS: Final = "all other cells"


def groupings(data: CellData) -> list[str]:
    """Return the names of all groupings: that which the report begins with first, then columns, then selections."""
    columns = {
        str(name): len(labels(column).categories)
        for name, column in data.annotations.items()
        if not is_number(column) and usable(column)
    }
    named = [LABELLED] if data.column_values(LABELLED) is not None else []
    given = str((data.store.read_record().get("resources") or {}).get("groups") or "")
    first = first_groupings([name for name, n in columns.items() if n > 1], given)
    selections = [f"{SELECTION}{name}" for name in data.kept.selections()]
    return list(dict.fromkeys([*first, *named, *(name for name, n in columns.items() if n), *selections]))


def grouping(data: CellData, name: str) -> Any:
    """Return the group of every cell, (cells,) categories; missing where a cell has none.

    Parameters
    ----------
    data
        The run.
    name
        One of :func:`groupings`; '' puts all cells into one group.

    Raises
    ------
    StoreError
        There is no such grouping, as when a selection was deleted meanwhile.
    """
    if not name:
        return labels(pd.Series(["all cells"] * len(data.names)))
    selection = name.removeprefix(SELECTION)
    if name.startswith(SELECTION) and selection in (kept := data.kept.selections()):
        inside = data.names.isin(kept[selection])
        return pd.Categorical(np.where(inside, selection, OTHERS), categories=[selection, OTHERS])
    found = data.column_values(name)
    if found is None or found.codes is None:
        raise StoreError(f"this run has no groups called {name!r}", remedy="choose other groups")
    names = np.array([*found.categories, None], dtype=object)  # code -1 is the last
    return labels(pd.Series(names[found.codes]))

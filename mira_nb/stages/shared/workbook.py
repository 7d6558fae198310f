"""Write Excel workbooks with one sheet per topic."""

from __future__ import annotations

import io
import re
from typing import Any

import pandas as pd

_SHEET_NAME = 31
_FORBIDDEN = re.compile(r"[\[\]:*?/\\']")


def workbook(table: pd.DataFrame, topics: list[str]) -> bytes:
    """Return an Excel file with one sheet per topic (empty ones too); text that looks like a formula stays text.

    Parameters
    ----------
    table
        Has the column ``topic``, which names the sheets and is left out of them.
    topics
        Topics in the order of their sheets; a topic without rows gets a sheet with headings only.
    """
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    columns = [name for name in table.columns if name != "topic"]
    for topic in topics:
        sheet = book.create_sheet(_FORBIDDEN.sub("_", topic)[:_SHEET_NAME])
        sheet.append(columns)
        for row in table.loc[table["topic"] == topic, columns].itertuples(index=False):
            sheet.append([_cell(sheet, value) for value in row])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _cell(sheet: Any, value: Any) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if isinstance(value, str):
        cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", value))
        cell.data_type = "s"
        return cell
    if isinstance(value, float) and not float("-inf") < value < float("inf"):
        return str(value)  # Excel has no infinities and no NaN
    return value

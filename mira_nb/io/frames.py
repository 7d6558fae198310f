"""Tables of cells and features, as the versions of AnnData and the tools that imitate them wrote them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd


def read_frame(node: Any, where: str = "", unread: list[str] | None = None) -> pd.DataFrame:
    """Read a table, index as text.

    Parameters
    ----------
    node
        The group (or, before AnnData 0.7, compound data set) of an open file.
    where
        Its name for `unread`.
    unread
        Takes the names of columns that are no columns of a table (of two dimensions, of another length) and are left
        out; without it they are an error.
    """
    from anndata.io import read_elem

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not hasattr(node, "keys"):
            frame = _from_compound(node[()])
        elif unread is None:
            frame = read_elem(node)
        else:
            try:
                frame = read_elem(node)
            except Exception:  # whatever a column raises that is none
                frame = _column_by_column(node, where, unread)
    frame.index = pd.Index(_text(frame.index.to_numpy()), name=None)
    return frame


def _from_compound(table: Any) -> pd.DataFrame:
    frame = pd.DataFrame({name: _text(table[name]) for name in table.dtype.names})
    index = next((name for name in ("_index", "index") if name in frame), frame.columns[0])
    return frame.set_index(index)


def _column_by_column(node: Any, where: str, unread: list[str]) -> pd.DataFrame:
    """Read the columns that can be read; the index must be."""
    from anndata.io import read_elem

    key = str(node.attrs["_index"])
    index = pd.Index(np.asarray(read_elem(node[key])))
    columns: dict[str, Any] = {}
    for name in (str(name) for name in node.attrs.get("column-order", ())):
        try:
            columns[name] = pd.Series(read_elem(node[name]), index=index)
        except Exception:  # the same
            unread.append(f"{where}[{name!r}]")
    return pd.DataFrame(columns, index=index)


def with_labels(frame: pd.DataFrame, node: Any, uns: Any) -> pd.DataFrame:
    """Replace integer codes by their labels.

    AnnData before 0.7 kept them in ``uns[COLUMN_categories]``; later versions up to 0.7, and SeuratDisk, in the group
    ``__categories``, to which some files have lost the columns' references.
    """
    kept = node["__categories"] if hasattr(node, "keys") and "__categories" in node else {}
    for name in frame.columns:
        labels = uns.get(f"{name}_categories") if hasattr(uns, "keys") else None
        labels = kept.get(str(name)) if labels is None else labels
        codes = frame[name]
        if labels is None or not pd.api.types.is_integer_dtype(codes):
            continue
        texts = [str(text) for text in np.atleast_1d(_text(labels[()]))]
        if codes.min() >= -1 and codes.max() < len(texts) and len(set(texts)) == len(texts):
            frame[name] = pd.Categorical.from_codes(codes.to_numpy(np.int64), categories=pd.Index(texts))
    return frame


def _text(values: Any) -> Any:
    """Decode bytes to str, leave other values as they are; index values always become str."""
    array = np.asarray(values)
    if array.dtype.kind == "S" or (array.dtype == object and len(array) and isinstance(array[0], bytes)):
        return np.array([item.decode("utf-8", "replace") for item in array], dtype=object)
    return array

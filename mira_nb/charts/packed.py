"""Many rows in few bytes: a DataFrame as typed, quantised, base64-coded columns beside a Vega-Lite chart.

A scatter of 20,000 cells with 15 values each is 12 MB as JSON rows and half a megabyte packed. The chart refers to
a named dataset (``alt.NamedData("cells")``); :func:`attach` puts the packed columns into the chart's ``usermeta``,
where Vega-Lite leaves them alone, and the report's script (``report/assets/packed.js``, the twin of this module)
unpacks them when the chart is drawn. In a notebook or a panel, :func:`inline` gives the same chart with plain rows.

Layout of one packed dataset::

    {"n": rows, "columns": [{"name", "kind", ...}]}

========  ===========================================================================================
kind      meaning (all numbers little-endian, base64 in ``data``)
========  ===========================================================================================
``u8``    unsigned byte q, value = offset + scale * q; q = 255 is NaN
``u16``   unsigned 16 bit q, value = offset + scale * q; q = 65535 is NaN
``f32``   32-bit float, NaN and infinities as such
``f64``   64-bit float, for numbers that need it (large integers)
``cat8``  unsigned byte index into ``categories``; 255 is missing
``cat16`` unsigned 16 bit index into ``categories``; 65535 is missing
``str``   ``values``: a list of strings or nulls, for text that hardly repeats (cell names)
========  ===========================================================================================
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from mira_nb.errors import MiraError

Kind = Literal["u8", "u16", "f32", "f64", "cat8", "cat16", "str"]

KINDS_ATTRIBUTE: Final = "packed_kinds"
"""``frame.attrs[KINDS_ATTRIBUTE] = {"column": "u8"}`` asks for a kind; without it floats become ``u16``."""

META: Final = "mira_nb"
_LEVELS: Final = {"u8": 255, "u16": 65535}
_DTYPES: Final = {"u8": "<u1", "cat8": "<u1", "u16": "<u2", "cat16": "<u2", "f32": "<f4", "f64": "<f8"}


def pack(frame: pd.DataFrame, *, kinds: Mapping[str, Kind] | None = None) -> dict[str, Any]:
    """Pack a DataFrame; the index is left out.

    Parameters
    ----------
    frame
        Rows to pack. Floats are quantised to 16 bits of their range unless ``kinds`` (or
        ``frame.attrs["packed_kinds"]``) says otherwise; integers, booleans and text are kept exactly.
    kinds
        Kind per column, for numeric columns ``u8``, ``u16``, ``f32`` or ``f64``.

    Returns
    -------
    dict
        ``{"n": rows, "columns": [...]}``, plain JSON.
    """
    wanted = {**frame.attrs.get(KINDS_ATTRIBUTE, {}), **(kinds or {})}
    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names):
        raise MiraError("two columns of a packed dataset have the same name", expected="unique names", remedy="rename")
    columns = [_pack_column(name, frame.iloc[:, i], wanted.get(name)) for i, name in enumerate(names)]
    return {"n": len(frame), "columns": columns}


def unpack(packed: Mapping[str, Any]) -> pd.DataFrame:
    """Turn :func:`pack`'s output back into a DataFrame (floats within half a quantisation step)."""
    columns = {column["name"]: _unpack_column(column) for column in packed["columns"]}
    return pd.DataFrame(columns, index=pd.RangeIndex(packed["n"]))


def attach(chart: Mapping[str, Any], packed: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Copy a Vega-Lite dict and put packed datasets into its ``usermeta``.

    Parameters
    ----------
    chart
        Vega-Lite specification (``chart.to_dict()``) that refers to each dataset by name.
    packed
        Dataset name to rows.

    Raises
    ------
    MiraError
        When the chart does not refer to one of the datasets.
    """
    out = copy.deepcopy(dict(chart))
    if not packed:
        return out
    unused = set(packed) - set(named_data(out))
    if unused:
        raise MiraError(
            f"the chart does not use the packed dataset {', '.join(sorted(unused))}",
            expected=f"one of the names it refers to: {', '.join(sorted(set(named_data(out)))) or 'none'}",
            remedy='build the chart with alt.NamedData("NAME")',
        )
    meta = out.setdefault("usermeta", {}).setdefault(META, {})
    meta["packed"] = {name: pack(frame) for name, frame in packed.items()}
    return out


def detach(chart: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Split a chart written by :func:`attach` into the chart without packed rows and the packed datasets."""
    out = dict(chart)
    meta = dict(out.get("usermeta", {}).get(META, {}))
    datasets = meta.pop("packed", {})
    if datasets:
        out["usermeta"] = {**out["usermeta"], META: meta}
    return out, dict(datasets)


def inline(
    chart: Any, packed: Mapping[str, pd.DataFrame], *, max_rows: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Return the chart as a Vega-Lite dict with plain rows, for notebooks and panels.

    ``max_rows`` draws that many rows of each dataset at random (without replacement, order kept); say so beside it.
    """
    out = copy.deepcopy(dict(chart if isinstance(chart, Mapping) else chart.to_dict()))
    datasets = out.setdefault("datasets", {})
    for name, frame in packed.items():
        rows = frame
        if max_rows is not None and len(frame) > max_rows:
            rows = frame.iloc[sample_rows(len(frame), max_rows, seed=seed)]
        datasets[name] = _records(rows)
    return out


def sample_rows(n_rows: int, n_wanted: int, *, seed: int = 0) -> np.ndarray:
    """Draw row numbers of a random sample without replacement, ascending."""
    if n_wanted >= n_rows:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, size=n_wanted, replace=False))


def named_data(chart: Any) -> Iterator[str]:
    """Return the names of all datasets that a Vega-Lite dict refers to."""
    if isinstance(chart, Mapping):
        for key, value in chart.items():
            if key == "data" and isinstance(value, Mapping) and isinstance(value.get("name"), str):
                yield value["name"]
            elif key not in {"usermeta", "datasets", "values"}:
                yield from named_data(value)
    elif isinstance(chart, list):
        for item in chart:
            yield from named_data(item)


def _pack_column(name: str, column: pd.Series, kind: Kind | None) -> dict[str, Any]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return _pack_categories(name, column.astype("object"), [False, True])
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _pack_numbers(name, column, kind)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _pack_categories(name, column, list(column.cat.categories))
    text = column.map(str, na_action="ignore").astype("object")
    categories = list(pd.unique(text.dropna()))
    if kind == "str" or len(categories) > max(64, len(text) // 4) or len(categories) > 65535:
        return {"name": name, "kind": "str", "values": [None if pd.isna(value) else value for value in text]}
    return _pack_categories(name, text, categories)


def _pack_categories(name: str, column: pd.Series, categories: list[Any]) -> dict[str, Any]:
    if len(categories) > 65535:
        return _pack_column(name, column.astype("object"), "str")
    codes = pd.Categorical(column, categories=categories).codes.astype(np.int64)
    small = len(categories) <= 255
    codes[codes < 0] = 255 if small else 65535
    kind: Kind = "cat8" if small else "cat16"
    plain = [value.item() if isinstance(value, np.generic) else value for value in categories]
    plain = [value if isinstance(value, str | bool | int | float) else str(value) for value in plain]
    return {"name": name, "kind": kind, "categories": plain, "data": _encode(codes, kind)}


def _pack_numbers(name: str, column: pd.Series, kind: Kind | None) -> dict[str, Any]:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    integers = bool(finite.size) and pd.api.types.is_integer_dtype(column.dtype)
    step = 1.0
    if integers and kind in {None, "u8", "u16"}:
        kind = "u8" if high - low < 255 else "u16" if high - low < 65535 else "f64"
    elif np.isinf(values).any() and kind in {None, "u8", "u16"}:
        kind = "f32"
    elif kind is None or kind not in _DTYPES or kind.startswith("cat"):
        kind = "u16"
    if kind in {"f32", "f64"}:
        return {"name": name, "kind": kind, "data": _encode(values, kind)}
    levels = _LEVELS[kind]
    if not integers:
        step = (high - low) / (levels - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        quanta = np.rint((values - low) / step) if step > 0 else np.where(np.isnan(values), np.nan, 0.0)
    quanta = np.where(np.isnan(quanta), levels, np.clip(quanta, 0, levels - 1))
    return {"name": name, "kind": kind, "offset": low, "scale": step, "data": _encode(quanta, kind)}


def _encode(values: np.ndarray, kind: Kind) -> str:
    return base64.b64encode(values.astype(_DTYPES[kind]).tobytes()).decode("ascii")


def _unpack_column(column: Mapping[str, Any]) -> Any:
    kind = column["kind"]
    if kind == "str":
        return pd.array(column["values"], dtype="object")
    raw = np.frombuffer(base64.b64decode(column["data"]), dtype=_DTYPES[kind])
    if kind in {"cat8", "cat16"}:
        codes = raw.astype(np.int64)
        codes[codes == _LEVELS["u" + kind[3:]]] = -1
        return pd.Categorical.from_codes(codes, categories=column["categories"])
    if kind in {"f32", "f64"}:
        return raw.astype(np.float64)
    values = column["offset"] + column["scale"] * raw.astype(np.float64)
    values[raw == _LEVELS[kind]] = np.nan
    return values


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {str(name): _plain(frame.iloc[:, i]) for i, name in enumerate(frame.columns)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(column: pd.Series) -> list[Any]:
    """Return values as JSON can hold them; floats with six digits, missing and infinite as null."""
    if not pd.api.types.is_float_dtype(column.dtype):
        items = column.astype("object").tolist()
        return [None if pd.isna(v) else v if isinstance(v, str | bool | int) else _item(v) for v in items]
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in numbers]


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)

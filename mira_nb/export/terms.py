"""The file of ontology terms (``--terms``), checked key by key before it is used."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from mira_nb.errors import ParameterError

from .messages import refusal

_PLAIN: Final = (str, bool, int, float, datetime.date)
_KEYS: Final = {"column", "values"}


def read_terms(path: Path | None, *, per_cell: Collection[str], single: Collection[str], lists: Collection[str]) -> Any:
    """Return the keys of the file that have a value; an empty dict without a file.

    Parameters
    ----------
    path
        YAML.
    per_cell
        Keys with one value, ``{column: NAME}`` or ``{column: NAME, values: {LABEL: TERM}}``.
    single
        Keys with one value.
    lists
        Keys with one value or a list of them.

    Raises
    ------
    ParameterError
        For a file that cannot be read, or a key or value of another form.
    """
    import yaml

    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise refusal(ParameterError, "terms_unreadable", path=path, reason=error.strerror) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also text of other encodings, a day that is none
        raise refusal(ParameterError, "terms_not_yaml", path=path, reason=str(error)) from None
    known = {*per_cell, *single, *lists}
    if not isinstance(found, dict) or set(found) - known:
        unknown = sorted(map(str, set(found) - known)) if isinstance(found, dict) else []
        raise refusal(ParameterError, "terms_other_form", known=sorted(known), path=path, unknown=unknown)
    given = {name: value for name, value in found.items() if value is not None}
    for name, value in given.items():
        items = value if name in lists and isinstance(value, list) and value else [value]
        if name in per_cell and isinstance(value, Mapping):
            _check_mapping(path, name, value)
        elif not all(map(_is_plain, items)):
            forms = "one value" + (", {column: NAME} or {column: NAME, values: {LABEL: TERM}}" * (name in per_cell))
            raise _wrong(path, name, value, forms + " or a list of values" * (name in lists))
    return given


def _check_mapping(path: Path, name: str, value: Mapping[Any, Any]) -> None:
    """Refuse a mapping that is no column with or without its terms."""
    if "column" not in value or set(value) - _KEYS:
        raise _wrong(path, name, dict(value), "{column: NAME} or {column: NAME, values: {LABEL: TERM}}")
    if not _is_plain(value["column"]):
        raise _wrong(path, f"{name}: column", value["column"], "the name of one column of obs")
    if "values" not in value:
        return
    terms = value["values"]
    if not isinstance(terms, Mapping) or not terms:
        raise _wrong(path, f"{name}: values", terms, "{LABEL: TERM} for every label of the column")
    for label, term in terms.items():
        if not _is_plain(term):
            raise _wrong(path, f"{name}: values: {label}", term, "one term")


def _is_plain(value: Any) -> bool:
    """Return whether a value is a text, a number, a date or true or false, and not empty."""
    return isinstance(value, _PLAIN) and value == value and str(value).strip() != ""


def _wrong(path: Path, place: str, value: Any, expected: str) -> ParameterError:
    shown = "nothing" if value is None or value == "" else repr(value)[:80]
    return refusal(ParameterError, "term_wrong", path=path, place=place, shown=shown, form=expected)

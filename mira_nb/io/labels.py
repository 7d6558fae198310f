"""Labels as figures, tables and terminals can show them: control characters are taken out, long labels cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from mira_nb.text import LONGEST_LABEL, clean_label, cut_label, printable

if TYPE_CHECKING:
    from .pairing import Log


def tidy_labels(frame: pd.DataFrame, source: str, log: Log) -> pd.DataFrame:
    """Return an annotation table whose names and labels can be shown; what was changed is said.

    Names that are no longer different after that get a number.

    Parameters
    ----------
    frame
        obs or var, with text column names and a text index.
    source
        Where it comes from, for the message.
    log
        Takes the warnings.
    """
    out = frame.copy(deep=False)
    seen: list[tuple[str, str, str]] = []

    def tidy(values: Iterable[str], where: str, *, different: bool) -> dict[str, str]:
        new = _replacements(values, different=different)
        seen.extend((where, old, text) for old, text in new.items())
        return new

    for position, column in enumerate(frame.columns):
        values: Any = frame.iloc[:, position]
        if isinstance(values.dtype, pd.CategoricalDtype):
            categories = [value for value in values.cat.categories if isinstance(value, str)]
            new = tidy(categories, f"labels of {printable(column)!r}", different=False)
            if new:
                renamed = values.astype(object).map(_by(new), na_action="ignore")
                order = list(dict.fromkeys(new.get(value, value) for value in values.cat.categories))
                kept = pd.Categorical(renamed, categories=order, ordered=values.cat.ordered)
                out.isetitem(position, kept)
        elif not pd.api.types.is_numeric_dtype(values.dtype):
            texts = [value for value in values.unique() if isinstance(value, str)]
            new = tidy(texts, f"labels of {printable(column)!r}", different=False)
            if new:
                out.isetitem(position, values.map(_by(new), na_action="ignore").array)
    columns = tidy(map(str, frame.columns), "column names", different=True)
    out.columns = pd.Index([columns.get(str(name), str(name)) for name in frame.columns])
    rows = tidy(map(str, frame.index), "names of rows", different=True)
    if rows:
        out.index = pd.Index([rows.get(str(name), str(name)) for name in frame.index])
    if seen:
        _warn(seen, source, log)
    return out


def _by(new: dict[str, str]) -> Callable[[Any], Any]:
    return lambda value: new.get(value, value) if isinstance(value, str) else value


def _replacements(values: Iterable[str], *, different: bool) -> dict[str, str]:
    """Return new text by old text for what must change; with `different`, no two values become the same."""
    known = list(values)
    new: dict[str, str] = {}
    for value in known:
        text = cut_label(clean_label(value))
        if text != value:
            new[value] = text or "unnamed"
    if different and new:
        taken = set(known) - set(new)
        for value, text in new.items():
            number, unique = 1, text
            while unique in taken:
                number += 1
                unique = f"{cut_label(text, LONGEST_LABEL - 8)} ({number})"
            taken.add(unique)
            new[value] = unique
    elif new:
        _keep_apart(known, new)
    return new


def _keep_apart(known: list[str], new: dict[str, str]) -> None:
    """Add numbers to labels cut to the same text; labels that differ in control characters only become one."""
    owners: dict[str, str] = {clean_label(value): clean_label(value) for value in known if value not in new}
    for value in new:
        whole, text = clean_label(value), new[value]
        number, unique = 1, text
        while owners.setdefault(unique, whole) != whole:
            number += 1
            unique = f"{cut_label(text, LONGEST_LABEL - 8)} ({number})"
        new[value] = unique


def _warn(seen: list[tuple[str, str, str]], source: str, log: Log) -> None:
    places = ", ".join(dict.fromkeys(where for where, _, _ in seen))
    _, old, new = seen[0]
    log.add(
        "labels_changed",
        source=source,
        n_labels=len(seen),
        places=places,
        longest=LONGEST_LABEL,
        old=cut_label(printable(old), 60),
        new=cut_label(new, 60),
    )

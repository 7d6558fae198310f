"""Text from files and command lines, made safe for terminals, figures and spreadsheets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

LONGEST_LABEL: Final = 200
"""Characters of a label; longer ones are cut where data are read."""

LIST_LIMIT: Final = 8
"""Names that a list in a sentence spells out; the rest is counted."""

_UNDRAWABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_UNPRINTABLE: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]|[-+]?inf")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def clean_label(text: str) -> str:
    """Return a label without control characters, halves of surrogate pairs and characters that turn the direction.

    Figures are drawn by a renderer that ends the process at some of them.
    """
    return _UNDRAWABLE.sub(" ", text).strip() if _UNDRAWABLE.search(text) else text


def cut_label(text: str, longest: int = LONGEST_LABEL) -> str:
    """Return a label cut to `longest` characters, the last three of which then are dots."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def printable(text: str) -> str:
    r"""Return text for a terminal: what is not printable, such as the start of an escape sequence, as ``\x1b``.

    Line ends stay.
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def is_drawable(text: str) -> bool:
    """Return whether a label holds none of what :func:`clean_label` takes out."""
    return _UNDRAWABLE.search(text) is None


def markdown_text(text: str) -> str:
    """Return text for a Markdown file, in which names make no HTML, links or pictures."""
    return re.sub(r"<(?=[A-Za-z/!?])|\](?=\()", r"\\\g<0>", text)


def spreadsheet_cell(text: str) -> str:
    """Return text of a CSV cell that no spreadsheet takes for a formula: an apostrophe stands before one.

    Numbers and lone signs, as of a strand, stay as they are.
    """
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def from_spreadsheet_cell(text: str) -> str:
    """Invert :func:`spreadsheet_cell`."""
    return text[1:] if text.startswith("'") and spreadsheet_cell(text[1:]) == text else text


def suggest(name: str, options: Iterable[str], *, n: int = 3, shown: int = 10) -> str:
    """Return similar names as text, or the first few when none is similar."""
    known = [str(option) for option in options]
    lower: dict[str, str] = {}
    for option in known:
        lower.setdefault(option.lower(), option)
    wanted = name.lower()
    bare = wanted.split(":", 1)[-1]  # rna:cell_type, as MuData shows it
    close = [lower[match] for match in difflib.get_close_matches(bare if bare in lower else wanted, list(lower), n=n)]
    if close:
        return f"close: {', '.join(map(repr, close))}"
    if not known:
        return "there are none"
    more = f" and {len(known) - shown:,} more" if len(known) > shown else ""
    return f"there are: {', '.join(map(repr, known[:shown]))}{more}"


def listed(names: Iterable[Any], limit: int = LIST_LIMIT, between: str = ", ") -> str:
    """Join names; beyond `limit` the rest is counted."""
    items = [str(name) for name in names]
    rest = len(items) - limit
    return between.join(items[:limit]) + (f" and {rest} more" if rest > 0 else "")

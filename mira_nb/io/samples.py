"""What stands around the barcode in cell names, and which of it means the same sample in another file."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import pandas as pd

Part = Literal["before", "after", "around"]
_SPLIT: Final = r"^(?P<before>|.*?[^A-Za-z])(?P<barcode>[ACGTNacgtn]{8,})(?P<after>|[^A-Za-z].*)$"
_CLEAR: Final = 2
"""How many times more barcodes a sample must share with its counterpart than with any other sample."""


def bare_barcodes(names: pd.Index | pd.Series) -> pd.Series:
    """Return the barcode sequence inside every name, in upper case; missing where there is none."""
    return split_names(names)["barcode"].str.upper()


def split_names(names: pd.Index | pd.Series) -> pd.DataFrame:
    """Return what stands before the barcode of every name, the barcode, and what stands after it."""
    return pd.Series(np.asarray(names, dtype=object)).astype(str).str.extract(_SPLIT)


def sample_keys(left: pd.Series, right: pd.Series, part: Part) -> tuple[pd.Series, pd.Series] | None:
    """Return names of both sides with samples called alike, so that equal keys are the same cell.

    Tools number and name samples differently (``BC-1-0``, ``A#BC-1`` and ``BC-1``). The sample of one file is the
    sample of the other with which it shares clearly the most barcodes.

    Parameters
    ----------
    left, right
        Cell names of the two files.
    part
        Where the sample stands: before the barcode, after it, or both; the other part must be equal.

    Returns
    -------
    tuple of Series or None
        None where samples do not correspond one to one.
    """
    sides = [split_names(names) for names in (left, right)]
    tags = [side["before"] + "|" + side["after"] if part == "around" else side[part] for side in sides]
    translation = _counterparts(*(side["barcode"].str.upper() for side in sides), *tags)
    if translation is None:
        return None
    tags[0] = tags[0].map(translation)
    other: Part = "after" if part == "before" else "before"
    keys = [side["barcode"].str.upper() + "|" + tag for side, tag in zip(sides, tags, strict=True)]
    if part != "around":
        keys = [key + "|" + side[other] for key, side in zip(keys, sides, strict=True)]
    return keys[0], keys[1]


def _counterparts(
    left: pd.Series, right: pd.Series, left_tags: pd.Series, right_tags: pd.Series
) -> dict[str, str] | None:
    """Return sample of the left side -> sample of the right side; None where that is not clear."""
    ours = {str(tag): set(names) for tag, names in left.groupby(left_tags)}
    theirs = {str(tag): set(names) for tag, names in right.groupby(right_tags)}
    if not 1 < len(ours) <= len(theirs) <= 1000:
        return None
    out: dict[str, str] = {}
    for tag, names in ours.items():
        shared = sorted(((len(names & other), name) for name, other in theirs.items()), reverse=True)
        if shared[0][0] == 0 or shared[0][0] < _CLEAR * shared[1][0]:
            return None
        out[tag] = shared[0][1]
    return out if len(set(out.values())) == len(out) else None

"""Which row of one modality is which row of the other: by cell names, or by the rule given with ``--pair-by``.

Whatever else in the files tells cells apart (columns of barcodes, barcodes inside the names) confirms the pairing;
where it contradicts, nothing is paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from mira_nb.errors import InputError

from .evidence import (
    TOLERATED,
    agreeing,
    barcode_columns,
    contradictions,
    counted_from,
    differing,
    identifiers,
    row_numbers,
)
from .messages import refusal
from .pairing import Counted, Log, examples
from .samples import bare_barcodes, sample_keys

RULES: Final = ("names", "order", "suffix", "prefix")
"""Rules of ``--pair-by``; any other word is the name of a column of barcodes."""
_NEARLY_ALL: Final = 0.9
_LEVELS: Final = range(5)
_COMPLEMENT: Final = str.maketrans("ACGTN", "TGCAN")


@dataclass(frozen=True)
class Pairing:
    """Rows of both modalities that belong together, in the order of the expression file, and the rule used."""

    rna: np.ndarray
    atac: np.ndarray
    rule: str


def pair_cells(rna: Counted, atac: Counted, *, pair_by: str | None, log: Log) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the shared cells in both modalities, in the order of the expression file.

    Parameters
    ----------
    pair_by
        ``names``, ``order``, ``suffix``, ``prefix`` or a column of obs; None: names, when they tell cells apart.

    Raises
    ------
    InputError
        When no cell is in both, names identify no cell, or barcodes contradict the pairing; says which rule would pair.
    """
    if pair_by is None:
        _check_row_numbers(rna, atac)
    found = _by_rule(rna, atac, pair_by or "names")
    if found is None or not len(found.rna):
        raise _no_pairs(rna, atac, pair_by)
    confirmed = _confirm(rna, atac, found)
    _check_annotations(rna, atac, found, pair_by, log)
    if pair_by is None and _numbered(rna) and not confirmed:
        differ = differing(rna.obs.iloc[found.rna], atac.obs.iloc[found.atac])
        log.add("numbered_cells", n_pairs=len(found.rna), rna_cells=examples(rna.obs.index), differ=differ)
    if pair_by is not None:
        example = f"{rna.obs.index[found.rna[0]]!s} with {atac.obs.index[found.atac[0]]!s}"
        log.add(
            "paired_by_rule", pair_by=pair_by, n_pairs=len(found.rna), example=example, confirmed=_in_words(confirmed)
        )
    _report(rna, atac, found, pair_by, log)
    return found.rna, found.atac


def _check_annotations(rna: Counted, atac: Counted, found: Pairing, pair_by: str | None, log: Log) -> None:
    """Refuse a pairing under which an annotation of both is that of other cells; warn where the rule was asked for."""
    obs = rna.obs.iloc[found.rna], atac.obs.iloc[found.atac]
    numbered = found.rule == "order" or (found.rule == "names" and _numbered(rna))
    for name, wrong, same, certain in contradictions(*obs, numbered=numbered):
        row = int(wrong[0])
        values = {
            "name": name,
            "same": same,
            "rule": found.rule,
            "n_wrong": len(wrong),
            "n_pairs": len(found.rna),
            "rna": rna.source,
            "atac": atac.source,
            "cell": str(obs[0].index[row]),
            "left": str(obs[0][name].iloc[row]),
            "right": str(obs[1][name].iloc[row]),
        }
        if pair_by is not None or not certain:
            log.add("annotation_cells_differ", **values)
            return
        offers = _offer_text([offer for offer in _offers(rna, atac) if offer[0] != found.rule])
        raise refusal(InputError, "annotation_of_other_cells", offers=offers, **values)


def _report(rna: Counted, atac: Counted, found: Pairing, pair_by: str | None, log: Log) -> None:
    """Count the cells of one modality alone, and say which rule would pair more."""
    n_shared = len(found.rna)
    only_rna, only_atac = rna.counts.shape[0] - n_shared, atac.counts.shape[0] - n_shared
    if only_rna or only_atac:
        log.drop("cells_only_in_rna", only_rna)
        log.drop("cells_only_in_atac", only_atac)
        better = [] if pair_by else [offer for offer in _offers(rna, atac) if offer[1] > n_shared]
        few = n_shared < 0.5 * min(rna.counts.shape[0], atac.counts.shape[0])
        if few and better:
            raise refusal(
                InputError,
                "few_shared_names",
                n_shared=n_shared,
                n_rna=rna.counts.shape[0],
                rna=rna.source,
                n_atac=atac.counts.shape[0],
                atac=atac.source,
                offer=_offer_text(better),
            )
        log.add(
            "cells_in_both",
            n_shared=n_shared,
            rna=rna.source,
            n_only_rna=only_rna,
            atac=atac.source,
            n_only_atac=only_atac,
            few=few,
            offer=_offer_text(better) if better else "",
        )
    elif not (found.rna == found.atac).all():
        log.add("cell_order", rna=rna.source)


def _by_rule(rna: Counted, atac: Counted, rule: str, *, levels: Sequence[int] = _LEVELS) -> Pairing | None:
    """Pair by one rule; return None when it does not give every cell a key of its own.

    ``levels`` are the forms of a rule that are tried: as it says, barcodes alone, barcodes and the last number, and
    barcodes with samples by the barcodes that they share. The first that pairs nearly all cells is taken, else the one
    that pairs most.
    """
    if rule == "order":
        if rna.counts.shape[0] != atac.counts.shape[0]:
            raise refusal(
                InputError,
                "order_needs_equal_numbers",
                rna=rna.source,
                n_rna=rna.counts.shape[0],
                atac=atac.source,
                n_atac=atac.counts.shape[0],
            )
        rows = np.arange(rna.counts.shape[0])
        return Pairing(rows, rows, rule)
    if rule in RULES:
        best: Pairing | None = None
        enough = _NEARLY_ALL * min(rna.counts.shape[0], atac.counts.shape[0])
        for level, (left, right) in enumerate(name_keys(rna.obs.index, atac.obs.index, rule)):
            found = match_names(left, right, rule) if level in levels else None
            if found is not None and len(found.rna) > (len(best.rna) if best else 0):
                best = found
            if best is not None and len(best.rna) >= enough:
                break
        return best
    return _by_column(rna, atac, rule)


def _by_column(rna: Counted, atac: Counted, column: str) -> Pairing | None:
    if column not in rna.obs and column not in atac.obs:
        known = sorted({name for part in (rna, atac) for name in barcode_columns(part.obs)})
        raise refusal(
            InputError,
            "pairing_column_unknown",
            column=column,
            rna=rna.source,
            atac=atac.source,
            rules=RULES,
            columns=known,
        )
    left, right = (
        pd.Series(part.obs[column].astype(str).to_numpy() if column in part.obs else part.obs.index.astype(str))
        for part in (rna, atac)
    )
    found = match_names(left, right, column)
    if found is None or not len(found.rna):
        found = match_names(bare_barcodes(left), bare_barcodes(right), column)
    return found


def name_keys(rna: pd.Index, atac: pd.Index, rule: str) -> Iterator[tuple[pd.Series, pd.Series]]:
    """Yield comparable keys of two sets of names by one rule, the strictest first; missing where a name has none."""
    left, right = (pd.Series(names.astype(str), dtype=object) for names in (rna, atac))
    if rule == "names":
        yield left, right
        return
    strip = _without_suffix if rule == "suffix" else _without_prefix
    yield strip(left), strip(right)
    yield bare_barcodes(left), bare_barcodes(right)
    # samples share barcodes: the last number of a name tells them apart, or how many barcodes samples share
    numbered = [
        bare_barcodes(names) + "|" + names.str.extract(r"(\d+)$", expand=False).fillna("") for names in (left, right)
    ]
    yield numbered[0], numbered[1]
    none = pd.Series([None] * len(left), dtype=object), pd.Series([None] * len(right), dtype=object)
    yield sample_keys(left, right, "after" if rule == "suffix" else "before") or none
    yield sample_keys(left, right, "around") or none


def _without_suffix(names: pd.Series) -> pd.Series:
    """Return names up to the end of their barcode, else without what follows the last separator."""
    barcode = names.str.extract(r"^(.*?(?:^|[^A-Za-z])[ACGTN]{8,})(?:$|[^A-Za-z])", expand=False)
    return barcode.fillna(names.str.replace(r"[-_.#:][A-Za-z0-9]*$", "", regex=True))


def _without_prefix(names: pd.Series) -> pd.Series:
    """Return names from the beginning of their barcode, else without what stands before the first separator."""
    barcode = names.str.extract(r"(?:^|[^A-Za-z])([ACGTN]{8,}(?:[^A-Za-z].*)?)$", expand=False)
    return barcode.fillna(names.str.replace(r"^[A-Za-z0-9]*[-_.#:]", "", regex=True))


def match_names(left: pd.Series, right: pd.Series, rule: str) -> Pairing | None:
    """Return the rows with equal keys; None when a key occurs twice on one side."""
    rows_left, rows_right = np.flatnonzero(left.notna()), np.flatnonzero(right.notna())
    names, other = pd.Index(left.iloc[rows_left]), pd.Index(right.iloc[rows_right])
    if not (names.is_unique and other.is_unique):
        return None
    where = other.get_indexer(names)
    hit = np.flatnonzero(where >= 0)
    return Pairing(rows_left[hit], rows_right[where[hit]], rule)


# ---------------------------------------------------------------- names that identify no cell
def _numbered(part: Counted) -> bool:
    return row_numbers(part.obs.index) is not None


def _check_row_numbers(rna: Counted, atac: Counted) -> None:
    """Refuse row numbers as names that are not the same cell in both, where nothing else says that they are.

    They are not where the modalities have different numbers of cells, or where one counts from 0 and the other from 1.
    """
    starts = [counted_from(part.obs.index) for part in (rna, atac)]
    n_cells = [part.counts.shape[0] for part in (rna, atac)]
    if not (_numbered(rna) and _numbered(atac)) or starts == [None, None]:
        return
    shifted = n_cells[0] == n_cells[1] and set(starts) == {0, 1}
    if n_cells[0] == n_cells[1] and not shifted:
        return
    found = _by_rule(rna, atac, "names")
    if found is not None and _confirm(rna, atac, found):
        return
    part = rna if starts[0] is not None else atac
    values = {
        "n_rna": n_cells[0],
        "n_atac": n_cells[1],
        "offer": _offer_text(_offers(rna, atac)),
    }
    if shifted:
        raise refusal(InputError, "row_numbers_shifted", rna=rna.source, atac=atac.source, starts=starts, **values)
    raise refusal(InputError, "cells_are_row_numbers", source=part.source, cells=examples(part.obs.index), **values)


# ---------------------------------------------------------------- evidence
def _confirm(rna: Counted, atac: Counted, found: Pairing) -> list[str]:
    """Return what else confirms the pairing.

    Raises
    ------
    InputError
        When barcodes that both files hold contradict it.
    """
    sides = []
    for part in (rna, atac):
        bare = bare_barcodes(part.obs.index)
        own = {"the cell names": bare} if bare.notna().mean() > 0.9 else {}
        sides.append({**own, **barcode_columns(part.obs)})
    confirmed = []
    for left_name, left in sides[0].items():
        for right_name, right in sides[1].items():
            if left_name == right_name == "the cell names" and found.rule not in {"order", *sides[0]} - {left_name}:
                continue  # paired by these names
            a, b = left.iloc[found.rna].to_numpy(), right.iloc[found.atac].to_numpy()
            if pd.Series(a).isin(set(b)).mean() < 0.5:
                continue  # other barcodes, such as those of another whitelist
            wrong = np.flatnonzero(a != b)
            if len(wrong) > TOLERATED * len(a):
                raise _contradiction(rna, atac, found, (left_name, right_name), wrong, (a, b))
            confirmed.append(left_name if left_name == right_name else f"{left_name} and {right_name}")
    confirmed += agreeing(rna.obs.iloc[found.rna], atac.obs.iloc[found.atac])
    return [name for name in dict.fromkeys(confirmed) if name != found.rule]


def _contradiction(
    rna: Counted, atac: Counted, found: Pairing, names: tuple[str, str], wrong: np.ndarray, barcodes: tuple[Any, Any]
) -> InputError:
    first = int(wrong[0])
    columns = [name for name in dict.fromkeys(names) if name != "the cell names"]
    remedy = f"--pair-by {columns[0]} pairs by these barcodes" if columns else "--pair-by names pairs by the cell names"
    return refusal(
        InputError,
        "pairing_contradicts_barcodes",
        rule=found.rule,
        n_wrong=len(wrong),
        n_pairs=len(found.rna),
        barcodes=list(dict.fromkeys(names)),
        rna_cell=rna.obs.index[found.rna[first]],
        rna_barcode=barcodes[0][first],
        rna=rna.source,
        atac_cell=atac.obs.index[found.atac[first]],
        atac_barcode=barcodes[1][first],
        atac=atac.source,
        advice=remedy,
    )


def _in_words(confirmed: list[str]) -> str:
    return f"confirmed by {', '.join(confirmed)}" if confirmed else "nothing else in the files confirms it"


# ---------------------------------------------------------------- advice
def _offers(rna: Counted, atac: Counted) -> list[tuple[str, int, str]]:
    """Return rules that pair nearly all cells of the smaller modality: rule, number of pairs, example."""
    smaller = min(rna.counts.shape[0], atac.counts.shape[0])
    columns = dict.fromkeys([*barcode_columns(rna.obs), *barcode_columns(atac.obs), *identifiers(rna.obs, atac.obs)])
    by_name = _by_rule(rna, atac, "names")
    out: list[tuple[str, int, str]] = []
    for rule, level in [
        *((rule, level) for level in _LEVELS for rule in ("suffix", "prefix")),
        *((c, 0) for c in columns),
    ]:
        if out and rule not in columns:
            continue  # the strictest form that pairs is enough
        found = _by_rule(rna, atac, rule, levels=(level,))
        if found is not None and by_name is not None and _same_rows(found, by_name):
            continue  # no other pairing than that of the names
        if found is not None and len(found.rna) >= _NEARLY_ALL * smaller:
            pair = f"{rna.obs.index[found.rna[0]]!s} with {atac.obs.index[found.atac[0]]!s}"
            out.append((rule, len(found.rna), pair))
    return out


def _same_rows(one: Pairing, other: Pairing) -> bool:
    return np.array_equal(one.rna, other.rna) and np.array_equal(one.atac, other.atac)


def _offer_text(offers: list[tuple[str, int, str]]) -> str:
    return "; or ".join(f"--pair-by {rule} pairs {n:,} cells, e.g. {pair}" for rule, n, pair in offers[:2])


def _no_pairs(rna: Counted, atac: Counted, pair_by: str | None) -> InputError:
    offers = [offer for offer in _offers(rna, atac) if offer[0] != pair_by]
    by = f" by {pair_by}" if pair_by else ""
    return refusal(
        InputError,
        "no_shared_cell",
        by=by,
        rna=rna.source,
        n_rna=rna.counts.shape[0],
        rna_cells=examples(rna.obs.index),
        atac=atac.source,
        n_atac=atac.counts.shape[0],
        atac_cells=examples(atac.obs.index),
        offer=_offer_text(offers),
        problem=_why_none(rna, atac),
    )


def _why_none(rna: Counted, atac: Counted) -> str:
    """Guess why no rule pairs the cells."""
    left, right = (bare_barcodes(part.obs.index).dropna() for part in (rna, atac))
    as_many = rna.counts.shape[0] == atac.counts.shape[0]
    if len(left) and len(right):
        reverse = right.map(lambda text: text[::-1].translate(_COMPLEMENT))
        if reverse.isin(set(left)).mean() > _NEARLY_ALL:
            return "reversed"
        if as_many:
            return "whitelists"
    return "as_many" if as_many else ""

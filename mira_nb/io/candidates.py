"""Which matrix of a modality holds the counts: X, a layer or raw, by what they hold and how they are named."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.counts import ValueProblem, count_error, find_problem, finish_counts, suspicion
from mira_nb.errors import InputError

from .formats import RawModality, is_count_layer
from .pairing import NOUN, Counted, Log, feature_types

_PARTIAL: Final = ("spliced", "unspliced", "ambiguous", "spanning")
"""Layers of counts that are parts of the counts; taken only by ``--layer``."""
_DROPLET_COUNTS: Final = 10
_MANY_DROPLETS: Final = 20_000
Candidate = tuple[str, sparse.csr_matrix, pd.DataFrame]


def choose_counts(raw: RawModality, role: str, log: Log, *, layer: str | None = None) -> Counted:
    """Take the counts from the best documented matrix that holds any.

    A layer named for counts comes first, then raw, then X, then any other layer of whole numbers. Where X holds other
    whole numbers than such a layer or raw, both totals are reported.

    Parameters
    ----------
    layer
        ``X``, ``raw`` or a layer's name (``--layer``); used where the modality has it.

    Raises
    ------
    InputError
        No matrix holds counts.
    """
    if layer is not None and (key := layer_key(raw, layer)):
        problem, found = _load(raw, key)
        if problem is not None:
            raise count_error(problem, source=f"{raw.source}: {key}", cells=raw.obs.index, features=found[2].index)
        log.note(f"{raw.source}: counts were taken from {key}", cause="as asked for with --layer")
        return _counted(raw, role, found, log)
    best, problems = _documented(raw, log)
    best = best or _any_layer(raw, problems, log)
    if best is None:
        raise _no_counts(raw, problems)
    key = best[0]
    if key != "X" and ("X" not in raw.matrices or "X" in problems):
        why = "X is missing" if "X" not in raw.matrices else f"X is not made of counts ({_in_words(problems['X'][0])})"
        log.note(f"{raw.source}: counts were taken from {key}", cause=why)
    if role == "rna" and (why := suspicion(best[1])):
        log.warn(
            f"{raw.source}: {key} holds whole numbers that may be rounded normalised values",
            cause=f"{why}; {_totals(best[1])}",
            remedy="give raw counts; topics of other values mislead. --layer says which matrix holds them.",
        )
    return _counted(raw, role, best, log)


def layer_key(raw: RawModality, layer: str) -> str:
    """Return the key of the matrix that ``--layer`` names ('' when the modality does not have it)."""
    wanted = {"raw": "raw.X", "raw.x": "raw.X", "x": "X"}.get(layer.lower(), f"layers[{layer!r}]")
    if wanted in raw.matrices:
        return wanted
    return f"layers[{layer!r}]" if f"layers[{layer!r}]" in raw.matrices else ""


Problems = dict[str, tuple[ValueProblem, pd.DataFrame]]


def _load(raw: RawModality, key: str) -> tuple[ValueProblem | None, Candidate]:
    """Load one matrix and say why it does not hold counts (None when it does)."""
    try:
        matrix, var = raw.matrices[key]()
        problem = find_problem(matrix)
    except ValueError as error:
        if "could not convert" not in str(error) and "invalid literal" not in str(error):
            raise InputError(
                f"{raw.source}: {key} is malformed ({error}).", remedy="write the file again from its source."
            ) from error
        return ValueProblem("text"), (key, sparse.csr_matrix((0, 0)), raw.var)
    return problem, (key, matrix if problem is not None else finish_counts(matrix), var)


def _documented(raw: RawModality, log: Log) -> tuple[Candidate | None, Problems]:
    """Return the best of X, the layers named for counts and raw, comparing those that hold counts with X."""
    problems: Problems = {}
    good: dict[str, Candidate] = {}
    for key in raw.matrices:
        if key.startswith("layers[") and not is_count_layer(key[8:-2]):
            continue
        problem, found = _load(raw, key)
        if problem is None:
            good[key] = found
        else:
            problems[key] = (problem, found[2])
    if not good:
        return None, problems
    chosen = next(iter(sorted(good, key=lambda key: (key == "X", key == "raw.X"))))
    if "X" not in good or chosen == "X":
        return good[chosen], problems
    x, other = good["X"], good[chosen]
    difference = _difference(x, other)
    if not difference:
        return x, problems
    log.warn(
        f"{raw.source}: X and {chosen} hold different counts, and {chosen} was taken",
        cause=f"X: {_totals(x[1])}; {chosen}: {_totals(other[1])}; {difference}",
        remedy=f"if X holds the raw counts, give --layer X; else nothing, or --layer "
        f"{'raw' if chosen == 'raw.X' else chosen[8:-2]} to say so.",
    )
    return other, problems


def _difference(x: Candidate, other: Candidate) -> str:
    """Describe how the counts of the features that both hold differ; '' when they are equal."""
    where = other[2].index.get_indexer(x[2].index) if other[2].index.is_unique else np.arange(x[1].shape[1])
    if (where < 0).any():
        return f"{int((where < 0).sum()):,} features of X are not in {other[0]}"
    same = x[1] if x[1].shape[1] == len(where) else x[1][:, : len(where)]
    changed = (same != other[1][:, where]).nnz
    return f"{changed:,} values differ" if changed else ""


def _totals(matrix: sparse.csr_matrix) -> str:
    per_cell = np.asarray(matrix.sum(axis=1)).ravel()
    return f"{matrix.sum():,.0f} counts of {matrix.shape[1]:,} features, {np.median(per_cell):,.0f} per cell (median)"


def _any_layer(raw: RawModality, problems: Problems, log: Log) -> Candidate | None:
    """Return the first other layer that holds counts; layers that hold a part of the counts are only named."""
    partial, found = [], None
    for key in raw.matrices:
        name = key[8:-2]
        if not key.startswith("layers[") or is_count_layer(name) or found is not None:
            continue
        problem, loaded = _load(raw, key)
        if problem is not None:
            problems[key] = (problem, loaded[2])
        elif name.lower() in _PARTIAL:
            partial.append(name)
        else:
            found = loaded
    if found is not None:
        log.warn(
            f"{raw.source}: {found[0]} holds counts by its values, not by its name",
            cause=_totals(found[1]),
            remedy=f"say so with --layer {found[0][8:-2]}, or choose another.",
        )
    elif partial:
        raise InputError(
            f"{raw.source}: only the layers {' and '.join(partial)} hold counts, which are parts of the counts.",
            expected="counts of all reads in X, a layer or raw.",
            remedy=f"add them up into layers['counts'], or take one with --layer {partial[0]}.",
        )
    return found


def _no_counts(raw: RawModality, problems: Problems) -> InputError:
    if not problems:
        return InputError(
            f"{raw.source} has no matrix: X is missing and no layer holds counts.",
            expected="raw counts in X or in layers['counts'].",
            remedy="write the file again with the counts.",
        )
    key = "X" if "X" in problems else next(iter(problems))
    problem, var = problems[key]
    tried = tuple(name for name in problems if name != key)
    return count_error(problem, source=f"{raw.source}: {key}", cells=raw.obs.index, features=var.index, tried=tried)


def _counted(raw: RawModality, role: str, found: Candidate, log: Log) -> Counted:
    """Return the counts with the features of this modality, and say what else was not used."""
    key, matrix, var = found
    types = feature_types(var)
    if types is not None:
        keep = (types == role).to_numpy()
        if keep.any() and not keep.all():
            others = ", ".join(f"{n:,} {name}" for name, n in types[~keep].value_counts().items())
            log.note(
                f"{raw.source}: features of other types were left out",
                cause=f"{int(keep.sum()):,} {NOUN[role][1]} were kept; left out: {others}",
            )
            log.drop(f"{role}_features_of_other_types", int((~keep).sum()))
            matrix, var = matrix[:, np.flatnonzero(keep)], var.loc[keep]
    unused = [name for name in (*raw.matrices, *raw.unread) if name != key]
    if unused and unused != ["X"]:
        shown = ", ".join(unused[:12]) + (f" and {len(unused) - 12} more" if len(unused) > 12 else "")
        log.note(f"{raw.source}: only counts and annotations are used", cause=f"not used: {shown}")
    return Counted(raw.source, matrix, raw.obs, var.copy())


def check_droplets(part: Counted, log: Log) -> None:
    """Warn when most barcodes have next to no counts: an unfiltered matrix of droplets."""
    totals: Any = np.asarray(part.counts.sum(axis=1)).ravel()
    low = int((totals <= _DROPLET_COUNTS).sum())
    if len(totals) > _MANY_DROPLETS and low > 0.5 * len(totals):
        log.warn(
            f"{part.source} looks like droplets instead of cells",
            cause=f"{low:,} of {len(totals):,} barcodes have at most {_DROPLET_COUNTS} counts",
            remedy="give the filtered matrix (filtered_feature_bc_matrix), which holds cells only.",
        )


def _in_words(problem: ValueProblem) -> str:
    if problem.guess:
        return problem.guess
    return {"text": "text", "nan": "missing values", "negative": "negative values", "fractions": "fractions"}.get(
        problem.kind, "it is empty"
    )

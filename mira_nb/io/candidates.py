"""Which matrix of a modality holds the counts: X, a layer or raw, by what they hold and how they are named."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.counts import ValueProblem, count_error, find_problem, finish_counts, suspicion
from mira_nb.errors import InputError

from .formats import RawModality, is_count_layer
from .messages import refusal
from .pairing import NOUN, Counted, Log, feature_types, given_types, log_types_by_names

_PARTIAL: Final = ("spliced", "unspliced", "ambiguous", "spanning")
"""Layers of counts that are parts of the counts; taken only by ``--layer``."""
_DROPLET_COUNTS: Final = 10
_MANY_DROPLETS: Final = 20_000
_SOME_DROPLETS: Final = 500
_CONTRAST: Final = 20
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
        log.add("layer_given", source=raw.source, matrix=key)
        return _counted(raw, role, found, log)
    best, problems = _documented(raw, log)
    best = best or _any_layer(raw, problems, log)
    if best is None:
        raise _no_counts(raw, problems)
    key = best[0]
    if key != "X" and ("X" not in raw.matrices or "X" in problems):
        log.add(
            "layer_taken",
            source=raw.source,
            matrix=key,
            x_missing="X" not in raw.matrices,
            problem=_in_words(problems["X"][0]) if "X" in problems else "",
        )
    if role == "rna" and (why := suspicion(best[1])):
        log.add("rounded_counts", source=raw.source, matrix=key, why=why, totals=_totals(best[1]))
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
            raise refusal(InputError, "matrix_malformed", source=raw.source, matrix=key, error=error) from error
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
    log.add(
        "two_counts",
        source=raw.source,
        chosen=chosen,
        x_totals=_totals(x[1]),
        totals=_totals(other[1]),
        difference=difference,
        layer="raw" if chosen == "raw.X" else chosen[8:-2],
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
        log.add("layer_by_values", source=raw.source, matrix=found[0], totals=_totals(found[1]), layer=found[0][8:-2])
    elif partial:
        raise refusal(InputError, "partial_layers", source=raw.source, layers=partial, layer=partial[0])
    return found


def _no_counts(raw: RawModality, problems: Problems) -> InputError:
    if not problems:
        return refusal(InputError, "no_matrix", source=raw.source)
    shared = (name for name, (problem, _) in problems.items() if problem.like == "shared_reads")
    key = next(shared, "X" if "X" in problems else next(iter(problems)))
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
            given = given_types(var)
            if given is None or not types.equals(given):
                names = (var.index[(types == kind).to_numpy()] for kind in ("rna", "atac"))
                log_types_by_names(log, raw.source, given, *names)
            others = [f"{n:,} {name}" for name, n in types[~keep].value_counts().items()]
            log.add("other_features", source=raw.source, n_kept=int(keep.sum()), noun=NOUN[role][1], others=others)
            log.drop(f"{role}_features_of_other_types", int((~keep).sum()))
            matrix, var = matrix[:, np.flatnonzero(keep)], var.loc[keep]
    unused = [name for name in (*raw.matrices, *raw.unread) if name != key]
    if unused and unused != ["X"]:
        log.add("other_matrices", source=raw.source, matrices=unused)
    return Counted(raw.source, matrix, raw.obs, var.copy())


def check_droplets(part: Counted, log: Log) -> None:
    """Warn when most barcodes have next to no counts: an unfiltered matrix of droplets.

    Few barcodes may be cells of a shallow experiment; they are droplets when some hold far more than most do.
    """
    totals: Any = np.asarray(part.counts.sum(axis=1)).ravel()
    low = int((totals <= _DROPLET_COUNTS).sum())
    if len(totals) <= _SOME_DROPLETS or low <= 0.5 * len(totals):
        return
    if len(totals) > _MANY_DROPLETS or np.quantile(totals, 0.98) >= _CONTRAST * max(np.median(totals), 1):
        log.add("droplets", source=part.source, n_low=low, n_barcodes=len(totals), droplet_counts=_DROPLET_COUNTS)


def _in_words(problem: ValueProblem) -> str:
    if problem.guess:
        return problem.guess
    return {"text": "text", "nan": "missing values", "negative": "negative values", "fractions": "fractions"}.get(
        problem.kind, "it is empty"
    )

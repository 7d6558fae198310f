"""Which matrix of a modality holds the counts: X, a layer or raw, by what they hold and how they are named."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from mira_nb.counts import ValueProblem, count_error, suspicion
from mira_nb.errors import InputError

from .formats import RawModality, is_count_layer
from .messages import refusal
from .pairing import NOUN, Counted, Log, feature_types, given_types, log_types_by_names
from .parts import check_parts, partial_layers
from .rivals import Candidate, Choice, difference, layer_of, load, load_rival, totals

_DROPLET_COUNTS: Final = 10
_MANY_DROPLETS: Final = 20_000
_SOME_DROPLETS: Final = 500
_CONTRAST: Final = 20
Problems = dict[str, tuple[ValueProblem, pd.DataFrame]]


def choose_counts(raw: RawModality, role: str, log: Log, *, layer: str | None = None) -> Counted:
    """Take the counts from the best documented matrix that holds any.

    A layer named for counts comes first, then raw, then X, then any other layer of whole numbers. Where no name says
    which matrix holds the counts, one that is not derived from another is preferred. Other matrices of whole numbers
    that differ are reported with their totals.

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
        problem, found = load(raw, key)
        if problem is not None:
            raise count_error(problem, source=f"{raw.source}: {key}", cells=raw.obs.index, features=found[2].index)
        log.add("layer_given", source=raw.source, matrix=key)
        return _counted(raw, role, found, log)
    choice, problems = _choose(raw, role)
    key, matrix, _ = choice.taken
    _report_choice(raw, choice, log)
    if key != "X" and ("X" not in raw.matrices or "X" in problems):
        log.add(
            "layer_taken",
            source=raw.source,
            matrix=key,
            x_missing="X" not in raw.matrices,
            problem=_in_words(problems["X"][0]) if "X" in problems else "",
        )
    if role == "rna":
        check_parts(raw, choice, _partial(raw), log)
        if why := suspicion(matrix):
            log.add("rounded_counts", source=raw.source, matrix=key, why=why, totals=totals(matrix))
    return _counted(raw, role, choice.taken, log)


def layer_key(raw: RawModality, layer: str) -> str:
    """Return the key of the matrix that ``--layer`` names ('' when the modality does not have it)."""
    wanted = {"raw": "raw.X", "raw.x": "raw.X", "x": "X"}.get(layer.lower(), f"layers[{layer!r}]")
    if wanted in raw.matrices:
        return wanted
    return f"layers[{layer!r}]" if f"layers[{layer!r}]" in raw.matrices else ""


def _choose(raw: RawModality, role: str) -> tuple[Choice, Problems]:
    """Choose among X, the layers named for counts and raw, else among the other layers, and compare with the rest."""
    choice, problems = _documented(raw, role)
    partial = set(_partial(raw))
    for key in raw.matrices:
        if not _is_layer(key) or is_count_layer(layer_of(key)) or key in partial:
            continue
        if choice is not None:
            if (rival := load_rival(raw, key)) is not None:
                choice.compare(rival)
            continue
        problem, found = load(raw, key)
        if problem is not None:
            problems[key] = (problem, found[2])
        else:
            choice = Choice(found, role, fixed=False, by_values=True)
    if choice is None:
        raise _no_choice(raw, problems)
    return choice, problems


def _documented(raw: RawModality, role: str) -> tuple[Choice | None, Problems]:
    """Return the best of X, the layers named for counts and raw, and those of them that differ from it."""
    problems: Problems = {}
    good: dict[str, Candidate] = {}
    for key in raw.matrices:
        if _is_layer(key) and not is_count_layer(layer_of(key)):
            continue
        problem, found = load(raw, key)
        if problem is None:
            good[key] = found
        else:
            problems[key] = (problem, found[2])
    if not good:
        return None, problems
    chosen = min(good, key=lambda key: (key == "X", key == "raw.X"))
    named = chosen != "X"
    if named and "X" in good and not difference(good["X"], good[chosen]):
        chosen = "X"
    choice = Choice(good[chosen], role, fixed=named)
    for key, found in good.items():
        if key != chosen:
            choice.compare(found)
    return choice, problems


def _report_choice(raw: RawModality, choice: Choice, log: Log) -> None:
    """Report a matrix taken for its values, and others that hold other counts."""
    key, matrix, _ = choice.taken
    if not choice.by_values and not choice.others:
        return
    log.add(
        "layer_by_values" if choice.by_values else "two_counts",
        source=raw.source,
        matrix=key,
        totals=totals(matrix),
        others=choice.others,
        layer=layer_of(key),
        layers=[layer_of(other["matrix"]) for other in choice.others],
    )


def _is_layer(key: str) -> bool:
    return key.startswith("layers[")


def _partial(raw: RawModality) -> list[str]:
    """Return the matrices that are named for a part of the counts."""
    names = {layer_of(key): key for key in raw.matrices if _is_layer(key)}
    return [names[name] for name in partial_layers(names)]


def _no_choice(raw: RawModality, problems: Problems) -> InputError:
    """Return the refusal of a modality without counts, or with parts of them only."""
    parts = []
    for key in _partial(raw):
        problem, found = load(raw, key)
        if problem is not None:
            problems[key] = (problem, found[2])
        else:
            parts.append(layer_of(key))
    if parts:
        return refusal(InputError, "partial_layers", source=raw.source, layers=parts, layer=parts[0])
    return _no_counts(raw, problems)


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
    if n_values := raw.repeats.get(key, 0):
        log.add("values_added_up", source=raw.source, matrix=key, n_values=n_values)
    types = feature_types(var)
    if types is not None:
        keep = (types == role).to_numpy()
        if keep.any() and not keep.all():
            given = given_types(var)
            if given is not None and not types.equals(given):
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

"""Comparison of two gene sets' drivers, and of the NITE scores of two factors' targets."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.core.statistics.rank_tests import rank_sum
from mira_nb.errors import InputError
from mira_nb.stages.texts import Texts

from .compute import DriversOutput

TEXTS = Texts(__package__)

SAME_GENES = 0.5
"""Jaccard index of their genes from which two gene sets are one programme under two names (chosen)."""


def same_programme(found: DriversOutput, name: str) -> dict[str, float]:
    """Return the other tested gene sets that are the same programme as one, with the Jaccard index of their genes.

    An expression topic and the state that it marks are one programme: their sets hold largely the same genes.
    """
    mask = found.queries[name]
    out = {}
    for other in dict.fromkeys(found.table["query"]):
        both = found.queries[other]
        union = int((mask | both).sum())
        if other != name and union and (index := int((mask & both).sum()) / union) >= SAME_GENES:
            out[str(other)] = index
    return out


def compared_queries(found: DriversOutput) -> list[str]:
    """Return two gene sets to compare: those asked for, else two programmes with most drivers (the user's own first).

    One set where all others are the same programme, see :func:`same_programme`.

    Raises
    ------
    InputError
        A requested gene set was not tested, or there are not two.
    """
    tested = list(dict.fromkeys(found.table["query"]))
    if found.params.compare:
        wrong = [name for name in found.params.compare if name not in tested]
        if wrong or len(found.params.compare) != 2:
            raise TEXTS.error(InputError, "compare_unknown", compare=found.params.compare, tested=tested)
        return list(found.params.compare)
    hits = found.table[found.table["called"].astype(bool)].groupby("query").size()
    best = sorted(tested, key=lambda name: -int(hits.get(name, 0)))
    own = [name for name in best if found.sources[name] == "gene list"]
    ranked = own if len(own) >= 2 else best
    same = same_programme(found, ranked[0]) if ranked else {}
    return [name for name in ranked if name not in same][:2]


def compared_factors(found: DriversOutput) -> list[str]:
    """Return two factors whose targets are compared: those asked for, else the best driver of each compared set.

    Raises
    ------
    InputError
        A requested factor is not known, or there are not two.
    """
    if found.params.factors:
        lower = {label.casefold(): label for label in reversed(found.labels)}
        wrong = [name for name in found.params.factors if name.casefold() not in lower]
        if wrong or len(found.params.factors) != 2:
            raise TEXTS.error(InputError, "factors_unknown", factors=found.params.factors)
        return [lower[name.casefold()] for name in found.params.factors]
    out: list[str] = []
    for name in compared_queries(found):
        part = found.table[found.table["query"] == name]
        out += [label for label in part["label"] if label not in out][:1]
    return out


def target_comparison(found: DriversOutput) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return NITE scores of the targets of two factors (genes of both left out), and their Wilcoxon test."""
    chosen = compared_factors(found)
    if len(chosen) < 2:
        return pd.DataFrame(), pd.DataFrame()
    n_top = min(found.params.n_targets, max(int(found.scored.sum()) // 3, 1))
    masks = []
    for label in chosen:
        score = found.deletion.scores[:, found.labels.index(label)]
        score = np.where(found.scored & (score > 0), score, -np.inf)
        top = np.argsort(-score, kind="stable")[:n_top]
        mask = np.zeros(len(score), dtype=bool)
        mask[top[np.isfinite(score[top])]] = True
        masks.append(mask)
    shared = masks[0] & masks[1]
    samples = [found.nite_score[mask & ~shared & np.isfinite(found.nite_score)] for mask in masks]
    if min(len(sample) for sample in samples) < 3:
        return pd.DataFrame(), pd.DataFrame()
    test = rank_sum(samples[0], samples[1])
    frame = pd.concat(
        [
            pd.DataFrame({"score": np.log10(1 + np.maximum(sample, 0)), "factor": label})
            for sample, label in zip(samples, chosen, strict=True)
        ],
        ignore_index=True,
    )
    row = pd.DataFrame(
        {
            "quantity": ["NITE score of targets"],
            "group_1": [chosen[0]],
            "group_2": [chosen[1]],
            "n_1": test.n_1,
            "n_2": test.n_2,
            "median_1": test.median_1,
            "median_2": test.median_2,
            "effect_size": test.effect_size,
            "pvalue": test.pvalue,
            "adj_pvalue": test.pvalue,
        }
    )
    return frame, row

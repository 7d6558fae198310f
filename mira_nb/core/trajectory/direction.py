"""In which direction a differentiation runs: evidence that orders the tips of a manifold in time.

A snapshot has no arrow. A manifold without a start is a tree with several tips, and any of them could be the beginning.
Each kind of evidence is put into one form, an antisymmetric matrix of z values that says, for each pair of tips, how
surely the first precedes the second:

- chromatin lead: regulatory elements open before their genes are expressed [Ma et al. 2020, chromatin potential; Li et
  al. 2023, MultiVelo], so that along the path from an earlier to a later tip the proportion of an accessibility topic
  runs ahead of that of its partner among the expression topics. This is evidence along the whole path.
- levels at the tips: early cells express more genes at equal depth [Gulati et al. 2020, CytoTRACE] and mix more topics.

A tip is named by a kind of evidence as surely as it precedes the tip that it precedes least surely: a beginning
precedes all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from mira_nb.core.topics.partners import partner_topics
from mira_nb.typing import Floats, Ints

DETOUR: Final = 1.1
"""A candidate lies between two others if the path over it is at most this many times the shortest."""
SEPARATION: Final = 0.25
"""Candidates nearer to each other than this fraction of the longest path are one tip. At seeds 0 to 4 of the embedded
simulator the extremes of the diffusion components then give its four tips and no other, where without it two extremes
of one tip ruled each other out."""
N_BINS: Final = 100
"""Bins of a path in which cells are summed before their topics are smoothed."""
BANDWIDTH: Final = 0.08
"""Standard deviation of the Gaussian weights of the smoothing, as a fraction of the path."""
OFF_PATH: Final = 0.08
"""Cells belong to a path if the path over them is at most twice this fraction longer than the shortest one."""
MIN_RANGE: Final = 0.1
"""A topic that changes less along a path does not tell when it does."""
MIN_WEIGHT: Final = 3.0
"""Smoothed number of cells in a bin below which the bin does not count."""
CAP: Final = 5.0
"""z values count at most this much in the score, so that no one kind of evidence outvotes all others."""


def find_tips(
    graph: sparse.csr_matrix, candidates: Sequence[int], *, separation: float = SEPARATION, detour: float = DETOUR
) -> tuple[NDArray[np.bool_], Floats]:
    """Mark the candidates that are tips of a graph, one per tip.

    Of candidates that are near each other the one farthest from all others stands for them. It is a tip if it lies on
    no shortest path between two others that stand, up to a detour.

    Parameters
    ----------
    graph
        (n, n) symmetric connected graph, distances as weights.
    candidates
        (c,) rows.

    Returns
    -------
    (c,) whether each is a tip, and (c, n) distances of all cells from the candidates.
    """
    distances = np.asarray(csgraph.dijkstra(graph, directed=False, indices=list(candidates)), dtype=np.float64)
    between = distances[:, list(candidates)]
    least = separation * float(between.max())
    standing: list[int] = []
    for place in np.argsort(-between.max(axis=1), kind="stable"):
        if not standing or between[place, standing].min() > least:
            standing.append(int(place))
    length = between[np.ix_(standing, standing)]
    inner = np.zeros(len(standing), dtype=bool)
    for k in range(len(standing)):
        others = np.delete(np.arange(len(standing)), k)
        over = length[others, k][:, None] + length[k, others][None, :]
        inner[k] = bool((over <= detour * length[np.ix_(others, others)])[~np.eye(len(others), dtype=bool)].any())
    out = np.zeros(len(candidates), dtype=bool)
    out[np.asarray(standing)[~inner] if (~inner).sum() > 1 else standing[:2]] = True
    return out, distances


def path_positions(first: Floats, last: Floats, length: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Return where cells stand on the path between two tips, 0 to 1, and whether they are on it.

    Parameters
    ----------
    first, last
        (n,) distances of the cells from the two tips.
    length
        Distance between the tips.
    """
    position = (first + length - last) / (2 * length)
    return np.clip(position, 0.0, 1.0), (first + last - length) / (2 * length) <= OFF_PATH


def chromatin_lead(
    position: Floats, rna: Floats, atac: Floats, *, weights: Sequence[Floats] | None = None
) -> NDArray[np.float64]:
    """Estimate how far accessibility runs ahead of expression along a path, as a fraction of the path.

    With r and a the smoothed proportions of a topic and its partner, a(u) = r(u + lead) up to scale and level, so that
    to first order a = c0 + c1 r + c1 lead r'. The coefficients are those of least squares over the bins of the path;
    leads of the pairs are averaged with the weights of their precision, c1^2 times the part of r' that r and a constant
    do not explain.

    Parameters
    ----------
    position
        (n,) 0 to 1.
    rna, atac
        (n, p) proportions of topics and of their partners.
    weights
        Weights of the cells, (n,) each: one estimate for each; None: one with all weights 1.

    Returns
    -------
    One estimate per set of weights; NaN where no topic changes along the path.
    """
    n_pairs = rna.shape[1]
    place = np.minimum((position * N_BINS).astype(np.int64), N_BINS - 1)
    values = np.column_stack([np.ones(len(position)), rna, atac])
    centres = (np.arange(N_BINS) + 0.5) / N_BINS
    gap = centres[None, :] - centres[:, None]
    kernel = np.exp(-0.5 * (gap / BANDWIDTH) ** 2)
    out = []
    for weight in weights if weights is not None else [np.ones(len(position))]:
        gather = sparse.csr_matrix((weight, (place, np.arange(len(place)))), shape=(N_BINS, len(place)))
        sums = gather @ values
        curves, used = _local_lines(sums, kernel, gap)
        out.append(_lead(curves[used, :n_pairs], curves[used, n_pairs:], centres[used]))
    return np.asarray(out, dtype=np.float64)


def _local_lines(sums: Floats, kernel: Floats, gap: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Smooth binned values by local linear regression; mark the bins with enough cells around them."""
    count, total = sums[:, 0], sums[:, 1:]
    s0, s1, s2 = kernel @ count, (kernel * gap) @ count, (kernel * gap**2) @ count
    determinant = s0 * s2 - s1**2
    used = (s0 >= MIN_WEIGHT) & (determinant > 1e-12)
    level = s2[:, None] * (kernel @ total) - s1[:, None] * ((kernel * gap) @ total)
    return level / np.where(used, determinant, 1.0)[:, None], used


def _lead(first: Floats, second: Floats, at: Floats) -> float:
    """Return the lead of the second curves before the first, averaged over pairs."""
    if len(at) < 10:
        return float("nan")
    above, below = 0.0, 0.0
    for one, two in zip(first.T, second.T, strict=True):
        if np.ptp(one) < MIN_RANGE:
            continue
        slope = np.gradient(one, at)
        level = np.column_stack([np.ones_like(one), one])
        own = slope - level @ np.linalg.lstsq(level, slope, rcond=None)[0]
        scale, shift = np.linalg.lstsq(np.column_stack([level, slope]), two, rcond=None)[0][1:]
        # shift / scale, weighted by scale^2: written so that a scale near zero weighs nothing.
        above += float(scale * shift * (own @ own))
        below += float(scale**2 * (own @ own))
    return above / below if below > 1e-12 else float("nan")


def lead_matrix(
    distances: Floats,
    tips: Ints,
    rna: Floats,
    atac: Floats,
    *,
    rng: np.random.Generator,
    cells: Ints | None = None,
    n_resamples: int = 50,
    max_cells: int = 20_000,
) -> tuple[Floats, Floats]:
    """Estimate the chromatin lead on the path between each pair of tips, with standard errors from resampled cells.

    Parameters
    ----------
    distances
        (t, n) distances of all cells from the tips.
    tips
        (t,) rows.
    rna, atac
        (n, K) topic proportions.
    rng
        Draws the samples.
    cells
        Rows that are used; None: all.
    max_cells
        A random sample of this size is used above it.

    Returns
    -------
    (t, t) lead along the path from the first to the second, antisymmetric; (t, t) z values. NaN where no topic of a
    path has a partner.
    """
    n_tips, n_cells = distances.shape
    kept = np.arange(n_cells) if cells is None else np.asarray(cells)
    pairs = partner_topics(rna[kept], atac[kept])
    lead, z = np.full((n_tips, n_tips), np.nan), np.full((n_tips, n_tips), np.nan)
    if not pairs:
        return lead, z
    if len(kept) > max_cells:
        kept = np.sort(rng.choice(kept, max_cells, replace=False))
    one, two = rna[:, [row for row, _ in pairs]], atac[:, [column for _, column in pairs]]
    for i in range(n_tips):
        for j in range(i + 1, n_tips):
            position, on = path_positions(distances[i, kept], distances[j, kept], float(distances[i, tips[j]]))
            here = kept[on]
            if len(here) < 10:
                continue
            drawn = [
                np.bincount(rng.integers(0, len(here), len(here)), minlength=len(here)) for _ in range(n_resamples)
            ]
            weights = [np.ones(len(here)), *(item.astype(np.float64) for item in drawn)]
            found = chromatin_lead(position[on], one[here], two[here], weights=weights)
            spread = float(np.std(found[1:], ddof=1)) if np.isfinite(found).all() else np.nan
            lead[i, j], lead[j, i] = found[0], -found[0]
            z[i, j] = found[0] / spread if spread > 0 else np.nan
            z[j, i] = -z[i, j]
    return lead, z


def level_matrix(values: Floats, neighborhoods: Ints) -> Floats:
    """Compare a feature that is high in early cells between the neighbourhoods of the tips: Welch's z, (t, t).

    Parameters
    ----------
    values
        (n,) one value per cell; NaN where it is not known.
    neighborhoods
        (t, k) rows of the cells at each tip.
    """
    at = np.asarray(values, dtype=np.float64)[neighborhoods]
    known = np.isfinite(at).sum(axis=1)
    mean, error = np.nanmean(at, axis=1), np.nanvar(at, axis=1, ddof=1) / known
    spread = np.sqrt(error[:, None] + error[None, :])
    return np.asarray((mean[:, None] - mean[None, :]) / np.maximum(spread, 1e-12))


def over_refits(matrices: Sequence[Floats]) -> Floats:
    """Weigh one kind of evidence over a model and its refits: (t, t) z values of their mean.

    All see the same cells, whose sampling error is 1 in each z and does not fall by averaging; what the z values differ
    by between the fits is the error of the topics, and is added to it: mean / sqrt(1 + variance). Of one model alone
    the z values stay as they are.

    Parameters
    ----------
    matrices
        (t, t) z values under the model and under each refit; refits with NaN where the model has none are left out.
    """
    model, *refits = matrices
    known = np.isfinite(model)
    usable = [model, *(matrix for matrix in refits if np.isfinite(matrix[known]).all())]
    if len(usable) < 2:
        return model
    values = np.stack(usable)
    return np.asarray(values.mean(axis=0) / np.sqrt(1 + values.var(axis=0, ddof=1)))


@dataclass(frozen=True)
class Direction:
    """What the evidence says of which tip is the beginning.

    Attributes
    ----------
    certainty
        For each kind of evidence, (t,) how surely each tip precedes the one that it precedes least surely (z); kinds of
        evidence that could not be computed are left out.
    score
        (t,) the same for the mean of all kinds of evidence times the root of their number, each z cut at `CAP`.
    order
        (t,) tips by falling score; the first is the proposed beginning.
    named
        For each kind of evidence, the tip that it names, and whether it does so decisively.
    established
        Whether at least `n_needed` kinds decisively name the proposed beginning, and none another tip.
    """

    certainty: dict[str, Floats]
    score: Floats
    order: Ints
    named: dict[str, tuple[int, bool]]
    established: bool


def judge_direction(evidence: Mapping[str, Floats], *, decisive: float = 2.0, n_needed: int = 2) -> Direction:
    """Weigh the evidence on the order of the tips.

    Parameters
    ----------
    evidence
        By kind, (t, t) antisymmetric z values: how surely the first tip precedes the second; a matrix with NaN between
        two different tips counts as missing.
    decisive
        z from which a kind of evidence decides.
    n_needed
        Kinds of evidence that must decisively name the same tip.
    """
    n_tips = len(next(iter(evidence.values())))
    off = ~np.eye(n_tips, dtype=bool)
    known = {kind: matrix for kind, matrix in evidence.items() if np.isfinite(matrix[off]).all()}
    certainty = {kind: _least(matrix) for kind, matrix in known.items()}
    capped = [np.clip(np.nan_to_num(matrix), -CAP, CAP) for matrix in known.values()]
    total = np.sum(capped, axis=0) / np.sqrt(len(capped)) if capped else np.zeros((n_tips, n_tips))
    score = _least(total)
    order = np.argsort(-score, kind="stable")
    named = {kind: (int(values.argmax()), bool(values.max() >= decisive)) for kind, values in certainty.items()}
    deciding = [tip for tip, sure in named.values() if sure]
    first = int(order[0])
    established = deciding.count(first) >= n_needed and deciding.count(first) == len(deciding)
    return Direction(certainty, score, order, named, established)


def _least(matrix: Floats) -> Floats:
    """Return the least value of each row off the diagonal; 0 for a single tip."""
    if len(matrix) < 2:
        return np.zeros(len(matrix))
    return np.asarray(np.where(np.eye(len(matrix), dtype=bool), np.inf, matrix).min(axis=1), dtype=np.float64)

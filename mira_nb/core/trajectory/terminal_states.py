"""Terminal states of a transport map and the probability of reaching each.

Extended Methods: the left eigenvectors of the transport map whose eigenvalues are close to one mark its terminal
states, at their maximum. The eigenspace of that eigenvalue is degenerate, one dimension per terminal state, so a
numerical eigenvector is any mixture of them with any sign. Here its basis is made unique: the places where forward
progress stops are the maxima of pseudotime on the neighbour graph; around each, the walk confined to its region has
one leading left eigenvector, which is non-negative (Perron and Frobenius) and whose eigenvalue says how well the
region holds the walk. Nothing is random. (``palantir.core`` takes the eigenvectors from ARPACK with a random start:
on a fork with two ends it found 0, 1, 2 or 3 terminal states, depending on the seed of the waypoints.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from mira_nb.errors import ConvergenceError, InputError
from mira_nb.typing import Floats, Ints


@dataclass(frozen=True)
class Candidate:
    """A maximum of pseudotime on the neighbour graph.

    Attributes
    ----------
    peak
        The cell with the highest pseudotime.
    prominence
        How far pseudotime falls from the peak before the region meets a higher one, as a fraction of the range.
    level
        Pseudotime at which the region meets a higher one.
    region
        Cells above that level and connected to the peak.
    parent
        Peak of the higher region it meets (-1 for the highest).
    """

    peak: int
    prominence: float
    level: float
    region: Ints
    parent: int


@dataclass(frozen=True)
class TerminalStates:
    """Terminal cells found, and all candidates with the reason for the decision.

    Attributes
    ----------
    cells
        (Z,) rows of the terminal cells, in the order of falling prominence.
    regions
        Cells of each terminal region (the absorbing set lies inside).
    table
        ``cell, peak, pseudotime, prominence, n_cells, eigenvalue, accepted, reason``, one row per candidate.
    """

    cells: Ints
    regions: tuple[Ints, ...]
    table: pd.DataFrame


def pseudotime_maxima(graph: sparse.csr_matrix, pseudotime: Floats) -> list[Candidate]:
    """Find all local maxima of pseudotime on a symmetric graph with their prominences, most prominent first.

    Cells are added from late to early; a region is born at a local maximum and dies where it meets a region with a
    higher one (zero-dimensional persistence of the superlevel sets).
    """
    n = len(pseudotime)
    span = float(np.ptp(pseudotime)) or 1.0
    order = np.argsort(-pseudotime, kind="stable")
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    top = np.full(n, -1, dtype=np.int64)
    members: dict[int, list[int]] = {}
    found: list[Candidate] = []

    def root(cell: int) -> int:
        while top[cell] != cell:
            top[cell] = top[top[cell]]
            cell = int(top[cell])
        return cell

    for cell in order:
        cell = int(cell)
        later = [int(j) for j in graph.indices[graph.indptr[cell] : graph.indptr[cell + 1]] if rank[j] < rank[cell]]
        # A region's root is its first, that is highest, cell.
        roots = sorted({root(j) for j in later}, key=lambda r: int(rank[r]))
        if not roots:
            top[cell] = cell
            members[cell] = [cell]
            continue
        highest = roots[0]
        for peak in roots[1:]:
            fall = float(pseudotime[peak] - pseudotime[cell]) / span
            region = np.asarray(sorted(members[peak]), dtype=np.int64)
            found.append(Candidate(peak, fall, float(pseudotime[cell]), region, highest))
            top[peak] = highest
            members[highest] += members.pop(peak)
        top[cell] = highest
        members[highest].append(cell)
    for peak, cells in members.items():
        low = float(pseudotime[cells].min())
        region = np.asarray(sorted(cells), dtype=np.int64)
        found.append(Candidate(peak, float(pseudotime[peak] - low) / span, low, region, -1))
    return sorted(found, key=lambda item: (item.parent >= 0, -item.prominence, item.peak))


def leading_left_eigenvector(
    chain: sparse.csr_matrix, region: Ints, *, n_steps: int = 2000, tolerance: float = 1e-10
) -> tuple[float, Floats]:
    """Compute eigenvalue and left eigenvector (sums to 1) of the walk confined to a region, by power iteration.

    The start vector is uniform, so that the result is unique.
    """
    inside = chain[region][:, region].T.tocsr()
    vector = np.full(len(region), 1 / len(region))
    value = 0.0
    for _ in range(n_steps):
        # Half a step back makes the iteration converge for periodic walks, too.
        stepped = 0.5 * (inside @ vector + vector)
        total = float(stepped.sum())
        if total <= 0.5 + 1e-15 and not (inside @ vector).any():
            return 0.0, vector
        value = 2 * total - 1
        stepped /= total
        change = float(np.abs(stepped - vector).sum())
        vector = stepped
        if change < tolerance:
            break
    return value, vector


def recurrent_states(chain: sparse.csr_matrix) -> list[Ints]:
    """Find the recurrent states of a Markov chain: closed sets of cells, each with an eigenvalue of exactly 1."""
    n_classes, labels = csgraph.connected_components(chain, directed=True, connection="strong")
    edges = chain.tocoo()
    leaving = (labels[edges.row] != labels[edges.col]) & (edges.data > 0)
    closed = np.setdiff1d(np.arange(n_classes), np.unique(labels[edges.row[leaving]]))
    return [np.flatnonzero(labels == label) for label in closed]


def find_terminal_states(
    chain: sparse.csr_matrix,
    graph: sparse.csr_matrix,
    pseudotime: Floats,
    *,
    min_prominence: float = 0.1,
    min_cells: int = 20,
    min_eigenvalue: float = 0.9,
    max_listed: int = 30,
) -> TerminalStates:
    """Find the terminal states of a differentiation.

    Parameters
    ----------
    chain
        (n, n) transport map.
    graph
        (n, n) symmetric neighbour graph.
    pseudotime
        (n,) values.
    min_prominence
        A lineage must run on alone for at least this fraction of the pseudotime range.
    min_cells
        A lineage must hold at least this many cells of its own.
    min_eigenvalue
        The walk confined to the region must lose less than 1 - this per step.
    max_listed
        Candidates listed in the table at most; the number of others is in the last row's reason.
    """
    candidates = pseudotime_maxima(graph, pseudotime)
    listed = candidates[:max_listed]
    large = [item for item in listed if not _too_small(item, min_prominence, min_cells)]
    cells, regions, rows = [], [], []
    for item in listed:
        region = _own_region(item, large, graph, pseudotime)
        value, vector = leading_left_eigenvector(chain, region)
        cell = int(region[int(vector.argmax())])
        reasons = _too_small(item, min_prominence, min_cells)
        if item.parent >= 0 and value < min_eigenvalue:
            reasons.append(f"eigenvalue {value:.3f} below {min_eigenvalue:g}")
        if not reasons:
            cells.append(cell)
            regions.append(region)
        reason = "; ".join(reasons) or ("latest cells of all" if item.parent < 0 else "supported")
        n_cells = len(item.region)
        rows.append((cell, item.peak, pseudotime[cell], item.prominence, n_cells, value, not reasons, reason))
    if len(candidates) > max_listed:
        rest = candidates[max_listed:]
        reason = f"{len(rest)} more maxima, prominence at most {rest[0].prominence:.3f}"
        rows.append((-1, -1, np.nan, rest[0].prominence, max(len(c.region) for c in rest), np.nan, False, reason))
    columns = ["cell", "peak", "pseudotime", "prominence", "n_cells", "eigenvalue", "accepted", "reason"]
    return TerminalStates(
        cells=np.asarray(cells, dtype=np.int64),
        regions=tuple(regions),
        table=pd.DataFrame(rows, columns=columns),
    )


def select_terminal_cells(found: TerminalStates, chain: sparse.csr_matrix, order: Floats) -> TerminalStates:
    """Select terminal cells again, within the later half of each terminal region by a better order of cells.

    Parameters
    ----------
    found
        Terminal states found by pseudotime.
    chain
        (n, n) transport map.
    order
        (n,) values that order the cells inside every region.
    """
    cells, regions, table = [], [], found.table.copy()
    for old, region in zip(found.cells, found.regions, strict=True):
        late = region[order[region] >= np.median(order[region])]
        _, vector = leading_left_eigenvector(chain, late)
        cells.append(int(late[int(vector.argmax())]))
        regions.append(late)
        table.loc[(table["cell"] == old) & table["accepted"], "cell"] = cells[-1]
    return TerminalStates(cells=np.asarray(cells, dtype=np.int64), regions=tuple(regions), table=table)


def _too_small(item: Candidate, min_prominence: float, min_cells: int) -> list[str]:
    """List the reasons against a candidate; the latest cells of all are always an end."""
    if item.parent < 0:
        return []
    reasons = []
    if item.prominence < min_prominence:
        reasons.append(f"prominence {item.prominence:.3f} below {min_prominence:g}")
    if len(item.region) < min_cells:
        reasons.append(f"{len(item.region)} cells, fewer than {min_cells}")
    return reasons


def _own_region(item: Candidate, large: Sequence[Candidate], graph: sparse.csr_matrix, pseudotime: Floats) -> Ints:
    """Return the cells that belong to one maximum alone: above every level at which it meets another supported one.

    Of these, the later half, both by cells and by pseudotime: the stretch the walk ends in.
    """
    top = float(pseudotime[item.peak])
    level = max([item.level, *(other.level for other in large if other.parent == item.peak)])
    above = item.region[pseudotime[item.region] > level]
    if not len(above):
        return np.asarray([item.peak], dtype=np.int64)
    _, labels = csgraph.connected_components(graph[above][:, above], directed=False)
    own = above[labels == labels[int(np.searchsorted(above, item.peak))]]
    values = pseudotime[own]
    return np.asarray(own[values >= max(top - 0.5 * float(np.ptp(values)), float(np.median(values)))])


def absorbing_sets(space: Floats, regions: Sequence[Ints], cells: Ints, *, n_cells: int) -> list[Ints]:
    """Return each terminal cell with its nearest cells of the same region, disjoint by construction of the regions."""
    out = []
    for region, cell in zip(regions, cells, strict=True):
        inside = np.union1d(region, [cell])
        distance = np.linalg.norm(space[inside] - space[cell], axis=1)
        order = np.argsort(distance, kind="stable")[: max(n_cells, 1)]
        out.append(np.sort(inside[order]))
    return out


def fate_probabilities(chain: sparse.csr_matrix, ends: Sequence[Ints]) -> Floats:
    """Return the probability of being absorbed by each end, (n, Z); rows sum to 1.

    Palantir's fates are these probabilities of a walk over some hundred waypoints, carried over to the cells by the
    weights of its pseudotime; the paper takes the walk over all cells, which is solved here. Palantir's solver, an LU
    factorisation of I - Q, would not do: where the walk leaves a group of cells once in 1e17 steps or less, 1 minus the
    probability of staying is rounding. See :mod:`.elimination` for what replaces it.

    Parameters
    ----------
    chain
        (n, n) transition probabilities.
    ends
        Disjoint sets of absorbing cells.

    Raises
    ------
    InputError
        The sets overlap or none is given.
    ConvergenceError
        Some cells cannot reach any end.
    """
    n = chain.shape[0]
    owner = np.full(n, -1)
    for k, cells in enumerate(ends):
        if (owner[cells] >= 0).any():
            raise InputError("two terminal states share cells", remedy="choose terminal cells farther apart")
        owner[cells] = k
    if not len(ends):
        raise InputError("no terminal state was given", expected="at least one terminal cell")
    transient = np.flatnonzero(owner < 0)
    unreachable = transient[~reaches(chain, owner >= 0)[transient]]
    if len(unreachable):
        raise ConvergenceError(
            f"{len(unreachable)} cells cannot reach any terminal state",
            remedy="raise n_neighbors, or name a terminal cell among them",
        )
    fates = np.zeros((n, len(ends)))
    fates[owner >= 0, owner[owner >= 0]] = 1.0
    if len(transient):
        from .elimination import absorption

        rows = chain[transient]
        exits = np.column_stack([np.asarray(rows[:, cells].sum(axis=1)).ravel() for cells in ends])
        solution = absorption(rows[:, transient], exits)
        lost = int((~np.isfinite(solution)).any(axis=1).sum())
        if lost:
            raise ConvergenceError(
                f"the fate probabilities of {lost} cells could not be solved: their transitions to any terminal state "
                f"are below {np.finfo(np.float64).tiny:.0e}",
                remedy="raise n_neighbors, or name a terminal cell among them",
            )
        fates[transient] = solution
    return fates


def reaches(chain: sparse.csr_matrix, goal: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the cells from which a walk can come to `goal`."""
    n = chain.shape[0]
    edges = chain.tocoo()
    kept = edges.data > 0
    # Walk backwards from one extra node that precedes all goal cells.
    sources = np.flatnonzero(goal)
    back = sparse.csr_matrix(
        (
            np.ones(int(kept.sum()) + len(sources), dtype=np.int8),
            (
                np.concatenate([edges.col[kept], np.full(len(sources), n)]),
                np.concatenate([edges.row[kept], sources]),
            ),
        ),
        shape=(n + 1, n + 1),
    )
    reached = csgraph.breadth_first_order(back, n, directed=True, return_predecessors=False)
    out = np.zeros(n + 1, dtype=bool)
    out[reached] = True
    return out[:n]

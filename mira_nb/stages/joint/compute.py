"""Joint representation, neighbours, clusters, maps, and the benchmark of representations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.representation.agreement import compare_representations
from mira_nb.core.representation.neighbors import Neighbors
from mira_nb.core.representation.projections import ilr
from mira_nb.core.topics.partners import topic_correlation
from mira_nb.keys import ATAC, MODELLED, RNA, TOPIC_ACTIVATIONS, X_LSI, X_PCA
from mira_nb.stages.base import Context
from mira_nb.stages.shared.cells import MISSING_GROUP, CellAnnotations, cell_annotations, cell_depths, topic_frame
from mira_nb.stages.shared.confounding import confounding_table

from .selection import Selection, select
from .weights import Weights

if TYPE_CHECKING:
    from mudata import MuData

    from .params import JointParams


N_CANDIDATES = 10


@dataclass(frozen=True)
class JointOutput:
    """All that the stage computed before comparing; `data` are the cells that are analysed."""

    data: MuData
    params: JointParams
    selection: Selection
    annotations: CellAnnotations
    depths: pd.DataFrame
    rna_topics: pd.DataFrame
    atac_topics: pd.DataFrame
    maps: dict[str, np.ndarray]
    seed: int

    @cached_property
    def topic_correlation(self) -> pd.DataFrame:
        """Correlation over cells of every expression topic (rows) with every accessibility topic."""
        both = (frame.to_numpy(dtype=np.float64) for frame in (self.rna_topics, self.atac_topics))
        between = topic_correlation(*both)
        return pd.DataFrame(between, index=self.rna_topics.columns, columns=self.atac_topics.columns)

    @property
    def joint(self) -> np.ndarray:
        """Coordinates of the cells in the joint space."""
        return self.selection.space.coordinates

    @property
    def weights(self) -> Weights:
        """Weights of the modalities in the joint space."""
        return self.selection.space.weights

    @property
    def neighbors(self) -> Neighbors:
        """Nearest neighbours in the joint space."""
        return self.selection.space.neighbors

    @property
    def graph(self) -> sparse.csr_matrix:
        """Weighted graph of the nearest neighbours."""
        return self.selection.space.graph

    @property
    def leiden(self) -> pd.Categorical:
        """Clusters of the cells that are analysed."""
        return self.selection.space.clusters

    @property
    def labels(self) -> pd.Categorical | None:
        """Labels that the user gave to clusters, per cell; None without."""
        return self.selection.labels

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.joint)

    @cached_property
    def confounding(self) -> pd.DataFrame | None:
        """Variance of topics and clusters that the batch explains; None without a batch."""
        clusters = pd.get_dummies(pd.Series(self.leiden.astype(str)), dtype=float)
        return confounding_table(
            {"RNA topic": self.rna_topics, "ATAC topic": self.atac_topics, "cluster": clusters},
            self.annotations,
            least=self.params.batch_variance,
        )

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.leiden.categories)


@dataclass(frozen=True)
class Markers:
    """Genes to draw on the maps.

    Attributes
    ----------
    genes
        Names as in the data.
    missing
        Names asked for that are not in the data.
    chosen_by
        Whether the genes are those asked for, or top genes of the expression topics.
    cut
        Whether only the first topics have a gene, since ``n_markers`` allows no more.
    """

    genes: list[str]
    missing: list[str]
    chosen_by: Literal["user", "topics"] = "topics"
    cut: bool = False


@dataclass(frozen=True)
class Comparison:
    """Scores of the representations, and how they were computed.

    Attributes
    ----------
    scores
        One row per representation: purity and accuracy against the annotation (NaN without one).
    overlap
        Mean fraction of shared neighbours, representations x representations.
    n_cells
        Number of cells compared.
    n_without_group
        Number of cells left out because they are not annotated.
    k
        Number of nearest neighbours.
    """

    scores: pd.DataFrame
    overlap: pd.DataFrame
    n_cells: int
    n_without_group: int
    k: int

    @property
    def chance_overlap(self) -> float:
        """Fraction of neighbours that two representations share when neighbours are drawn at random."""
        return self.k / max(self.n_cells - 1, 1)

    @property
    def has_groups(self) -> bool:
        """Whether an annotation was scored."""
        return bool(self.scores["neighbor_purity"].notna().any())

    def score(self, representation: str, column: str) -> float:
        """Return one score of one representation."""
        row = self.scores["representation"] == representation
        values = np.asarray(self.scores[column], dtype=float)
        return float(values[np.flatnonzero(row)[0]])

    def shared(self, first: str, second: str) -> float:
        """Return the mean fraction of neighbours that two representations have in common."""
        i, j = (self.overlap.columns.get_loc(name) for name in (first, second))
        return float(self.overlap.to_numpy(dtype=float)[i, j])


def compute(data: MuData, params: JointParams, context: Context) -> JointOutput:
    """Compute the joint space of the cells to analyse, its graph, clusters and maps."""
    from mira_nb.core.representation.neighbors import embed, umap_layout

    chosen = select(data, params, context)
    data, space = chosen.data, chosen.space
    rna, atac = topic_frame(data, RNA), topic_frame(data, ATAC)
    maps = {}
    context.progress(0.25, "UMAP of the joint space")
    maps["joint"] = umap_layout(
        space.graph, space.coordinates, metric="manhattan", min_dist=params.min_dist, seed=context.seed
    )
    for step, (name, topics) in enumerate(((RNA, rna), (ATAC, atac))):
        context.progress(0.4 + 0.15 * step, f"UMAP of the {name.upper()} topics")
        maps[name] = embed(
            ilr(topics.to_numpy(), floor=params.floor),
            k=params.n_neighbors,
            metric="manhattan",
            min_dist=params.min_dist,
            seed=context.seed,
        )
    return JointOutput(
        data=data,
        params=params,
        selection=chosen,
        annotations=cell_annotations(data, context.resources),
        depths=cell_depths(data),
        rna_topics=rna,
        atac_topics=atac,
        maps=maps,
        seed=context.seed,
    )


def compare(joined: JointOutput, *, seed: int) -> Comparison:
    """Score the five representations on (a sample of) the cells, annotated cells only where there is an annotation."""
    groups = joined.annotations.groups
    labels = None if groups is None else groups.to_numpy()
    chosen = np.arange(joined.n_cells)
    n_without = 0
    if labels is not None:
        annotated = labels != MISSING_GROUP
        n_without = int((~annotated).sum())
        chosen = chosen[annotated]
        if len(np.unique(labels[chosen])) < 2:
            labels, chosen, n_without = None, np.arange(joined.n_cells), 0
    if len(chosen) > joined.params.compare_cells:
        rng = np.random.default_rng([seed, 2])
        chosen = np.sort(rng.choice(chosen, size=joined.params.compare_cells, replace=False))
    floor = joined.params.floor
    spaces = {
        "PCA": np.asarray(joined.data.mod[RNA].obsm[X_PCA]),
        "RNA topics": ilr(joined.rna_topics.to_numpy(), floor=floor),
        "LSI": np.asarray(joined.data.mod[ATAC].obsm[X_LSI]),
        "ATAC topics": ilr(joined.atac_topics.to_numpy(), floor=floor),
        "joint": joined.joint,
    }
    scores, overlap = compare_representations(
        {name: space[chosen] for name, space in spaces.items()},
        None if labels is None else labels[chosen],
        k=joined.params.compare_neighbors,
        seed=seed,
    )
    return Comparison(
        scores=scores,
        overlap=overlap,
        n_cells=len(chosen),
        n_without_group=n_without,
        k=joined.params.compare_neighbors,
    )


def choose_markers(joined: JointOutput) -> Markers:
    """Return the genes to draw: those asked for, or the most expressed of the ten most activated genes per topic.

    Names match regardless of case.
    """
    rna = joined.data.mod[RNA]
    asked = joined.params.markers
    if asked:
        known = {str(name).upper(): str(name) for name in rna.var_names[::-1]}
        found = list(dict.fromkeys(known[name.upper()] for name in asked if name.upper() in known))
        missing = [name for name in asked if name.upper() not in known]
        if found:
            return Markers(found, missing, chosen_by="user")
    else:
        missing = []
    if TOPIC_ACTIVATIONS not in rna.varm:
        return Markers([], missing)
    activations = np.asarray(rna.varm[TOPIC_ACTIVATIONS], dtype=float)
    scores = np.where(np.isfinite(activations), activations, -np.inf)
    if MODELLED in rna.var:
        scores[~rna.var[MODELLED].to_numpy(bool)] = -np.inf
    totals = np.asarray(rna.X.sum(axis=0)).ravel()
    genes: list[str] = []
    for topic in range(scores.shape[1]):
        best = np.argsort(-scores[:, topic], kind="stable")[:N_CANDIDATES]
        best = best[np.isfinite(scores[best, topic])]
        order = best[np.argsort(-totals[best], kind="stable")]
        fresh = [str(rna.var_names[i]) for i in order if str(rna.var_names[i]) not in genes]
        genes += fresh[:1]
    shown = genes[: joined.params.n_markers]
    return Markers(shown, missing, cut=len(shown) < len(genes))

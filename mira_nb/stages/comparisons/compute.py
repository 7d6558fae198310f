"""Choose the groups and contrasts of the stage comparisons and test every feature between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.statistics.group_tests import REST, adjust, compare_groups, contrasts, share_topics
from mira_nb.core.statistics.sample_tests import SAMPLE_COLUMNS, compare_samples
from mira_nb.counts import log_expression
from mira_nb.errors import NotApplicable, ParameterError
from mira_nb.keys import ATAC, LEIDEN, LINEAGE_STATE, MODELLED, MOTIF_SCORES, NITE_SCORE, RNA
from mira_nb.stages.base import Context
from mira_nb.stages.shared.cells import MISSING_GROUP, cell_annotation, cell_groups, topic_frame
from mira_nb.stages.texts import Texts

if TYPE_CHECKING:
    from mudata import MuData

    from .params import ComparisonsParams

TEXTS = Texts(__package__)


PAIRS_UP_TO = 6
"""Groups up to which ``contrast="auto"`` compares every two of them."""
REDUNDANT = 0.9
"""Correlation over cells above which two topics of one assay describe the same cells."""


@dataclass(frozen=True)
class ComparisonsOutput:
    """Groups, contrasts, tests and shared topics: all that tables, figures and texts are made from.

    Attributes
    ----------
    grouping
        Name of the annotation that defines the groups.
    labels
        (n_cells,) group of every cell; None for cells in no group or in one that is too small.
    left_out
        Groups with too few cells, and their sizes.
    passed_over
        Groupings that come first but have fewer than two groups of enough cells, and how many they have.
    samples
        (n_cells,) sample of every cell, None for cells without one; None as a whole when no --batch is given.
    groups, compared
        Names of the groups tested, and their contrasts as (group_1, group_2).
    tests
        Contract columns plus ``kind`` (gene, expression topic, ...), adjusted within each kind; with samples also
        the columns of the tests over them and ``sample_adj_pvalue``.
    quantities
        Kind -> number of features tested.
    sharing
        One row per topic, see :func:`~mira_nb.core.statistics.group_tests.share_topics`.
    topics
        (n_cells, K) proportions of the topics of both assays.
    """

    data: MuData
    params: ComparisonsParams
    grouping: str
    labels: pd.Series
    samples: pd.Series | None
    groups: list[str]
    left_out: dict[str, int]
    passed_over: dict[str, int]
    compared: list[tuple[str, str]]
    tests: pd.DataFrame
    quantities: dict[str, int]
    sharing: pd.DataFrame
    topics: pd.DataFrame

    @property
    def sample_column(self) -> str:
        """Name of the annotation of the samples; empty when none is given."""
        return "" if self.samples is None else str(self.samples.name)


def compute(data: MuData, params: ComparisonsParams, context: Context) -> ComparisonsOutput:
    """Choose groups and contrasts, then test every kind of feature over cells and, where given, over samples.

    Raises
    ------
    NotApplicable
        Fewer than two groups have enough cells.
    ParameterError
        The grouping, a contrast or a gene asked for does not exist.
    """
    grouping, labels, passed_over = _labels(data, params, context)
    sizes = labels.value_counts()
    small = {str(name): int(size) for name, size in sizes.items() if size < params.min_cells}
    labels = labels.where(~labels.isin(list(small)), None)
    groups = sorted(str(name) for name in sizes.index if name not in small)
    compared = _contrasts(groups, params)
    samples = cell_annotation(data, context.resources.batch, option="--batch")
    if samples is not None:
        samples = samples.where(samples != MISSING_GROUP, None)
    parts, quantities = [], {}
    kinds = list(_quantities(data, params))
    for step, (kind, values, names) in enumerate(kinds):
        context.progress(0.05 + 0.75 * step / len(kinds), f"testing {len(names):,} features: {kind}")
        tests = compare_groups(values, names, labels.to_numpy(object), compared, min_cells=params.min_cells)
        if samples is not None:
            over_samples = compare_samples(
                values, names, labels.to_numpy(object), samples.to_numpy(object), compared,
                min_cells=params.min_cells_per_sample,
            )  # fmt: skip
            # the same contrasts and features in the same order
            tests = tests.join(over_samples[list(SAMPLE_COLUMNS)])
        parts.append(tests.assign(kind=kind))
        quantities[kind] = len(names)
    tests = adjust(pd.concat(parts, ignore_index=True), within="kind")
    if samples is not None:
        tests = adjust(tests, within="kind", pvalue="sample_pvalue", into="sample_adj_pvalue")
    topics = pd.concat([topic_frame(data, RNA), topic_frame(data, ATAC)], axis=1)
    sharing = share_topics(topics, labels.to_numpy(object), fraction=params.shared_fraction)
    return ComparisonsOutput(
        data=data,
        params=params,
        grouping=grouping,
        labels=labels,
        samples=samples,
        groups=groups,
        left_out=small,
        passed_over=passed_over,
        compared=compared,
        tests=tests,
        quantities=quantities,
        sharing=sharing,
        topics=topics,
    )


def _labels(data: MuData, params: ComparisonsParams, context: Context) -> tuple[str, pd.Series, dict[str, int]]:
    """Return the grouping's name, the group of every cell as text (None without one), and the groupings passed over.

    With ``grouping="auto"`` it is the first of groups, lineage states and clusters that has two groups of enough cells.
    """
    given = cell_groups(data, context.resources)
    options: dict[str, Any] = {}
    if given is not None:
        options["groups"] = (str(given.name), given)
    for key in (LINEAGE_STATE, LEIDEN):
        if key in data.obs:
            options[key] = (key, data.obs[key])
    wanted = list(options) if params.grouping == "auto" else [params.grouping]
    if not options.keys() >= set(wanted):
        raise TEXTS.error(ParameterError, "no_such_grouping", grouping=params.grouping, options=options)
    found: dict[str, int] = {}
    for key in wanted:
        name, values = options[key]
        text = pd.Series(
            [None if pd.isna(v) or str(v) == "" else str(v) for v in values], index=data.obs_names, dtype=object
        )
        n_groups = int((text.value_counts() >= params.min_cells).sum())
        if n_groups >= 2:
            return name, text, found
        found[name] = n_groups
    raise TEXTS.error(NotApplicable, "no_two_groups", min_cells=params.min_cells, found=found)


def _contrasts(groups: list[str], params: ComparisonsParams) -> list[tuple[str, str]]:
    """Return the contrasts by the parameters: named ones, every two groups, or every group against the rest."""
    if not params.pairs:
        pairs = params.contrast == "pairs" or (params.contrast == "auto" and len(groups) <= PAIRS_UP_TO)
        return contrasts(groups, pairs=pairs)
    out = []
    for text in params.pairs:
        parts = [part.strip() for part in text.split("|")]
        if len(parts) != 2 or parts[0] not in groups or parts[1] not in [*groups, REST]:
            raise TEXTS.error(ParameterError, "pair_not_understood", text=text, groups=groups, rest=REST)
        out.append((parts[0], parts[1]))
    return out


def _quantities(data: MuData, params: ComparisonsParams) -> Iterator[tuple[str, Any, list[str]]]:
    """Yield kind, values (cells x features) and names of all features that can be tested in this run."""
    rna = data.mod[RNA]
    counts = sparse.csr_matrix(rna.X, dtype=np.float64)
    genes = params.genes or [str(name) for name in rna.var_names[np.asarray(rna.var[MODELLED], dtype=bool)]]
    position = rna.var_names.get_indexer(genes)
    if (position < 0).any():
        unknown = [gene for gene, at in zip(genes, position, strict=True) if at < 0]
        raise TEXTS.error(ParameterError, "genes_unknown", unknown=unknown)
    yield "gene", log_expression(counts[:, position], np.asarray(counts.sum(axis=1)).ravel()), genes
    for kind, modality in (("expression topic", RNA), ("accessibility topic", ATAC)):
        frame = topic_frame(data, modality)
        yield kind, frame.to_numpy(), list(frame.columns)
    if MOTIF_SCORES in data.obsm:
        scores = data.obsm[MOTIF_SCORES]
        names = [str(name) for name in getattr(scores, "columns", range(np.shape(scores)[1]))]
        yield "motif score", np.asarray(scores, dtype=np.float64), names
    if NITE_SCORE in data.obs:
        yield "cell NITE score", data.obs[[NITE_SCORE]].to_numpy(dtype=np.float64), [NITE_SCORE]

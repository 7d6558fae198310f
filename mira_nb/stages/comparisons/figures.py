"""Figures of the stage comparisons."""

from __future__ import annotations

import pandas as pd

from mira_nb.charts.basic import Channel, Color, Labels, heatmap, scatter
from mira_nb.charts.embedding import grouped_multiples
from mira_nb.charts.groups import by_group, group_panels
from mira_nb.charts.theme import category_colors, topic_colors
from mira_nb.core.statistics.group_tests import REST
from mira_nb.keys import ATAC, NITE_SCORE, RNA, RNA_TOPIC_PREFIX, X_UMAP
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import coordinates, gene_expression
from mira_nb.stages.texts import Texts

from .compute import REDUNDANT, ComparisonsOutput
from .markers import marker_figures
from .samples import TOPIC_KINDS, sample_figures, sample_words

TEXTS = Texts(__package__)
BY_ALL, BY_SEVERAL = "shared by all", "shared"
MAX_BRACKETS = 6
"""Tests drawn above the distributions of one feature."""


def figures(done: ComparisonsOutput) -> list[Figure]:
    """Draw topic sharing, redundancy, markers, genes, NITE scores, effects, and the means in every sample."""
    genes = _best_genes(done)
    out = [_sharing(done), *_topic_maps(done), _redundancy(done), *marker_figures(done), *_genes(done, genes)]
    if NITE_SCORE in done.data.obs:
        out.append(_nite(done))
    out.append(_effects(done))
    return [*out, *sample_figures(done, genes, _best(done, TOPIC_KINDS))]


def _sharing(done: ComparisonsOutput) -> Figure:
    means = done.sharing.set_index("topic")[[f"mean in {group}" for group in done.groups]]
    means.columns = pd.Index(done.groups)
    chart = heatmap(
        means,
        value_title="mean proportion",
        row_title="topic",
        column_title=done.grouping,
        reorder=True,
    )
    counts = done.sharing["sharing"].value_counts()
    return TEXTS.figure(
        "topic_sharing",
        chart,
        n_cells=int(done.labels.notna().sum()),
        n_specific=int(counts.get("specific", 0)),
        n_shared=int(counts.get("shared", 0)),
        n_ubiquitous=int(counts.get("ubiquitous", 0)),
    )


def topic_groups(sharing: pd.DataFrame, topics: list[str]) -> dict[str, list[str]]:
    """Return topics by what shares them: those of all groups, those of several, then those of each single group.

    Parameters
    ----------
    sharing
        Table of :func:`mira_nb.core.statistics.group_tests.share_topics`.
    topics
        The topics to return, of one assay.
    """
    rows = sharing[sharing["topic"].isin(topics)]
    order = {"ubiquitous": 0, "shared": 1, "specific": 2}
    rows = rows.assign(rank=rows["sharing"].map(order), single=rows["groups"].where(rows["sharing"] == "specific", ""))
    rows = rows.sort_values(["rank", "single"], kind="stable")
    out: dict[str, list[str]] = {}
    for row in rows.itertuples():
        name = BY_ALL if row.sharing == "ubiquitous" else BY_SEVERAL if row.sharing == "shared" else row.groups
        out.setdefault(str(name), []).append(str(row.topic))
    return out


def _topic_maps(done: ComparisonsOutput) -> list[Figure]:
    """Draw the topics of each assay on the joint map, grouped by what shares them (Extended Data Figs. 6b, 7)."""
    if X_UMAP not in done.data.obsm:
        return []
    place = coordinates(done.data.obsm[X_UMAP])
    out = []
    for assay in ("expression", "accessibility"):
        names = [str(topic) for topic in done.topics.columns if _assay(str(topic)) == assay]
        groups = topic_groups(done.sharing, names)
        headings = {topic: group for group, members in groups.items() for topic in members}
        single = [topic for topic, group in headings.items() if group not in (BY_ALL, BY_SEVERAL)]
        rows = [groups.get(BY_ALL, []), groups.get(BY_SEVERAL, []), single]
        sections = [done.topics[members].reset_index(drop=True) for members in rows]
        image = grouped_multiples(place, sections, headings=headings, colors=topic_colors(names))
        out.append(
            TEXTS.figure(
                "topic_maps",
                name=f"topic_maps_{RNA if assay == 'expression' else ATAC}",
                image=image,
                assay=assay,
                grouping=done.grouping,
                n_cells=len(place),
                n_topics=len(names),
                groups=groups,
                fraction=done.params.shared_fraction,
            )
        )
    return out


def _redundancy(done: ComparisonsOutput) -> Figure:
    frame = done.sharing.assign(assay=[_assay(topic) for topic in done.sharing["topic"]])
    chart = scatter(
        frame,
        x=Channel("sparsity", "sparsity (Gini index over cells)"),
        y=Channel("correlation", "highest correlation with another topic"),
        color=Color("assay", "topics of"),
        labels=Labels("topic", n=len(frame)),
    )
    alike = frame[(frame["correlation"] > REDUNDANT) & (frame["assay"] == frame["most_similar"].map(_assay))]
    return TEXTS.figure("redundancy", chart, redundant_above=REDUNDANT, redundant=list(alike["topic"]))


def _assay(topic: str) -> str:
    """Return the assay of a topic by its name (e1, e2, ...; a1, a2, ...)."""
    return "expression" if str(topic).startswith(RNA_TOPIC_PREFIX) else "accessibility"


def _best_genes(done: ComparisonsOutput) -> list[str]:
    """Return the genes that were named, else the best of each group."""
    if done.params.draw:
        return [gene for gene in done.params.draw if gene in done.data.mod[RNA].var_names]
    return _best(done, ("gene",))


def _best(done: ComparisonsOutput, kinds: tuple[str, ...]) -> list[str]:
    """Return one feature per group: the one with the largest effect among the significant ones."""
    tests = done.tests[done.tests["kind"].isin(kinds) & (done.tests["adj_pvalue"] < done.params.alpha)]
    picked: list[str] = []
    for _, rows in tests.groupby("group_1", sort=True):
        ordered = rows.sort_values(["effect_size", "quantity"], ascending=[False, True], kind="stable")
        picked += [name for name in ordered["quantity"] if name not in picked][:1]
    return picked[: done.params.n_draw]


def _genes(done: ComparisonsOutput, genes: list[str]) -> list[Figure]:
    if not genes:
        return []
    drawn = {gene: _brackets(done, "gene", gene, short=True) for gene in genes}
    chart = group_panels(
        gene_expression(done.data, genes),
        Channel("group", done.grouping, order=done.groups),
        done.labels,
        value_title="log(1 + counts per 10,000)",
        colors=category_colors(done.groups),
        brackets={gene: pairs for gene, pairs in drawn.items() if pairs is not None},
    )
    over_samples = {gene: sample_words(done, "gene", gene, pairs) for gene, pairs in drawn.items()}
    return [
        TEXTS.figure(
            "genes",
            chart,
            grouping=done.grouping,
            n_cells=int(done.labels.notna().sum()),
            genes=genes,
            cell_tests=_cell_test_words(done, "gene", starred=False),
            over_samples={gene: words for gene, words in over_samples.items() if words},
        )
    ]


def _nite(done: ComparisonsOutput) -> Figure:
    frame = pd.DataFrame({"value": done.data.obs[NITE_SCORE].to_numpy(), "group": done.labels.to_numpy()}).dropna()
    chart = by_group(
        frame,
        value=Channel("value", "cell NITE score"),
        group=Channel("group", done.grouping, order=done.groups),
        colors=category_colors(done.groups),
        brackets=_brackets(done, "cell NITE score", NITE_SCORE),
    )
    return TEXTS.figure("nite", chart, grouping=done.grouping, tests=_test_words(done, "cell NITE score", NITE_SCORE))


def _effects(done: ComparisonsOutput) -> Figure:
    tests = done.tests[done.tests["kind"].isin(TOPIC_KINDS)]
    names = tests["group_1"] + (" vs " + tests["group_2"]).where(tests["group_2"] != REST, "")
    matrix = tests.assign(contrast=names).pivot_table(
        index="quantity", columns="contrast", values="effect_size", sort=False
    )
    chart = heatmap(
        matrix, value_title="effect size", row_title="topic", column_title="contrast", diverging=True, reorder=False
    )
    return TEXTS.figure("effects", chart)


def _brackets(done: ComparisonsOutput, kind: str, quantity: str, *, short: bool = False) -> pd.DataFrame | None:
    """Return the strongest significant pairwise tests of one feature, to be drawn as brackets; `short` for panels."""
    rows = done.tests[
        (done.tests["kind"] == kind)
        & (done.tests["quantity"] == quantity)
        & (done.tests["group_2"] != REST)
        & (done.tests["adj_pvalue"] < done.params.alpha)
    ]
    if rows.empty:
        return None
    strongest = rows.reindex(rows["effect_size"].abs().sort_values(ascending=False, kind="stable").index)[:MAX_BRACKETS]
    digits, head = (0, "p") if short else (1, "* adj. p")
    labels = [f"{head} = {p:.{digits}e}" if p > 0 else f"{head} < 1e-300" for p in strongest["adj_pvalue"]]
    return strongest[["group_1", "group_2"]].assign(label=labels)


def _cell_test_words(done: ComparisonsOutput, kind: str, *, starred: bool = True) -> str:
    """Return the sentences that name the test over cells; `starred` where brackets carry stars."""
    return TEXTS.text(
        "cell_tests",
        pairwise=any(second != REST for _, second in done.compared),
        n_tests=int((done.tests["kind"] == kind).sum()),
        max_brackets=MAX_BRACKETS,
        alpha=done.params.alpha,
        starred=starred,
    )


def _test_words(done: ComparisonsOutput, kind: str, quantity: str) -> str:
    """Return the sentences that name the test over cells and say what the test over samples finds."""
    over_samples = sample_words(done, kind, quantity, _brackets(done, kind, quantity))
    return f"{_cell_test_words(done, kind)} {over_samples}".strip()

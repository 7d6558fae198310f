"""NITE regulation over the lineage tree: terminal genes (Extended Data Fig. 8e) and topics by state (13c)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.charts.basic import Channel
from mira_nb.charts.groups import by_group
from mira_nb.charts.theme import CATEGORICAL, MUTED
from mira_nb.keys import LINEAGE_STATE, RNA
from mira_nb.stages.result import Figure, Table
from mira_nb.stages.shared.cells import topic_frame
from mira_nb.stages.texts import Texts

from .branches import lineage_nodes
from .compute import RegulationOutput
from .primed import terminal_tests
from .score_tests import COLUMNS, STAR_LEVEL, against_rest, log_score, nite_sides, star, topic_genes

TEXTS = Texts(__package__)


def lineage_figures(found: RegulationOutput, primed: pd.DataFrame) -> list[Figure]:
    """Return the figures that need a lineage tree; empty without one."""
    return [*_state_figure(found), *_terminal_figure(found, primed)]


# ---------------------------------------------------------------------- terminal genes
def _terminal_figure(found: RegulationOutput, primed: pd.DataFrame) -> list[Figure]:
    tests = terminal_tests(found, primed) if len(primed) else pd.DataFrame(columns=list(COLUMNS))
    if not len(tests):
        return []
    names = np.array(found.genes, dtype=object)
    fitted = found.ok & np.isfinite(found.nite_score)
    rest = fitted.copy()
    parts, order = [], []
    terminal = primed[primed["terminal"].astype(bool)]
    for lineage, rows in terminal.groupby("lineage"):
        mask = fitted & np.isin(names, rows["gene"].to_numpy())
        rest &= ~mask
        name = f"terminal in {lineage}"
        test = tests[tests["group_1"] == name]
        if len(test):
            label = name + star(float(test["adj_pvalue"].iloc[0]))
            parts.append(pd.DataFrame({"score": log_score(found.nite_score[mask]), "group": label}))
            order.append(label)
    if rest.any():
        parts.append(pd.DataFrame({"score": log_score(found.nite_score[rest]), "group": "other genes"}))
        order.append("other genes")
    colors = dict(zip(order, CATEGORICAL, strict=False)) | {"other genes": MUTED}
    chart = by_group(
        pd.concat(parts, ignore_index=True),
        value=Channel("score", "NITE score (log10 of 1 + score)"),
        group=Channel("group", order=order),
        colors=colors,
        step=130,
    )
    return [TEXTS.figure("terminal_nite", chart, level=STAR_LEVEL)]


# ---------------------------------------------------------------------- topics by state
def state_topics(found: RegulationOutput) -> dict[str, list[str]]:
    """Return the topics of each state: those whose mean proportion is highest there; empty without a branch."""
    nodes = lineage_nodes(found.data)
    if nodes is None or len(nodes) < 2:
        return {}
    states = found.data.obs[LINEAGE_STATE].astype(str).to_numpy()
    topics = topic_frame(found.data, RNA)
    present = [name for name in nodes["node"] if (states == name).any()]
    means = np.array([topics[states == name].mean().to_numpy() for name in present])
    best = means.argmax(axis=0) if len(means) else []
    out: dict[str, list[str]] = {name: [] for name in present}
    for topic, position in zip(topics.columns, best, strict=True):
        out[present[int(position)]].append(str(topic))
    return out


def state_tests(found: RegulationOutput) -> pd.DataFrame:
    """Test NITE scores of the top genes of each state's topics against those of all other genes."""
    return against_rest(
        found.nite_score, _state_members(found), quantity="NITE score of the top genes of the state's topics"
    )


def _state_members(found: RegulationOutput) -> dict[str, np.ndarray]:
    """Return masks over the genes: top genes of each state's topics."""
    genes = topic_genes(found)
    return {
        state: np.any([genes[topic] for topic in topics], axis=0)
        for state, topics in state_topics(found).items()
        if topics
    }


def _state_figure(found: RegulationOutput) -> list[Figure]:
    tests = state_tests(found)
    if not len(tests):
        return []
    topics = state_topics(found)
    parts, order = [], []
    for state, mask in _state_members(found).items():
        test = tests[tests["group_1"] == state]
        scores = found.nite_score[mask & np.isfinite(found.nite_score)]
        if len(test) and len(scores):
            label = state + star(float(test["adj_pvalue"].iloc[0]))
            parts.append(pd.DataFrame({"score": log_score(scores), "group": label}))
            order.append(label)
    chart = by_group(
        pd.concat(parts, ignore_index=True),
        value=Channel("score", "NITE score (log10 of 1 + score)"),
        group=Channel("group", "state", order=order),
        step=100,
    )
    return [TEXTS.figure("state_nite", chart, topics=topics, level=STAR_LEVEL, sides=nite_sides(tests))]


def state_table(found: RegulationOutput) -> list[Table]:
    """Return the tests behind the figure of the states; empty without a tree."""
    tests = state_tests(found)
    if not len(tests):
        return []
    return [TEXTS.table("state_nite_tests", tests, test=TEXTS.text("rank_sum", over="states"))]

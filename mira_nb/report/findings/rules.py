"""The rules of the findings: one small function per sentence, from a run's values to an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .cards import Card, called_drivers, topic_names
from .facts import FITTED, Facts, number, part, true
from .model import Answer, Verdict
from .texts import thresholds

Rule = Callable[[Facts, list[Card]], Answer]


def states(facts: Facts, _cards: list[Card]) -> Answer:
    """Count the clusters, and judge them by the neighbours that both assays share."""
    rows = facts.rows("joint", "clusters")
    if not rows:
        return Answer("untested", "untested", {"reason": facts.reason("joint")}, proof=("joint", ""))
    n_cells = sum(int(number(row["n_cells"]) or 0) for row in rows)
    overlap = number(facts.metric("joint", "Neighbours shared by RNA and ATAC topics"))
    benchmark = facts.rows("joint", "representations")
    k = number(benchmark[0].get("k")) if benchmark else None
    chance = (k or 30) / max(n_cells - 1, 1)
    good = overlap is not None and overlap >= thresholds()["overlap_over_chance"] * chance
    words = {"n_clusters": len(rows), "n_cells": n_cells, "overlap": overlap, "chance": chance}
    proof = ("joint", "umap_joint") if overlap is None else ("joint", "neighborhood_overlap")
    return Answer("good" if good else "caution", "found", words, len(rows), "clusters", n_cells, proof)


def lineages(facts: Facts, _cards: list[Card]) -> Answer:
    """Count the lineages, and judge them by continuity, branch thresholds and agreement of the assays."""
    if not facts.done("trajectory"):
        return Answer("untested", "untested", {"reason": facts.reason("trajectory")}, proof=("trajectory", ""))
    names = lineage_names(facts)
    if not names:
        return Answer("bad", "none", {}, 0, "lineages", proof=("trajectory", "terminal_states"))
    transitions = facts.rows("trajectory", "continuity")
    n_continuous = sum(row.get("verdict") == "continuous" for row in transitions)
    n_same, n_thresholds = _same_tree(facts)
    agreement = number(facts.metric("trajectory", "Agreement of the assays on pseudotime"))
    limits = thresholds()
    good = (
        n_continuous == len(transitions)
        and (not n_thresholds or n_same >= limits["same_tree"] * n_thresholds)
        and agreement is not None
        and agreement >= limits["pseudotime_agreement"]
    )
    words = {
        "n": len(names),
        "names": names,
        "splits": _splits(facts),
        "n_same": n_same,
        "n_thresholds": n_thresholds,
        "n_continuous": n_continuous,
        "n_transitions": len(transitions),
        "agreement": agreement,
    }
    n_cells = sum(int(number(row["n_cells"]) or 0) for row in facts.rows("trajectory", "lineage_tree"))
    verdict: Verdict = "good" if good else "caution"
    return Answer(verdict, "found", words, len(names), "lineages", n_cells, ("trajectory", "lineage_tree"))


def lineage_names(facts: Facts) -> list[str]:
    """Return the names of the accepted terminal states, sorted."""
    rows = facts.rows("trajectory", "terminal_states")
    return sorted(row["lineage"] for row in rows if true(row.get("accepted")))


def _splits(facts: Facts) -> list[dict[str, Any]]:
    out = []
    for row in facts.rows("trajectory", "branch_times"):
        time = number(row.get("branch_time"))
        if time is not None:
            name = " and ".join(row["split"].replace(", ", "+").split(" / "))
            out.append({"name": name, "time": time, "low": number(row.get("low")), "high": number(row.get("high"))})
    return out


def _same_tree(facts: Facts) -> tuple[int, int]:
    """Return at how many of the branch thresholds the tree is that of the run, and how many were tried."""
    rows = facts.rows("trajectory", "threshold_sweep")
    topology = {row["threshold"]: row["topology"] for row in rows}
    parents = {row["node"]: row.get("parent", "") for row in facts.rows("trajectory", "lineage_tree")}
    names = lineage_names(facts)
    clades = []
    for node in set(parents.values()) - {""}:
        below = sorted(name for name in names if _is_below(name, node, parents))
        clades.append("(" + ", ".join(below) + ")")
    return sum(sorted(text.split(" | ")) == sorted(clades) for text in topology.values()), len(topology)


def _is_below(name: str, node: str, parents: dict[str, str]) -> bool:
    # a damaged table may hold a circle: every node is visited once
    seen: set[str] = set()
    while name and name not in seen:
        if name == node:
            return True
        seen.add(name)
        name = parents.get(name, "")
    return False


def topics(facts: Facts, cards: list[Card]) -> Answer:
    """Count topics, partners, and topics that a gene set or a motif names."""
    sizes = {assay: len(topic_names(facts, assay)) for assay in ("rna", "atac")}
    if not any(sizes.values()):
        return Answer("untested", "untested", {"reason": facts.reason("topics_rna")}, proof=("topics_rna", ""))
    sets = part(facts.metric("enrichment", "Topics with a significant gene set"))
    motifs = part(facts.metric("motifs", "Topics with an enriched motif"))
    least = thresholds()["named_topics"]
    good = all(found is not None and found[0] >= least * found[1] for found in (sets, motifs))
    words = {
        "n_rna": sizes["rna"],
        "n_atac": sizes["atac"],
        "n_partners": sum(bool(card.partner) for card in cards if card.assay == "rna"),
        "sets": sets,
        "motifs": motifs,
        "no_sets": facts.reason("enrichment"),
        "no_motifs": facts.reason("motifs"),
    }
    proof = ("enrichment", "terms") if facts.done("enrichment") else ("topics_rna", "top_features")
    return Answer("good" if good else "caution", "found", words, sum(sizes.values()), "topics", proof=proof)


def drivers(facts: Facts, cards: list[Card]) -> Answer:
    """Name the factors that drive each lineage; each topic's where the lineages have no gene set of their own."""
    rows = facts.rows("drivers", "driver_factors")
    if not rows:
        return Answer("untested", "untested", {"reason": facts.reason("drivers")}, proof=("drivers", ""))
    named = lineage_drivers(facts, cards)
    n_factors = len({row["factor"] for row in rows})
    # without decoys there is no least effect above them
    least = facts.parameter("drivers", "min_effect") if facts.parameter("drivers", "n_decoys") else None
    words = {"level": facts.parameter("drivers", "level"), "least": least}
    if not called_drivers(facts):
        return Answer("caution", "none", words, 0, "factors", n_factors, ("drivers", "driver_factors"))
    items = [{"name": name, "factors": factors} for name, factors in named.items()]
    words |= {"items": items}
    verdict: Verdict = "good" if items and all(item["factors"] for item in items) else "caution"
    value = len({factor for factors in named.values() for factor in factors})
    return Answer(verdict, "found", words, value, "factors", n_factors, ("drivers", "driver_bars"))


def lineage_drivers(facts: Facts, cards: list[Card]) -> dict[str, list[str]]:
    """Return the called drivers of each lineage: of its marker genes and of the topics highest in it."""
    rows = sorted(called_drivers(facts), key=lambda row: -(number(row["effect_size"]) or 0))
    out: dict[str, list[str]] = {}
    names = lineage_names(facts)
    for name in names or list(dict.fromkeys(row["query"] for row in rows)):
        queries = {name, f"markers of {name}"} | {
            f"topic {c.topic}" for c in cards if c.state == name and c.assay == "rna"
        }
        out[name] = list(dict.fromkeys(row["factor"] for row in rows if row["query"] in queries))
    return out


def nite(facts: Facts, _cards: list[Card]) -> Answer:
    """Count the NITE genes, and judge the test by its false positives and by the errors of accessibility."""
    rows = [row for row in facts.rows("regulation", "genes") if row.get("status") in FITTED]
    if not rows:
        return Answer("untested", "untested", {"reason": facts.reason("regulation")}, proof=("regulation", ""))
    n_nite = sum(true(row.get("nite")) for row in rows)
    wrong = number(facts.metric("regulation", "False positives of the NITE test"))
    error = number(facts.metric("regulation", "Unexplained fraction by error alone"))
    limits = thresholds()
    checks = [
        value is not None and value < limits[name]
        for name, value in (("false_positives", wrong), ("error_fraction", error))
    ]
    words = {"n_nite": n_nite, "n_genes": len(rows), "wrong": wrong, "error": error}
    verdict: Verdict = "good" if all(checks) else "bad" if not any(checks) and wrong is not None else "caution"
    return Answer(verdict, "found", words, n_nite, "genes", len(rows), ("regulation", "nite_distribution"))


RULES: Final[dict[str, Rule]] = {
    "states": states,
    "lineages": lineages,
    "topics": topics,
    "drivers": drivers,
    "nite": nite,
}
"""Rule of every finding but the limits and the planted truth, which need the other findings."""

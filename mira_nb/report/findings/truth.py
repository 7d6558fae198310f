"""Compare simulated data's findings with what was planted; real data have no truth in their run folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from mira_nb.report.json_files import read_json_object

from .cards import Card
from .facts import FITTED, Facts, number, true
from .model import Answer, Verdict
from .rules import lineage_drivers, lineage_names
from .texts import sentence, thresholds


def planted(facts: Facts, cards: list[Card]) -> Answer | None:
    """Compare topics, lineages, branch times, NITE genes and drivers with the truth beside the simulated data.

    Returns
    -------
    Answer or None
        None where the run folder holds no ``data/truth.json``, or no stage to compare has finished.
    """
    folder = facts.run.root / "data"
    truth = read_json_object(folder / "truth.json")
    if not truth:
        return None
    checks = [
        _topics(cards, truth),
        _lineages(facts, truth),
        _branch_times(facts, truth),
        _nite(facts, folder),
        _drivers(facts, cards, folder),
    ]
    kept = [check for check in checks if check is not None]
    if not kept:
        return None
    n_right = sum(right for right, _ in kept)
    words = {"parts": [text for _, text in kept]}
    verdict: Verdict = "good" if n_right == len(kept) else "caution" if n_right else "bad"
    return Answer(verdict, "found", words, n_right, "comparisons that agree", len(kept), ("regulation", "genes"))


def _text(key: str, **values: Any) -> str:
    return sentence("truth", key, values)


def _topics(cards: list[Card], truth: dict[str, Any]) -> tuple[bool, str] | None:
    found = [sum(card.assay == assay for card in cards) for assay in ("rna", "atac")]
    if not truth.get("K") or 0 in found:
        return None
    right = all(n == truth["K"] for n in found)
    return right, _text("topics", n_rna=found[0], n_atac=found[1], n_planted=truth["K"])


def _branch_times(facts: Facts, truth: dict[str, Any]) -> tuple[bool, str] | None:
    known = sorted(float(time) for time in dict(truth.get("branch_times", {})).values())
    times = (number(row.get("branch_time")) for row in facts.rows("trajectory", "lineage_tree"))
    found = sorted(time for time in times if time is not None)
    if not known or not found:
        return None
    near = thresholds()["branch_time"]
    right = len(found) == len(known) and all(abs(a - b) <= near for a, b in zip(found, known, strict=True))
    listed = [[f"{time:.2f}" for time in times] for times in (found, known)]
    return right, _text("branch_times", found=listed[0], planted=listed[1])


def _lineages(facts: Facts, truth: dict[str, Any]) -> tuple[bool, str] | None:
    if not facts.done("trajectory"):
        return None
    found, known = set(lineage_names(facts)), set(map(str, truth.get("lineages", ())))
    if found == known:
        return True, _text("lineages_right", planted=sorted(known))
    return False, _text("lineages_wrong", missed=sorted(known - found), wrong=sorted(found - known))


def _nite(facts: Facts, folder: Path) -> tuple[bool, str] | None:
    kinds = {row["gene_symbol"]: row["kind"] for row in _tsv(folder / "truth_genes.tsv")}
    called = {
        row["gene"]: true(row.get("nite")) for row in facts.rows("regulation", "genes") if row.get("status") in FITTED
    }
    counts = {}
    for kind in ("NITE", "LITE"):
        values = [called[gene] for gene, what in kinds.items() if what == kind and gene in called]
        counts[kind] = (sum(values), len(values))
    if not counts["NITE"][1] or not counts["LITE"][1]:
        return None
    (n_true, n_nite), (n_false, n_lite) = counts["NITE"], counts["LITE"]
    right = n_true >= thresholds()["truth"] * n_nite and n_false <= thresholds()["alpha"] * n_lite
    others = sum(called.values()) - n_true - n_false
    text = _text("nite", n_true=n_true, n_nite=n_nite, n_false=n_false, n_lite=n_lite, n_others=others)
    return right, text


def _drivers(facts: Facts, cards: list[Card], folder: Path) -> tuple[bool, str] | None:
    known: dict[str, set[str]] = {}
    for row in _tsv(folder / "truth_factors.tsv"):
        if true(row.get("planted")) and row.get("lineage"):
            known.setdefault(row["lineage"], set()).add(row["name"])
    if not known or not facts.rows("drivers", "driver_factors"):
        return None
    found = {name: set(factors) for name, factors in lineage_drivers(facts, cards).items()}
    missed = sorted({f for name, factors in known.items() for f in factors - found.get(name, set())})
    wrong = sorted({f for name, factors in found.items() for f in factors - known.get(name, set())})
    if not missed and not wrong:
        return True, _text("drivers_right")
    return False, _text("drivers_wrong", missed=missed, wrong=wrong)


def _tsv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, ValueError, csv.Error):
        return []

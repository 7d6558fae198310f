"""The scoreboard as a page of the documentation, from the rows that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .rows import Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scoreboard.md"
OURS = "mira_nb"
METHODS = (OURS, "reference", "PCA and LSI", "KL-NMF", "MOFA+", "WNN")
NONE = "not computed"
NO_SUCH = "–"


@dataclass(frozen=True)
class Measure:
    """One score: its heading, whether less is better, and the methods that have no such thing."""

    title: str
    lower: bool = False
    without: tuple[str, ...] = ()


TOPICLESS = ("PCA and LSI", "MOFA+", "WNN")
REGULATION = ("PCA and LSI", "KL-NMF", "MOFA+", "WNN")
MEASURES = {
    "label_accuracy": Measure("label accuracy"),
    "ari": Measure("ARI"),
    "nmi": Measure("NMI"),
    "silhouette": Measure("silhouette", without=("WNN",)),
    "clisi": Measure("cLISI"),
    "spearman": Measure("pseudotime, Spearman"),
    "topology": Measure("topology right"),
    "branch_error": Measure("branch time error", lower=True),
    "match_rna": Measure("RNA topics, match", without=TOPICLESS),
    "match_atac": Measure("ATAC topics, match", without=TOPICLESS),
    "npmi_rna": Measure("RNA topics, coherence (NPMI)", without=TOPICLESS),
    "npmi_atac": Measure("ATAC topics, coherence (NPMI)", without=TOPICLESS),
    "diversity_rna": Measure("RNA topics, diversity", without=TOPICLESS),
    "diversity_atac": Measure("ATAC topics, diversity", without=TOPICLESS),
    "nite_auc": Measure("NITE AUC", without=REGULATION),
    "driver_f1": Measure("drivers, F1", without=REGULATION),
}
TITLES = {
    "cortex": "Mouse cortex (SNARE-seq, 10,309 cells, 15 annotated clusters)",
    "embedded": "Embedded simulation (1,200 cells, three lineages, seeds 0 to 2)",
}
LABELS = ("label_accuracy", "ari", "nmi", "silhouette", "clisi")
TOPIC_WORDS = ("npmi_rna", "npmi_atac", "diversity_rna", "diversity_atac")
SHOWN = {"cortex": (*LABELS, *TOPIC_WORDS), "embedded": tuple(MEASURES)}

LOCI_TITLES = {
    "loci": "LITE on real genes (1,000 PBMC, 45 genes with 174 annotated peaks, held-out cells)",
    "loci10k": "LITE on real genes (9,460 PBMC of another donor, 3 genes with 3,325 tiles of 500 bp, held-out cells)",
}
LOCI_ROWS = {
    "genes": "genes that can be fitted",
    "above_permuted": "of these, held-out log-likelihood above that of permuted peaks",
    "above_constant": "of these, held-out log-likelihood above that of a constant rate",
}
SUBSAMPLES = "subsamples"
SUBSAMPLES_TITLE = "Stability of trajectories (embedded simulation, ten subsamples of 95 % of the cells, this package)"

HEAD = Path(__file__).with_name("head.md")


def values(rows: list[Row], method: str, name: str, measure: str) -> list[float]:
    """Return the scores of a method on a set, one per seed."""
    return [row.scores[measure] for row in rows if (row.method, row.set) == (method, name) and measure in row.scores]


def cell(found: list[float], best: bool, n_seeds: int) -> str:
    """Return mean and, for several seeds, standard deviation; and of how many seeds, where not of all."""
    text = f"{np.mean(found):.3f}" + (f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else "")
    text += f" ({len(found)} of {n_seeds} seeds)" if len(found) < n_seeds else ""
    return f"**{text}**" if best else text


def leaders(rows: list[Row], name: str, measure: str) -> set[str]:
    """Return the methods with the best mean as it is printed; none where only one method has a row.

    Methods with the score for fewer seeds than others (a branch time needs the right topology) are not compared.
    """
    found = {method: values(rows, method, name, measure) for method in METHODS}
    most = max(len(scores) for scores in found.values())
    means = {method: round(float(np.mean(scores)), 3) for method, scores in found.items() if most == len(scores) > 0}
    if len(means) < 2:
        return set()
    top = min(means.values()) if MEASURES[measure].lower else max(means.values())
    return {method for method, value in means.items() if value == top}


def behind(rows: list[Row]) -> list[tuple[str, str]]:
    """Return the sets and measures in which this package has a row and another is first."""
    return [
        (name, measure)
        for name, measures in SHOWN.items()
        for measure in measures
        if values(rows, OURS, name, measure) and (first := leaders(rows, name, measure)) and OURS not in first
    ]


def table(rows: list[Row], name: str) -> list[str]:
    """Return the lines of one set's table: one row per measure, one column per method."""
    lines = ["| | " + " | ".join(METHODS) + " |", "|---|" + "---:|" * len(METHODS)]
    for measure in SHOWN[name]:
        best = leaders(rows, name, measure)
        cells = []
        n_seeds = max(len(values(rows, method, name, measure)) for method in METHODS)
        for method in METHODS:
            found = values(rows, method, name, measure)
            missing = NO_SUCH if method in MEASURES[measure].without else NONE
            cells.append(cell(found, method in best, n_seeds) if found else missing)
        lines.append(f"| {MEASURES[measure].title} | " + " | ".join(cells) + " |")
    return lines


def loci(rows: list[Row], name: str) -> list[str]:
    """Return a section on the prediction of held-out cells; nothing where there is no row."""
    found = [row for row in rows if row.set == name]
    if not found:
        return []
    names = list(dict.fromkeys(name for row in found for name in row.scores))
    lines = [f"## {LOCI_TITLES[name]}", "", *_seeds(found)]
    for score in [*LOCI_ROWS, *(score for score in names if score not in LOCI_ROWS)]:
        title = LOCI_ROWS.get(score, f"Spearman of prediction and count per depth, {score.removeprefix('spearman_')}")
        digits = 0 if score in LOCI_ROWS else 2
        lines.append(f"| {title} | " + " | ".join(f"{row.scores[score]:.{digits}f}" for row in found) + " |")
    return [*lines, ""]


def _seeds(found: list[Row]) -> list[str]:
    return ["| | " + " | ".join(f"seed {row.seed}" for row in found) + " |", "|---|" + "---:|" * len(found)]


def stability(rows: list[Row]) -> list[str]:
    """Return the section on subsamples; nothing where there is no row."""
    found = [row for row in rows if row.set == SUBSAMPLES]
    if not found:
        return []

    def line(title: str, name: str) -> str:
        pairs = [(row.scores.get(name), row.scores.get(f"{name}_sd")) for row in found]
        cells = [NO_SUCH if mean is None else f"{mean:.3f} ± {sd:.3f}" for mean, sd in pairs]
        return f"| {title} | " + " | ".join(cells) + " |"

    right = [f"{row.scores['right']:.0f} of {row.scores['n']:.0f}" for row in found]
    return [
        f"## {SUBSAMPLES_TITLE}",
        "",
        *_seeds(found),
        line("pseudotime, Spearman", "spearman"),
        "| topology right | " + " | ".join(right) + " |",
        *(
            line(f"{name} branch time (planted: {_planted(found, name)})", name)
            for name in ("first", "second")
            if _planted(found, name)
        ),
        "",
    ]


def _planted(found: list[Row], name: str) -> str:
    known = [row.scores[f"{name}_planted"] for row in found if f"{name}_planted" in row.scores]
    return f"{known[0]:.2f}" if known else ""


def page(rows: list[Row], reasons: dict[tuple[str, str], str]) -> str:
    """Return the page: a table per set, and a sentence wherever this package is not first."""
    parts = [HEAD.read_text(encoding="utf-8")]
    late = behind(rows)
    for name, title in TITLES.items():
        parts += [f"## {title}", "", *table(rows, name), ""]
        here = [measure for where, measure in late if where == name]
        parts += [f"- {MEASURES[m].title}: {reasons.get((name, m), 'no reason is known yet.')}" for m in here]
        parts += [""] if here else []
    parts += stability(rows)
    for name in LOCI_TITLES:
        parts += loci(rows, name)
    versions = sorted({(row.method, row.version) for row in rows})
    parts += ["## Versions", "", *(f"- {method}: {version}" for method, version in versions), ""]
    return "\n".join(parts).rstrip() + "\n"

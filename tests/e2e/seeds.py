"""Key figures of whole runs of the embedded data over seeds, as a page of the documentation.

``python -m tests.e2e.seeds RUN...`` reads run folders that hold their planted truth (``mira-nb demo``, or those that
``make acceptance`` keeps) and writes docs/embedded-seeds.md. Runs of the same data from different seeds of the fit are
compared with each other as well.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import read_h5ad
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from mira_nb.run.store import read_h5mu
from tests.scoreboard.scores import topic_match
from tests.scoreboard.sets import digest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "embedded-seeds.md"
HEAD = """# Key figures over seeds

Whole runs of the embedded simulated data, each seed with data and fit of its own, scored against what was planted.
`python -m tests.e2e.seeds RUN...` writes this page from run folders: `mira-nb demo --seed N`, or those that
`make acceptance` keeps. Spread is the standard deviation over the seeds; a figure that a run does not have is "-".
"""
FIGURES = {
    "topics_rna": "RNA topics, mean correlation with the planted ones",
    "topics_atac": "ATAC topics, mean correlation with the planted ones",
    "label_accuracy": "label accuracy of the joint space",
    "spearman": "Spearman correlation of pseudotime",
    "lineages": "lineages (planted: 3)",
    "first_branch": "first branch time (planted: .35)",
    "second_branch": "second branch time (planted: .60)",
    "nite_auc": "NITE score, area under the ROC curve",
    "nite_called": "planted NITE genes called",
    "lite_called": "planted LITE genes called",
    "lite_false": "planted LITE genes with p < .05",
    "drivers_found": "planted factors called (of 6)",
    "drivers_false": "other factors called (of 18)",
}


def truths(table: pd.Series) -> pd.Series:
    """Return a column of True and False, however it was written."""
    return table.astype(str) == "True"


def figures(folder: Path) -> dict[str, float]:
    """Return the key figures of a run; those of stages that did not run are left out."""
    data = read_h5mu(folder / "results.h5mu")
    facts = json.loads((folder / "data" / "truth.json").read_text(encoding="utf-8"))
    out: dict[str, float] = {}
    with np.load(folder / "data" / "truth.npz") as arrays:
        for name in ("rna", "atac"):
            out[f"topics_{name}"] = topic_match(arrays[f"theta_{name}"], data.mod[name].obsm["X_topics"])
        if "pseudotime" in data.obs:
            known = np.isfinite(data.obs["pseudotime"].to_numpy(float))
            found, planted = data.obs["pseudotime"][known], arrays["pseudotime"][known]
            out["spearman"] = float(spearmanr(found, planted).statistic)
    tables = folder / "stages"
    if (file := tables / "joint" / "tables" / "representations.csv").exists():
        out["label_accuracy"] = float(pd.read_csv(file, index_col="representation").loc["joint", "knn_accuracy"])
    if (file := tables / "trajectory" / "tables" / "lineage_tree.csv").exists():
        times = sorted(pd.to_numeric(pd.read_csv(file)["branch_time"]).dropna())
        out["lineages"] = len(times) + 1
        if len(times) == 2:
            out["first_branch"], out["second_branch"] = times
    if (file := tables / "regulation" / "tables" / "genes.csv").exists():
        out |= regulation(pd.read_csv(file).set_index("gene"), folder)
    if (file := tables / "drivers" / "tables" / "driver_factors.csv").exists():
        table = pd.read_csv(file)
        called = set(table.loc[truths(table["called"]), "factor"])
        planted_factors = set(facts["planted_factors"])
        out["drivers_found"] = len(called & planted_factors)
        out["drivers_false"] = len(called - planted_factors)
    return out


def regulation(table: pd.DataFrame, folder: Path) -> dict[str, float]:
    """Return how NITE scores and calls agree with the planted kinds of genes."""
    kinds = pd.read_csv(folder / "data" / "truth_genes.tsv", sep="\t", index_col="gene_symbol")["kind"]
    kind, score = kinds.reindex(table.index), pd.to_numeric(table["nite_score"])
    planted, called = kind.isin(["LITE", "NITE"]) & score.notna(), truths(table["nite"])
    out = {
        "nite_auc": float(roc_auc_score(kind[planted] == "NITE", score[planted])),
        "nite_called": float(called[kind == "NITE"].mean()),
        "lite_called": float(called[kind == "LITE"].mean()),
    }
    if "pvalue" in table:
        p = pd.to_numeric(table["pvalue"])[kind == "LITE"].dropna()
        out["lite_false"] = float((p < 0.05).mean())
    return out


def jaccard(first: set[str], second: set[str]) -> float:
    """Return the fraction that two sets share; 1 for two empty ones."""
    return len(first & second) / len(first | second) if first | second else 1.0


def agreement(first: Path, second: Path) -> dict[str, float]:
    """Return how two runs of the same data agree on scores, calls and drivers."""
    tables = [
        pd.read_csv(run / "stages" / "regulation" / "tables" / "genes.csv", index_col="gene") for run in (first, second)
    ]
    scores = [pd.to_numeric(table["nite_score"]) for table in tables]
    both = scores[0].notna() & scores[1].reindex(scores[0].index).notna()
    drivers = []
    for run in (first, second):
        table = pd.read_csv(run / "stages" / "drivers" / "tables" / "driver_factors.csv")
        drivers.append(set(table.loc[truths(table["called"]), "factor"]))
    return {
        "spearman": float(spearmanr(scores[0][both], scores[1].reindex(scores[0].index)[both]).statistic),
        "calls": jaccard(*(set(table.index[truths(table["nite"])]) for table in tables)),
        "drivers": jaccard(*drivers),
    }


def page(found: dict[str, dict[str, float]], pairs: list[dict[str, float]]) -> str:
    """Return the page: one column per seed, mean and spread, and the agreement of runs of the same data."""
    names = list(found)
    lines = [HEAD, f"| Figure | {' | '.join(names)} | mean ± spread |", "|---|" + "---:|" * (len(names) + 1)]
    for key, title in FIGURES.items():
        values = [found[name].get(key) for name in names]
        known = [value for value in values if value is not None]
        spread = f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else ""
        cells = ["-" if value is None else f"{value:.3g}" for value in values]
        lines.append(f"| {title} | {' | '.join(cells)} | {f'{np.mean(known):.3f}{spread}' if known else '-'} |")
    if pairs:
        titles = {"spearman": "NITE scores, Spearman", "calls": "NITE calls, Jaccard", "drivers": "drivers, Jaccard"}
        lines += ["", f"Runs of the same data from other seeds of the fit agree ({len(pairs)} pairs):", ""]
        for key, title in titles.items():
            values = [pair[key] for pair in pairs]
            lines.append(f"- {title}: {min(values):.3f} to {max(values):.3f}")
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Read the runs and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.seeds")
    parser.add_argument("runs", nargs="+", type=Path)
    found: dict[str, dict[str, float]] = {}
    same: dict[str, list[Path]] = {}
    for run in parser.parse_args().runs:
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
        data = read_h5ad(run / "data" / "rna.h5ad")
        siblings = same.setdefault(digest(data.X), [])
        siblings.append(run)
        if len(siblings) == 1:
            found[f"seed {record['seed']}"] = figures(run)
    pairs = [agreement(*pair) for runs in same.values() for pair in combinations(runs, 2)]
    PAGE.write_text(page(found, pairs), encoding="utf-8")


if __name__ == "__main__":
    main()

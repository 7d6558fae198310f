"""Tables of a comparison: settings and key figures of all runs, and results of each against those of the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from mira_nb.core.regulation.fit import AT_BOUND, OK
from mira_nb.core.tuning.stability import FOUND, correlation
from mira_nb.keys import ATAC, DRIVERS, LEIDEN, LINEAGE_STATE, PSEUDOTIME, REGULATION, RNA

from .runs import ComparedRun

FEWEST_CELLS = 20
"""Cells of both runs below which nothing is compared over cells."""

ASSAYS = {RNA: "expression", ATAC: "accessibility"}


def inputs(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Return one row per fact of the runs as such, a column per run; also where they agree."""
    facts: dict[str, dict[str, str]] = {}
    for run in runs:
        record, shape = run.view.record, run.view.shape
        values: dict[str, Any] = {
            "title": record.get("title"),
            "seed": record.get("seed"),
            **{unit: shape.get(unit) for unit in ("cells", "genes", "peaks")},
            "version": record.get("package_version"),
            "updated": record.get("updated"),
            "stages done": len(run.done),
        }
        for item in record.get("inputs") or ():
            values[f"{item.get('role')} (SHA-256)"] = f"{item.get('name')} {str(item.get('sha256', ''))[:12]}"
        for fact, value in values.items():
            facts.setdefault(fact, {})[run.name] = "" if value is None else str(value)
    return _wide(facts, runs, "fact")


def parameters(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Return one row per parameter whose used value differs between runs, a column per run."""
    used: dict[tuple[str, str], dict[str, str]] = {}
    for run in runs:
        for stage in run.done:
            for row in run.stage(stage).get("parameters", ()):
                value = row.get("used", row.get("value"))
                used.setdefault((stage, row["name"]), {})[run.name] = _text(value)
    differing = {key: values for key, values in used.items() if len({values.get(run.name, "") for run in runs}) > 1}
    frame = _wide({f"{stage}.{name}": values for (stage, name), values in differing.items()}, runs, "parameter")
    return frame


def key_figures(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Return one row per key figure, a column per run."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for run in runs:
        for stage in run.view.stages:
            for item in run.stage(stage.name).get("metrics", ()):
                if item.get("key"):
                    place = (stage.title, item["name"], item.get("unit", ""))
                    found.setdefault(place, {})[run.name] = _text(item.get("value"))
    frame = _wide({"\t".join(place): values for place, values in found.items()}, runs, "place")
    parts = frame.pop("place").str.split("\t", expand=True, n=2)
    if len(frame):
        frame.insert(0, "stage", parts[0])
        frame.insert(1, "figure", parts[1])
        frame.insert(2, "unit", parts[2])
    return frame


def topics(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Match the topics of each run with those of the first over the cells of both (Hungarian algorithm).

    Columns: assay, topic (of the first run), run, match, correlation, found (from :data:`~.stability.FOUND`). Topics of
    a run that match none stand with an empty topic.
    """
    first, rows = runs[0], []
    for run in runs[1:]:
        shared = first.cells.index.intersection(run.cells.index)
        for assay, noun in ASSAYS.items():
            ours, theirs = first.topics(assay), run.topics(assay)
            if len(shared) < FEWEST_CELLS or not ours or not theirs:
                continue
            a, b = first.cells.loc[shared, ours].to_numpy(), run.cells.loc[shared, theirs].to_numpy()
            known = np.isfinite(a).all(1) & np.isfinite(b).all(1)
            pairs = _matched(a[known], b[known])
            for i, topic in enumerate(ours):
                j, r = pairs.get(i, (None, np.nan))
                other = "" if j is None else theirs[j]
                rows.append((noun, topic, run.name, other, r, bool(r >= FOUND)))
            taken = {j for j, _ in pairs.values()}
            rows += [(noun, "", run.name, name, np.nan, False) for j, name in enumerate(theirs) if j not in taken]
    return pd.DataFrame(rows, columns=["assay", "topic", "run", "match", "correlation", "found"])


def _matched(a: np.ndarray, b: np.ndarray) -> dict[int, tuple[int, float]]:
    """Return the best one-to-one pairs of columns: column of `a` to column of `b` and their correlation."""
    found = correlation(a, b)
    rows, columns = linear_sum_assignment(-found)
    return {int(i): (int(j), float(found[i, j])) for i, j in zip(rows, columns, strict=True)}


def cells(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Compare clusters, lineage states and pseudotime over the cells of both runs.

    Columns: run, n_cells (of both), clusters_ari, clusters_nmi, states_ari, pseudotime_spearman; NaN where a run has
    not what is compared.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    first, rows = runs[0], []
    for run in runs[1:]:
        shared = first.cells.index.intersection(run.cells.index)
        a, b = first.cells.loc[shared], run.cells.loc[shared]
        row: dict[str, Any] = {"run": run.name, "n_cells": len(shared)}
        enough = len(shared) >= FEWEST_CELLS
        for column, prefix in ((LEIDEN, "clusters"), (LINEAGE_STATE, "states")):
            both = enough and column in a and column in b
            left, right = (x[column].astype(str) if both else None for x in (a, b))
            row[f"{prefix}_ari"] = adjusted_rand_score(left, right) if both else np.nan
            if column == LEIDEN:
                row["clusters_nmi"] = normalized_mutual_info_score(left, right) if both else np.nan
        both = enough and PSEUDOTIME in a and PSEUDOTIME in b
        row["pseudotime_spearman"] = a[PSEUDOTIME].corr(b[PSEUDOTIME], method="spearman") if both else np.nan
        rows.append(row)
    columns = ["run", "n_cells", "clusters_ari", "clusters_nmi", "states_ari", "pseudotime_spearman"]
    return pd.DataFrame(rows, columns=columns)


def genes(runs: Sequence[ComparedRun]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare NITE scores and calls over the genes with models in both runs.

    Returns
    -------
    summary
        run, n_genes, score_spearman, called_first, called, called_both, jaccard.
    changed
        gene, run, nite_first, nite, score_first, score: genes whose call differs.
    """
    first, summary, changed = _models(runs[0]), [], []
    for run in runs[1:]:
        other = _models(run)
        if first is None or other is None:
            continue
        both = first.join(other, lsuffix="_first", how="inner")
        a, b = both["nite_first"].to_numpy(bool), both["nite"].to_numpy(bool)
        union = int((a | b).sum())
        rank = both["nite_score_first"].corr(both["nite_score"], method="spearman")
        jaccard = (a & b).sum() / union if union else np.nan
        summary.append((run.name, len(both), rank, int(a.sum()), int(b.sum()), int((a & b).sum()), jaccard))
        part = both[a != b]
        changed.append(
            pd.DataFrame(
                {
                    "gene": part.index,
                    "run": run.name,
                    "nite_first": part["nite_first"].to_numpy(bool),
                    "nite": part["nite"].to_numpy(bool),
                    "score_first": part["nite_score_first"].to_numpy(),
                    "score": part["nite_score"].to_numpy(),
                }
            )
        )
    names = ["run", "n_genes", "score_spearman", "called_first", "called", "called_both", "jaccard"]
    columns = ["gene", "run", "nite_first", "nite", "score_first", "score"]
    return pd.DataFrame(summary, columns=names), _joined(changed, columns)


def _models(run: ComparedRun) -> pd.DataFrame | None:
    table = run.table(REGULATION, "genes")
    if table is None:
        return None
    fitted = table[table["status"].isin((OK, AT_BOUND))].drop_duplicates("gene").set_index("gene")
    return fitted[["nite_score"]].astype(float).assign(nite=fitted["nite"].astype(str).str.lower() == "true")


def drivers(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Return one row per driver called in any run: factor, and in how many gene sets each run calls it."""
    counted: dict[str, dict[str, int]] = {}
    known = []
    for run in runs:
        table = run.table(DRIVERS, "driver_factors")
        if table is None or "called" not in table:
            continue
        known.append(run.name)
        called = table[table["called"].astype(str).str.lower() == "true"]
        for factor, part in called.groupby("factor"):
            counted.setdefault(str(factor), {})[run.name] = int(part["query"].nunique())
    frame = pd.DataFrame(
        [{"factor": factor, **{name: values.get(name, 0) for name in known}} for factor, values in counted.items()],
        columns=["factor", *known],
    )
    if not len(frame):
        return frame
    frame["n_runs"] = (frame[known] > 0).sum(axis=1)
    return frame.sort_values(["n_runs", "factor"], ascending=[False, True], kind="stable").reset_index(drop=True)


def _wide(values: dict[str, dict[str, str]], runs: Sequence[ComparedRun], name: str) -> pd.DataFrame:
    names = [run.name for run in runs]
    rows = [[key, *(found.get(run, "") for run in names)] for key, found in values.items()]
    return pd.DataFrame(rows, columns=[name, *names])


def _joined(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)

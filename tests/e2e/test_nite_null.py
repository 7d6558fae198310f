"""Error rate of the NITE test on simulations of another making, at three depths of expression."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import mira_nb
from tests.e2e.acceptance import folder, record

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.acceptance, pytest.mark.timeout(7200)]

DEPTHS = (500, 1000, 3000)
SIZE = {"cells": 1000, "genes": 1500, "peaks": 8000, "seed": 0}
WANTED = (0.03, 0.07)
"""False positives at .05 asked for."""


def simulated(script: Path, depth: int) -> Path:
    """Return the folder of a simulation, made where it is missing."""
    out = folder() / "nite-null" / f"depth-{depth}"
    if not (out / "truth.json").exists():
        options = [part for name, value in SIZE.items() for part in (f"--{name}", str(value))]
        command = [sys.executable, str(script), *options, "--depth", str(depth), "--out", str(out)]
        subprocess.run(command, check=True, capture_output=True)
    return out


def nite_table(place: Path, genes: list[str]) -> pd.DataFrame:
    """Return the table of genes of the stage regulation, all stages before it at the planted number of topics."""
    data = mira_nb.read(rna=place / "rna.h5ad", atac=place / "atac.h5ad")
    mira_nb.prepare(data)
    mira_nb.topics_rna(data, n_topics=7)
    mira_nb.topics_atac(data, n_topics=7)
    mira_nb.joint(data)
    result = mira_nb.regulation(
        data, genes=genes, other_promoters="keep", link_permutations=20, link_background=20,
        resources=mira_nb.Resources(tss=place / "tss.tsv"),
    )  # fmt: skip
    return next(table.frame for table in result.tables if table.name == "genes").set_index("gene")


@pytest.mark.parametrize("depth", DEPTHS)
def test_false_positives_of_the_nite_test(shared_data: Path, depth: int) -> None:
    place = simulated(shared_data / "peer" / "simulate.py", depth)
    facts = json.loads((place / "truth.json").read_text(encoding="utf-8"))
    table = nite_table(place, [*facts["lite_genes"], *facts["nite_genes"]])
    p, score = pd.to_numeric(table["pvalue"]), pd.to_numeric(table["nite_score"])
    lite, nite = (table.index.isin(facts[f"{kind}_genes"]) & p.notna() for kind in ("lite", "nite"))
    false = float((p[lite] < 0.05).mean())
    name = f"NITE null, depth {depth}"
    record(name, "LITE genes with p < .05", false, ".03 to .07")
    record(name, "NITE genes with p < .05", float((p[nite] < 0.05).mean()))
    either = lite | nite
    record(name, "area under the ROC curve", roc_auc_score(nite[either], score[either]))
    assert WANTED[0] <= false <= WANTED[1]

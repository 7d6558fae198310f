"""The page of key figures over seeds: every column is there, spread and agreement by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.e2e.seeds import agreement, jaccard, page


def test_page_has_mean_and_spread_and_says_what_a_run_lacks() -> None:
    text = page({"seed 0": {"nite_auc": 0.9, "spearman": 0.95}, "seed 1": {"nite_auc": 1.0}}, [])
    row = next(line for line in text.splitlines() if line.startswith("| NITE score"))
    assert row == f"| NITE score, area under the ROC curve | 0.9 | 1 | 0.950 ± {np.std([0.9, 1.0], ddof=1):.3f} |"
    assert "| Spearman correlation of pseudotime | 0.95 | - | 0.950 |" in text
    assert "agree" not in text


def test_agreement_of_runs_of_the_same_data(tmp_path) -> None:
    runs = []
    for name, scores, called, factor in (("a", [1, 2, 3], [1, 1, 0], "X"), ("b", [1, 2, 3], [1, 0, 0], "X")):
        for stage, file, table in (
            (
                "regulation",
                "genes",
                pd.DataFrame({"gene": list("uvw"), "nite_score": scores, "nite": np.array(called) > 0}),
            ),
            ("drivers", "driver_factors", pd.DataFrame({"factor": [factor, "Y"], "called": [True, name == "a"]})),
        ):
            folder = tmp_path / name / "stages" / stage / "tables"
            folder.mkdir(parents=True)
            table.to_csv(folder / f"{file}.csv", index=False)
        runs.append(tmp_path / name)
    assert agreement(*runs) == pytest.approx({"spearman": 1, "calls": 0.5, "drivers": 0.5})
    assert "0.500 to 0.500" in page({"seed 0": {}}, [agreement(*runs)])
    assert jaccard(set(), set()) == 1

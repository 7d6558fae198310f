"""Texts of motifs, drivers and regulation: every branch of the wording, with the values it must hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mira_nb.core.regulation.fit import AT_BOUND
from mira_nb.io.spec import Finding
from mira_nb.stages.motifs.params import MotifsParams
from mira_nb.stages.regulation.params import RegulationParams
from mira_nb.stages.regulation.report import alerts, methods
from mira_nb.stages.texts import Texts
from tests.stages.wording import cited, codes, numbers

DRIVERS, MOTIFS, REGULATION = (Texts(f"mira_nb.stages.{name}") for name in ("drivers", "motifs", "regulation"))


@pytest.mark.parametrize(("texts", "key"), [(MOTIFS, "input_finding"), (REGULATION, "tss_finding")])
def test_findings_pass_unchanged(texts: Texts, key: str) -> None:
    """Braces of a file's name are no template."""
    alert = texts.alert(key, finding=Finding("warning", "3 rows of {{ a }}.tsv", "cause: 'x'", "do # this"))
    shown = (alert.level, alert.title, alert.cause, alert.remedy, alert.code)
    assert shown == ("warning", "3 rows of {{ a }}.tsv", "cause: 'x'", "do # this", f"{texts.name}.{key}")


@pytest.mark.parametrize(("n", "words"), [(1, "1 motif has"), (1200, "1,200 motifs have")])
def test_numbers_decide_singular_and_plural(n: int, words: str) -> None:
    assert MOTIFS.alert("rare_motifs", n_rare=n, least=10).title.startswith(words)


def test_panels_left_out_are_counted() -> None:
    few, many = (MOTIFS.figure("motif_score_maps", n_cells=5000, n_shown=n, n_panels=20).caption for n in (20, 24))
    assert numbers(few) == [5000]
    assert numbers(many) == [5000, 20, 24]


def motif_methods(**changes: Any) -> str:
    p = MotifsParams()
    values = {
        "scanned": True, "n_motifs": 746, "n_short": 0, "pvalue": p.pvalue, "letters": p.letters,
        "pseudocount": p.pseudocount, "n_top": 2000, "n_peaks": 10000, "top_quantile": p.top_quantile,
        "family_similarity": p.family_similarity,
    }  # fmt: skip
    return MOTIFS.methods(**(values | changes))


def test_methods_of_motifs_follow_the_source_of_hits() -> None:
    scanned, given = motif_methods(), motif_methods(scanned=False)
    assert numbers(scanned) == [746, 1e-5, 0.01, 2000, 20, 8000, 1, 0.4]
    assert numbers(motif_methods(n_short=7)) == [746, 1e-5, 0.01, 7, 2000, 20, 8000, 1, 0.4]
    assert numbers(given) == [746, 2000, 20, 8000, 1, 0.4]
    assert cited(scanned) - cited(given) == {"fornes2020jaspar", "korhonen2017moods"}
    assert motif_methods(letters="peaks") != scanned


def test_sets_too_small_to_test_are_named_with_their_sizes() -> None:
    alert = DRIVERS.alert("small_gene_sets", sizes={"one": (1, 900), "two": (2, 1899)}, least=3)
    assert alert.code == "drivers.small_gene_sets"
    assert numbers(alert.title) == [2]
    assert numbers(alert.cause) == [1, 900, 2, 1899]
    assert numbers(alert.remedy) == [3]


def test_unknown_genes_are_listed_up_to_ten() -> None:
    alert = DRIVERS.alert("unknown_genes", query="mine", genes=[f"Gene{i}" for i in range(14)])
    assert numbers(alert.title) == [14]
    assert alert.cause == ", ".join(f"Gene{i}" for i in range(10)) + " and 4 more"


def found(**changes: Any) -> Any:
    """As much of a regulation output as alerts and methods read; 10 genes, all well."""
    converged = SimpleNamespace(converged=np.ones(10, dtype=bool))
    sets = SimpleNamespace(own_promoter_masked=np.zeros(10, dtype=bool), n_peaks=np.full(10, 60))
    values = {
        "params": RegulationParams(), "tss_findings": (), "status": np.full(10, "ok", dtype=object),
        "ok": np.ones(10, dtype=bool), "sets": sets, "n_open": np.full(50, 4000), "error_share": 0.08,
        "chromosomes": SimpleNamespace(renamed={}, unmatched={}),
        "fit": SimpleNamespace(lite=converged, nite=converged, n_expressing=np.full(10, 700)),
        "null": SimpleNamespace(null_rate=0.05, chi2_rate=0.4, chi2_df=7, outliers=3),
        "branches": [], "halves": None,
    }  # fmt: skip
    return SimpleNamespace(**(values | changes))


def test_a_good_run_has_no_alerts() -> None:
    assert alerts(found()) == []


@pytest.mark.parametrize(
    ("changes", "code", "level", "title", "cause"),
    [
        ({"status": pd.Series(["ok"] * 9 + ["seen in 3 cells"])}, "no_model", "info", [1, 10], [1]),
        ({"status": pd.Series(["ok"] * 7 + ["no transcription start site"] * 3)}, "no_model", "warning", [3, 10], [3]),
        (
            {"status": pd.Series(["ok"] * 7 + [AT_BOUND] * 3), "called": np.arange(10) > 5},
            "decay_at_bound", "warning", [3, 10], [0.01, 3],
        ),
        ({"error_share": 0.42}, "poorly_measured", "warning", [42], [4000, 60, 700]),
        (
            {"null": SimpleNamespace(null_rate=0.154, chi2_rate=0.05)},
            "null_miscalibrated", "warning", [15.4, 0.05], [],
        ),
        (
            {"params": RegulationParams(null="chi2"), "null": SimpleNamespace(null_rate=0.05, chi2_rate=0.4)},
            "null_miscalibrated", "warning", [40, 0.05], [],
        ),
        (
            {"chromosomes": SimpleNamespace(renamed={}, unmatched={f"c{i}": i for i in range(1, 9)})},
            "unmatched_peaks", "info", [36], [1, 2, 3, 4, 5, 6, 2],
        ),
        (
            {"sets": SimpleNamespace(own_promoter_masked=np.arange(10) < 2, n_peaks=np.full(10, 60))},
            "own_promoter_masked", "info", [2], [],
        ),
    ],
)  # fmt: skip
def test_alerts_say_what_is_wrong(
    changes: dict[str, Any], code: str, level: str, title: list[float], cause: list[float]
) -> None:
    (alert,) = alerts(found(**changes))
    assert (alert.code, alert.level) == (f"regulation.{code}", level)
    assert numbers(alert.title) == [pytest.approx(x) for x in title]
    assert numbers(alert.cause) == cause


def test_renamed_chromosomes_and_slow_fits() -> None:
    mapping = {f"{i}": f"chr{i}" for i in range(1, 6)}
    chromosomes = SimpleNamespace(renamed=mapping, unmatched={})
    slow = SimpleNamespace(converged=np.arange(10) > 3)
    fit = SimpleNamespace(lite=slow, nite=slow, n_expressing=np.full(10, 700))
    renamed, stopped = alerts(found(chromosomes=chromosomes, fit=fit))
    assert codes([renamed, stopped]) == ["regulation.renamed_chromosomes", "regulation.not_converged"]
    assert renamed.cause == "1 -> chr1, 2 -> chr2, 3 -> chr3 and 2 more"
    assert numbers(stopped.title) == [4]


def test_missing_start_sites_call_for_a_check_of_the_file() -> None:
    few, many = (
        alerts(found(status=pd.Series(["no transcription start site"] * n + ["ok"] * (10 - n))))[0] for n in (1, 2)
    )
    assert not few.remedy
    assert many.remedy


def test_methods_of_regulation_follow_parameters_and_null() -> None:
    plain = methods(found())
    assert {0.05, 0.4, 7, 500, 0.08, 10} <= set(numbers(plain)), "rates, degrees, simulated genes, error, min_share"
    bare = methods(found(null=None))
    assert 0.08 not in numbers(bare)
    assert "  " not in plain + bare
    assert " ," not in plain + bare
    chi2 = methods(found(params=RegulationParams(null="chi2")))
    assert cited(chi2) - cited(plain) == {"wilks1938lrt"}
    variants = [
        methods(found(params=RegulationParams(**{name: value})))
        for name, value in (
            ("other_promoters", "keep"), ("other_promoters", "keep_own"), ("tss", "open"), ("normalizer", "model"),
            ("window_kb", 100.0), ("promoter_bp", 3000), ("decay_median_kb", 10.0), ("min_share", 0.2),
        )
    ]  # fmt: skip
    assert len({plain, *variants}) == 9, "each of these parameters is told"


@pytest.mark.parametrize(("n_genes", "expected"), [(0, []), (12, [5, 12, 3, 40, 60, 20])])
def test_primed_genes_are_counted(n_genes: int, expected: list[float]) -> None:
    values = {"de_level": 0.1, "fold_change": 1.0, "differential": 0.15, "score": 5.0, "n_primed": 5}
    values |= {"n_both": 3, "n_pass": 40, "n_fitted": 60, "n_called": 20}
    caption = REGULATION.table("primed_genes", pd.DataFrame(), n_genes=n_genes, **values).caption
    assert numbers(caption)[4:] == expected

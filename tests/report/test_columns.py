"""What is said of the columns of tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from mira_nb.report import tables, wording
from mira_nb.report.columns import ColumnText, column_text
from mira_nb.report.environment import FOLDER
from mira_nb.stages.registry import BUILT_IN, get_stage
from mira_nb.stages.texts import Texts

KNOWN = yaml.safe_load((FOLDER / "columns.yaml").read_text(encoding="utf-8"))
SHARED_ONLY = {"cell_nite_tests", "topic_nite_tests", "state_nite_tests", "terminal_nite_tests", "target_nite_test"}
"""Tables whose columns are those of every test between two groups."""
EVERY = [
    *[("", name, text) for name, text in KNOWN["shared"].items()],
    *[(table, name, text) for table, columns in KNOWN["tables"].items() for name, text in columns.items()],
]


def built_in_tables() -> set[str]:
    packages = {type(get_stage(name)).__module__.rpartition(".")[0] for name in BUILT_IN}
    return {key for package in packages for key in Texts(package).keys("tables")}


def test_every_table_is_known_and_no_other() -> None:
    assert set(KNOWN["tables"]) | SHARED_ONLY == built_in_tables()


@pytest.mark.parametrize("table", sorted(SHARED_ONLY))
def test_columns_of_tests_are_explained(table: str) -> None:
    columns = [
        "quantity",
        "group_1",
        "group_2",
        "n_1",
        "n_2",
        "median_1",
        "median_2",
        "effect_size",
        "pvalue",
        "adj_pvalue",
    ]
    assert all(column_text(table, column).help for column in columns)


@pytest.mark.parametrize(("table", "name", "text"), EVERY, ids=[f"{table}.{name}" for table, name, _ in EVERY])
def test_headers_are_words_and_help_is_a_sentence(table: str, name: str, text: dict[str, str]) -> None:
    assert text["help"].endswith(".")
    assert len(text["help"]) <= 160
    assert "*" in name or text["header"]
    assert "_" not in text.get("header", "")


def test_a_table_goes_before_what_is_shared_and_patterns_come_last() -> None:
    assert column_text("curve", "loss").unit == "nats per count"
    assert column_text("mine", "loss").unit == "nats"
    assert column_text("start_candidates", "certainty_other").unit == "SE"
    assert column_text("topic_sharing", "mean in B cells").unit == "proportion"
    assert column_text("mine", "unheard of") == ColumnText()


def test_headers_and_help_go_into_the_page_by_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "genes.csv"
    pd.DataFrame({"gene": ["A"], "decay_upstream_kb": [1.5], "mine": [1], "adj_pvalue": [0.1]}).to_csv(
        path, index=False
    )
    gene, decay, mine, adjusted = tables.read_table(path).payload["columns"]
    assert gene["header"] == "Gene"
    assert (decay["header"], decay["unit"]) == ("Decay upstream", "kb")
    assert set(mine) == {"name", "kind", "values"}
    assert adjusted["first"] == "< 0.05"


def test_a_table_is_whole_up_to_the_limit_and_short_beyond(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame({"n": range(300)}).to_csv(path, index=False)
    limits = {"cut": tables.Limit(100, 10_000)}
    whole = tables.read_table(path, whole=tables.Limit(300, 10_000), **limits)
    assert (whole.n_shown, whole.note, "total" in whole.payload) == (300, "", False)
    for limit in (tables.Limit(299, 10_000), tables.Limit(300, 500)):
        short = tables.read_table(path, whole=limit, **limits)
        assert (short.n_shown, short.payload["total"]) == (100, 300)


def test_a_long_caption_begins_with_what_the_run_shows() -> None:
    text = "One row per gene. score: of the gene, 0.5 at most. In this run 3 of 4 genes pass. Good: all pass."
    assert wording.lead(text) == (text, "")
    assert wording.lead(text, short=20) == (
        "One row per gene. In this run 3 of 4 genes pass.",
        "score: of the gene, 0.5 at most. Good: all pass.",
    )

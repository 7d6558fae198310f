"""Topic pages against closed cases, and the words that the report explains."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mira_nb.report.build import build_report
from mira_nb.report.colors import Palette
from mira_nb.report.findings.cards import Card
from mira_nb.report.findings.facts import Facts
from mira_nb.report.findings.topics import topic_pages
from mira_nb.report.glossary import terms
from mira_nb.report.reader import read_run
from tests.report.conftest import until
from tests.report.synthetic import RunFolder
from tests.report.test_browser import axe
from tests.report.test_explore import grid_run

ROOT = Path(__file__).resolve().parents[2]


def topics_run(root: Path) -> Path:
    run = RunFolder(root)
    top = pd.DataFrame({"topic": ["e1"] * 3 + ["e2"], "feature": ["B", "A", "C", "D"], "rank": [2, 1, 3, 1]})
    run.stage("topics_rna").table("top_features", top).save()
    sets = pd.DataFrame(
        {
            "topic": ["e1"] * 3, "term": ["weak", "best", "none"], "overlap": ["2/9", "5/9", "1/9"],
            "odds_ratio": [2.0, 9.0, 1.0], "adj_pvalue": [0.04, 1e-6, 0.7],
        }
    )  # fmt: skip
    run.stage("enrichment").table("enrichment", sets).save()
    rows = [
        {"query": "topic e1", "factor": "TF1", "called": True, "effect_size": 0.4, "adj_pvalue": 0.01},
        {"query": "topic e1", "factor": "TF2", "called": False, "effect_size": 0.9, "adj_pvalue": 0.001},
    ]
    run.stage("drivers").table("driver_factors", pd.DataFrame(rows)).save()
    return run.finish()


def test_a_page_holds_the_best_of_its_topic(tmp_path: Path) -> None:
    cards = [Card("e1", "rna", partner="a1", correlation=0.876, state="A"), Card("e2", "rna")]
    facts = Facts(read_run(topics_run(tmp_path / "r")))
    first, second = topic_pages(facts, cards, Palette(topics={"e1": "#123456"}), {"a1": "Mine"})
    assert first["features"] == ["A", "B", "C"]
    assert (first["color"], first["partner_id"], first["correlation"]) == ("#123456", "topic-page-a1", "0.88")
    assert (first["partner"], first["label"]) == ("a1: Mine", "e1")
    sets, motifs, drivers = first["tables"]
    assert [[cell["text"] for cell in row[:2]] for row in sets["rows"]] == [["best", "5/9"], ["weak", "2/9"]]
    assert sets["count"] == "2 of 3 with adjusted p < 0.05"
    assert motifs["n_tested"] == 0
    assert [row[0]["text"] for row in drivers["rows"]] == ["TF1"]
    assert (second["features"], second["partner_id"]) == (["D"], "")


def test_the_documentation_explains_the_same_words() -> None:
    text = re.sub(r"\s+", " ", (ROOT / "docs/reading-the-report.md").read_text(encoding="utf-8"))
    for term in terms():
        assert f"{term.name} : {term.meaning}" in text


@pytest.mark.browser
def test_a_topic_opens_from_the_first_screen_with_its_map(page_offline: Any, tmp_path: Path) -> None:
    topics = pd.DataFrame({"e1": [i / 64 for i in range(64)], "e2": [1 - i / 64 for i in range(64)]})
    root = grid_run(tmp_path / "r", topics=topics)
    topics_run(root)
    page = page_offline.open(build_report(root))
    page.locator("#result-topics tbody th a").first.click()
    until(page, "document.querySelector('#topic-page-e1').open")
    page.locator("#topic-page-e1 canvas").wait_for()
    assert "best" in page.locator("#topic-page-e1 table").first.inner_text()
    assert axe(page) == []
    page.locator("#topic-page-e1 a", has_text="pseudotime").click()
    until(page, "document.querySelector('#explore').dataset.shown === 'topic/e1'")
    assert page_offline.errors == []


@pytest.mark.browser
def test_every_word_is_explained_by_each_of_its_forms(page_offline: Any, tmp_path: Path) -> None:
    forms = [(term, form) for term in terms() for form in (term.name, *term.also)]
    run = RunFolder(tmp_path / "r")
    run.stage(
        "drivers",
        alerts=[
            {"level": "info", "title": f"t{i}", "cause": f"It has {form} here.", "remedy": ""}
            for i, (_, form) in enumerate(forms)
        ],
    ).save()
    page = page_offline.open(build_report(run.finish()))
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    words = page.locator("#drivers .alert .term")
    assert words.all_inner_texts() == [form for _, form in forms]
    for number, (term, _) in enumerate(forms):
        words.nth(number).focus()
        assert page.locator("#term-tip").inner_text() == f"{term.name} {term.meaning}"


@pytest.mark.browser
def test_words_are_explained_by_keyboard_and_stay_text_elsewhere(page_offline: Any, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "r")
    purpose = "NITE genes, NITE cells and a lite meal; activations of topics, TF-NITE, and `LITE` as code."
    run.stage("regulation", purpose=purpose).save()
    page = page_offline.open(build_report(run.finish()))
    words = page.locator("#regulation .lead .term")
    assert words.all_inner_texts() == ["NITE", "activations"]
    assert page.locator("#regulation .lead").inner_text() == purpose.replace("`", "")
    words.first.focus()
    meaning = next(term.meaning for term in terms() if term.name == "NITE")
    assert page.locator("#term-tip").is_visible()
    assert page.locator("#term-tip").inner_text() == f"NITE {meaning}"
    assert words.first.get_attribute("aria-describedby") == "term-tip"
    assert axe(page) == []
    page.keyboard.press("Escape")
    assert page.locator("#term-tip").is_hidden()
    assert page_offline.errors == []

"""Text that is safe for figures, terminals and spreadsheets."""

from __future__ import annotations

import html
import re

import pytest
from markdown_it import MarkdownIt

from mira_nb.text import clean_label, cut_label, from_spreadsheet_cell, markdown_text, printable, spreadsheet_cell


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "a <img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "![x](http://y)"],
)
def test_names_in_markdown_make_no_elements(text: str) -> None:
    page = MarkdownIt("commonmark").render(f"# Findings of {markdown_text(text)}")
    assert set(re.findall(r"<(\w+)", page)) == {"h1"}
    assert html.unescape(re.sub(r"</?h1>", "", page)).strip() == f"Findings of {text}"


def test_plain_names_in_markdown_stay_as_they_are() -> None:
    for text in ("HLA-DRA", "a_b [0.3, 0.4] (n = 3)", "p > .05", "p < 0.05"):
        assert markdown_text(text) == text


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(1)"])
def test_formulas_get_an_apostrophe_that_goes_on_reading(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"
    assert from_spreadsheet_cell(spreadsheet_cell(text)) == text


@pytest.mark.parametrize("text", ["-1.5", "+2e-05", "-", "+", "-inf", "", "GATA1", "'quoted", "a=1", "5'-end"])
def test_numbers_strands_and_plain_names_stay(text: str) -> None:
    assert spreadsheet_cell(text) == text
    assert from_spreadsheet_cell(text) == text


def test_a_terminal_gets_no_escape_sequences() -> None:
    assert printable("a\x1b]0;owned\x07b\x9b31m\nnext\u202e") == "a\\x1b]0;owned\\x07b\\x9b31m\nnext\\u202e"
    assert printable("bad \udcff byte").encode() == b"bad \\udcff byte"
    assert printable("Zellen ä 细胞") == "Zellen ä 细胞"


def test_labels_lose_what_cannot_be_drawn_and_length() -> None:
    assert clean_label("T\x0bcell\x00\udcff") == "T cell"
    assert clean_label("CD4+ α-β 细胞") == "CD4+ α-β 细胞"
    assert cut_label("x" * 100_000) == "x" * 197 + "..."
    assert cut_label("short") == "short"

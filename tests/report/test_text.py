"""Text parts of the report: citations, markdown, tables, numbers."""

from __future__ import annotations

import html
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mira_nb
from mira_nb.errors import MiraError
from mira_nb.report import embed, tables, wording
from mira_nb.report.references import Citations, cited_keys, load_references, parse_bib, write_bib
from tests.report.archive import read_archive
from tests.report.synthetic import HOSTILE

PACKAGE = Path(mira_nb.__file__).parent


# ---------------------------------------------------------------- citations
def test_references_are_complete() -> None:
    entries = load_references()
    assert len(entries) > 45
    assert {"lynch2022mira", "setty2019palantir", "benjamini1995fdr"} <= set(entries)
    for key, entry in entries.items():
        assert entry.authors, key
        assert entry.get("title"), key
        assert re.fullmatch(r"(19|20)\d\d", entry.get("year")), key
        assert entry.get("journal") or entry.get("booktitle") or entry.get("howpublished"), key
        assert entry.get("year") in entry.text()
    dois = [entry.get("doi").lower() for entry in entries.values() if entry.get("doi")]
    assert len(dois) > 30
    assert len(dois) == len(set(dois))


def test_every_citation_in_the_package_has_a_reference() -> None:
    known = load_references()
    cited = {
        key
        for folder in ("stages", "report", "core")
        for path in (PACKAGE / folder).rglob("*")
        if path.suffix in {".py", ".md", ".yaml"}
        for key in cited_keys(path.read_text(encoding="utf-8"))
        if re.fullmatch(r"[a-z]+\d{4}\w*", key)
    }
    assert {"lynch2022mira", "setty2019palantir"} <= cited
    assert cited <= set(known), sorted(cited - set(known))


def test_citations_are_numbered_by_first_use() -> None:
    citations = Citations(load_references())
    text = citations.number("A [@setty2019palantir]; B [@lynch2022mira; @setty2019palantir], C [@nobody2030x].")
    assert text == "A [1]; B [2, 1], C [?nobody2030x]."
    assert [entry.key for entry in citations.used()] == ["setty2019palantir", "lynch2022mira"]
    assert citations.unknown == ["nobody2030x"]


def test_bibtex_reader() -> None:
    entry = parse_bib(
        '@article{k1,\n title = {The {MIRA} way},\n author = "Doe, Jane and Roe, R. B.",\n year = 2020\n}'
    )["k1"]
    assert {name: entry.get(name) for name in ("title", "year", "doi")} == {
        "title": "The MIRA way", "year": "2020", "doi": "",
    }  # fmt: skip
    assert entry.text() == "Doe J. and Roe R. B. The MIRA way.  (2020)."
    with pytest.raises(MiraError, match=r"own\.bib cannot be read: syntax error in line 2"):
        parse_bib("@misc{k1,\n title = {open", name="own.bib")
    with pytest.raises(MiraError, match="repeated bibliography entry: k1"):
        parse_bib("@misc{k1,\n title={a}}\n@misc{k1,\n title={b}}")


@pytest.mark.parametrize(
    ("author", "text"),
    [
        ("Lynch, Allen W.", "Lynch A. W."),
        ("Uhlmann, Jean-Luc and {van der Maaten}, Laurens", "Uhlmann J. L. and van der Maaten L."),
        ("{nteract developers}", "nteract developers"),
        ("Bélisle, François and others", "Bélisle F., et al."),
        ("A, B and C, D and E, F and G, H and I, J and K, L and M, N", "A B., C D., E F., et al."),
    ],
)
def test_authors(author: str, text: str) -> None:
    assert parse_bib(f"@misc{{k1,\n author = {{{author}}},\n year = 2020\n}}")["k1"].authors == text


def test_bibtex_written_reads_back_the_same() -> None:
    entries = list(load_references().values())[::-3]
    written = write_bib(entries)
    again = parse_bib(written)
    assert list(again) == [entry.key for entry in entries]
    assert [entry.text() for entry in again.values()] == [entry.text() for entry in entries]
    assert [entry.url for entry in again.values()] == [entry.url for entry in entries]
    assert written.count("@") == len(entries)


# ---------------------------------------------------------------- escaping
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    import json
    from html.parser import HTMLParser

    for made in (embed.inline(text), embed.markdown(f"{text}\n\n- {text}")):
        tags: list[str] = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, attrs, tags=tags: tags.append(tag)  # type: ignore[method-assign]
        parser.feed(str(made))
        assert set(tags) <= {"p", "ul", "li", "strong", "em", "code"}
    (shown,) = re.findall("<p>(.*?)</p>", str(embed.markdown(text)), re.DOTALL)
    assert html.unescape(re.sub("</?code>", "`", shown)) == text
    written = embed.json_text({text: [text]})
    assert not re.search("[<>&]", written)
    assert json.loads(written) == {text: [text]}


@given(st.text())
def test_json_is_harmless_and_exact(text: str) -> None:
    import json

    written = embed.json_text([text])
    assert not re.search("[<>&\u2028\u2029]", written)
    assert json.loads(written) == [text]


def test_policy_hash_is_that_of_the_element() -> None:
    import base64
    import hashlib

    policy = embed.Policy()
    element = str(policy.script('let a = "</script><!--";\r\nlet b;'))
    body = re.fullmatch(r"<script>(.*)</script>", element, re.DOTALL)
    assert body is not None
    assert "</script" not in body[1]
    assert "<!--" not in body[1]
    assert "\r" not in body[1]
    digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy.content()
    assert "unsafe" not in policy.content()


def test_archive_gives_back_its_texts_and_hides_markup() -> None:
    texts = {"data-x": '{"a": "</script><!-- é \u2028"}', "b-1": "AAAA"}
    block = str(embed.archive_block("archive", texts))
    assert block.count("<") == 2  # its own element only
    assert read_archive(f"<p>{block}</p>", "archive") == texts
    assert str(embed.archive_block("archive", texts)) == block  # no time stamp inside
    assert read_archive(str(embed.archive_block("archive", {})), "archive") == {}
    with pytest.raises(ValueError, match="one line"):
        embed.archive_block("archive", {"a": "1\n2"})


def test_markdown_marks() -> None:
    assert embed.inline("a **b** *c* `d<e`") == "a <strong>b</strong> <em>c</em> <code>d&lt;e</code>"
    assert embed.inline("2 * 3 * 4, p_value, G*Power*") == "2 * 3 * 4, p_value, G*Power*"
    assert embed.inline("a_*: weights; decay_*_kb is the mean, *so*") == (
        "a_*: weights; decay_*_kb is the mean, <em>so</em>"
    )
    assert embed.inline("HLA-A*02:01 and HLA-B*07:02, __x__, &amp;, \\*") == (
        "HLA-A*02:01 and HLA-B*07:02, __x__, &amp;amp;, \\*"
    )
    assert embed.inline("[a](https://b.c) <https://b.c>") == "[a](https://b.c) &lt;https://b.c&gt;"
    assert embed.markdown("one\n\n- x\n- y") == "<p>one</p>\n<ul>\n<li>x</li>\n<li>y</li>\n</ul>"
    assert embed.slug('A b/"c" É') == "a-b-c-"[:-1]


# ---------------------------------------------------------------- numbers
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1234567, "1,234,567"), (-2500, "\u22122,500"), (0.0, "0"), (0.5, "0.5"), (1234.5, "1,234"),
        (12345.6, "12,346"), (0.000123, "1.23 × 10⁻⁴"), (-2.5e12, "\u22122.50 × 10¹²"), (float("nan"), "–"),
        (float("inf"), "∞"), (None, "–"), (True, "yes"), ("text", "text"), (0.8912, "0.8912"), (99.99, "99.99"),
    ],
)  # fmt: skip
def test_numbers(value: object, text: str) -> None:
    assert wording.number(value) == text


@given(st.floats(-1e300, 1e300))
def test_numbers_keep_three_figures(value: float) -> None:
    text = wording.number(value).replace(",", "").replace("\u2212", "-")
    match = re.fullmatch(r"(-?[\d.]+) × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", text)
    if match:
        exponent = match[2].translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
        text = f"{match[1]}e{exponent}"
    assert math.isclose(float(text), value, rel_tol=6e-3)


def test_durations_and_sizes() -> None:
    assert [wording.duration(s) for s in (3.21, 250, 7500, None)] == ["3.2 s", "4 min 10 s", "2 h 5 min", ""]
    assert [wording.memory(m) for m in (310.4, 2457.6)] == ["310 MB", "2.4 GB"]
    assert [wording.size(n) for n in (12, 12_345)] == ["12 B", "12 kB"]


# ---------------------------------------------------------------- tables
def write(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def values_of(column: dict) -> list:
    return column.get("values") or [column["levels"][code] for code in column["codes"]]


def test_table_kinds_and_values(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "gene": ["NA", "nan", "None", *HOSTILE[:2]],
            "n": [1, 2, 3, 4, 5],
            "adj_pvalue": [1e-300, 0.0, 0.5, 1e-5, np.nan],
            "score": [1.23456789, np.inf, -np.inf, np.nan, 2.0],
            "log10_pvalue": [-300.5, -2.0, 0.0, -5.0, np.nan],
            "empty": [np.nan] * 5,
        }
    )
    view = tables.read_table(write(tmp_path / "t.csv", frame))
    kinds = {column["name"]: column["kind"] for column in view.payload["columns"]}
    assert kinds == {
        "gene": "text",
        "n": "integer",
        "adj_pvalue": "pvalue",
        "score": "number",
        "log10_pvalue": "number",
        "empty": "text",
    }
    content = {column["name"]: values_of(column) for column in view.payload["columns"]}
    assert content["gene"] == frame["gene"].tolist()
    assert content["adj_pvalue"] == [1e-300, 0, 0.5, 1e-5, None]
    assert content["score"] == [1.23457, "inf", "-inf", None, 2]
    assert (view.n_rows, view.n_shown, view.note) == (5, 5, "")


def test_long_tables_keep_every_group(tmp_path: Path) -> None:
    sizes = {"e1": 10, "e2": 9000, "e3": 4000}
    frame = pd.DataFrame([(group, i) for group, n in sizes.items() for i in range(n)], columns=["topic", "rank"])
    view = tables.read_table(
        write(tmp_path / "t.csv", frame), whole=tables.Limit(1000, 10**6), cut=tables.Limit(1000, 10**6)
    )
    topic = values_of(view.payload["columns"][0])
    rank = values_of(view.payload["columns"][1])
    counts = {name: topic.count(name) for name in sizes}
    assert counts == {"e1": 10, "e2": 495, "e3": 495}
    assert sum(counts.values()) <= 1000
    assert max(rank) == 494
    assert view.note == "Shown: 1,000 of 13,010 rows (the first 495 of every topic)."


def test_tables_of_long_text_are_cut_by_bytes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(3000), "genes": [f"{i}" * 300 for i in range(3000)]})
    view = tables.read_table(write(tmp_path / "t.csv", frame), cut=tables.Limit(5000, 100_000))
    assert 0 < view.n_shown < 200
    assert "of 3,000 rows" in view.note


def test_ragged_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match="row 3"):
        tables.read_table(tmp_path / "t.csv")

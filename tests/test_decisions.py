"""Each page of decisions says what, why, how it was measured and what undoes it, and is a row of the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mira_nb.stages.registry import BUILT_IN, get_stage

DECISIONS = Path(__file__).resolve().parents[1] / "docs" / "decisions"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in DECISIONS.glob("*.md") if path.name != "index.md"}
DEPARTURE = ("The paper", "Here", "Why", "Measured", "Parameter")
CHOICE = ("Choice", "Why", "Measured", "Parameter")


def part(text: str, heading: str) -> str:
    """What follows a heading in bold, up to the next heading; empty where there is none."""
    start = rf"^\*\*{heading}\*\*(?: \((?:[^()]|\([^()]*\))*\))?: *\n*"
    found = re.search(start + r"((?!\*\*)\S.*?)(?=\n\n\*\*|\n\n#|\Z)", text, re.DOTALL | re.MULTILINE)
    return " ".join(found.group(1).split()) if found else ""


def first_sentence(text: str) -> str:
    found = re.match(r".*?\.(?= [A-Z*`]|$)", text)
    return found.group() if found else text


def is_choice(text: str) -> bool:
    return bool(part(text, "Choice"))


def rows(title: str) -> dict[str, list[str]]:
    """Cells after the subject of each row of a table of the index, by the page it links to."""
    section = (DECISIONS / "index.md").read_text(encoding="utf-8").split(f"# {title}\n")[1].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        if link := re.match(r"\| \[.+?\]\((.+?)\) \| ", line):
            found[link.group(1)] = line[link.end() :].removesuffix(" |").split(" | ")
    return found


def parameters_in(text: str) -> set[tuple[str, str]]:
    """Stage and name of the parameters in backticks; a star stands for any letters."""
    return set(re.findall(r"`([a-z_]+\*?)\.([a-z_*]+)(?:=[^`]*)?`", text))


def test_a_missing_heading_is_seen() -> None:
    assert part("**Why**: so.\n\nmore\n\n## Next", "Why") == "so. more"
    assert part("**Why**:\n\n**Measured** (here): 1", "Why") == ""
    assert part("**Measured** (a (b): c): 1 of\n2\n\n**Parameter**: none.", "Measured") == "1 of 2"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_has_its_headings(name: str) -> None:
    wanted = CHOICE if is_choice(PAGES[name]) else DEPARTURE
    assert [heading for heading in wanted if not part(PAGES[name], heading)] == []


def test_every_page_is_a_row_of_its_table() -> None:
    choices = {name for name, text in PAGES.items() if is_choice(text)}
    assert set(rows("Libraries and computing")) == choices
    assert set(rows("Departures and choices")) == set(PAGES) - choices


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_index_gives_the_reason_and_the_parameter_of_the_page(name: str) -> None:
    cells = rows("Libraries and computing" if is_choice(PAGES[name]) else "Departures and choices")[name]
    assert cells[-2] == first_sentence(part(PAGES[name], "Why"))
    stated = part(PAGES[name], "Parameter")
    assert (cells[-1] == "none") == stated.startswith("none"), stated
    assert parameters_in(cells[-1]) <= parameters_in(stated), stated


def test_parameters_of_pages_exist() -> None:
    names = {(stage, item.name) for stage in BUILT_IN for item in get_stage(stage).Params.describe()}
    unknown = []
    for page, text in PAGES.items():
        for stage, name in parameters_in(part(text, "Parameter")):
            pattern = re.compile(rf"{stage}\.{name}".replace("*", "[a-z_]*"))
            if not any(pattern.fullmatch(".".join(known)) for known in names):
                unknown.append(f"{page}: {stage}.{name}")
    assert unknown == []


def cited() -> list[tuple[str, str]]:
    """File and page of every citation of a decision in code, tests, templates and documentation."""
    root = DECISIONS.parents[1]
    files = [
        path for folder in ("mira_nb", "templates", "notebooks", "tests") for path in sorted((root / folder).rglob("*"))
    ]
    files += [
        *root.glob("*.md"),
        *sorted((root / "docs").glob("*.md")),
        *sorted((root / "docs" / "how-to").glob("*.md")),
    ]
    found = []
    for path in files:
        if path.suffix in {".py", ".md", ".ipynb", ".yaml", ".html", ".j2", ".jinja2"} and path != Path(__file__):
            text = path.read_text(encoding="utf-8")
            name = str(path.relative_to(root))
            found += [(name, page) for page in re.findall(r"decisions/([\w-]+\.md)", text)]
            found += [(name, match) for match in re.findall(r"DECISIONS.{0,8}", text)]
    return found


def test_every_cited_page_exists() -> None:
    assert len(cited()) > 20
    assert [(file, page) for file, page in cited() if page not in {*PAGES, "index.md"}] == []

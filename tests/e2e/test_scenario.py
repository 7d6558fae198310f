"""One visit from an empty folder to a comparison of two runs: what a user without code does, click by click.

The page is waited for by what it shows, never by time, so that a busy machine makes it slow and not wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mira_nb.datasets.write import Demo
from mira_nb.explorer.kept import Kept
from mira_nb.run.store import RunStore
from tests.e2e.visitor import PAGE_SECONDS, STAGE_SECONDS, Visitor, served

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.slow]

TITLE, NAME = "First visit", "Cycling <cells>"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, small_demo: Demo) -> Path:
    """Folder with two files and no run."""
    folder = tmp_path_factory.mktemp("scenario") / "root"
    folder.mkdir()
    for path in (small_demo.spec.rna, small_demo.spec.atac):
        assert path is not None
        shutil.copy(path, folder / path.name)
    return folder


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[str]:
    with served(root) as address:
        yield address


def button(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def stage(page: Any, name: str) -> None:
    """Open the panel of a stage, or the explorer."""
    page.click(f".mn-nav button[data-name={name}]")
    page.wait_for_selector(f".mn-nav button[data-name={name}][aria-current=page]")


def is_(page: Any, name: str, status: str) -> None:
    """Wait until a stage has a status."""
    page.wait_for_selector(f".mn-nav .mn-is-{status}[data-name={name}]", timeout=STAGE_SECONDS)


def ended(page: Any) -> None:
    """Wait until nothing is computed."""
    page.wait_for_selector("progress", state="detached", timeout=STAGE_SECONDS)
    page.wait_for_selector("button:has-text('Open the report'):enabled", timeout=PAGE_SECONDS)


def start_a_run(page: Any) -> None:
    """Start page, files with their roles, input check, title, start."""
    page.wait_for_selector("text=There is no run below this folder yet", timeout=PAGE_SECONDS)
    page.wait_for_selector(".mn-check:has-text('300 cells')", timeout=PAGE_SECONDS)
    assert page.get_by_label("Gene counts").input_value()
    page.get_by_label("Title").fill(TITLE)
    page.wait_for_selector("button:has-text('Start the run'):enabled", timeout=PAGE_SECONDS)


def cancel_the_second_stage(page: Any, run: Path) -> None:
    """Let one stage end, cancel the next, and find that the first result stands."""
    is_(page, "prepare", "done")
    is_(page, "tuning_rna", "running")
    button(page, "Stop").click()
    page.wait_for_selector(".mn-jobbar:has-text('stopped')", timeout=STAGE_SECONDS)
    ended(page)
    is_(page, "tuning_rna", "ready")
    assert RunStore(run).finished() == ["prepare"]


def run_a_stage(page: Any) -> None:
    stage(page, "topics_rna")
    page.get_by_label("Number of topics").fill("4")
    page.get_by_label("Passes over the cells").fill("4")
    button(page, "Run this stage").click()
    is_(page, "topics_rna", "done")
    ended(page)


def colour(page: Any, typed: str, key: str) -> None:
    """Colour the map by what a search finds first."""
    box = page.get_by_label("Colour by")
    box.fill(typed)
    page.locator(".mn-found li[aria-selected=true]").filter(has_text=typed).wait_for()
    box.press("Enter")
    page.wait_for_selector(f"[data-shown='{key}']")


def select_and_test(page: Any, gene: str) -> None:
    """Colour by a gene, choose cells by value and by lasso, name both, test one against the other."""
    stage(page, "explorer")
    page.wait_for_selector("text=300 cells, map of expression", timeout=PAGE_SECONDS)
    colour(page, gene, f"gene:{gene}")
    page.get_by_label(f"Choose cells with {gene} of at least").fill("1")
    button(page, "Choose cells at or above").click()
    page.get_by_label("Name of the selection").fill("high")
    button(page, "Keep selection").click()
    page.wait_for_selector("text=are kept in the run folder", timeout=PAGE_SECONDS)

    button(page, "Lasso").click()
    page.locator(".mn-cloud").scroll_into_view_if_needed()
    box = page.locator(".mn-cloud").bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()
    page.wait_for_selector("text=300 cells are chosen")
    page.get_by_label("Name of the selection").fill("all")
    button(page, "Keep selection").click()
    page.wait_for_selector("text=all: 300 cells are kept in the run folder", timeout=PAGE_SECONDS)

    menu = page.get_by_label("Compare", exact=True)
    menu.select_option(menu.locator("option").filter(has_text="high").inner_text())
    button(page, "Find marker genes").click()
    page.wait_for_selector("text=Genes of high against all other cells", timeout=PAGE_SECONDS)
    page.wait_for_selector("table.mn-table tbody tr", timeout=PAGE_SECONDS)


def name_a_topic(page: Any) -> None:
    colour(page, "topic e2", "topic:e2")
    page.get_by_label("Name of e2").fill(NAME)
    button(page, "Keep name").click()
    page.wait_for_selector("text=e2 has its name", timeout=PAGE_SECONDS)


def change_and_restore(page: Any, run: Path) -> None:
    """Change a parameter, read what becomes out of date, run, and restore the version that was kept."""
    first = RunStore(run).stage_record("prepare")
    stage(page, "prepare")
    button(page, "Parameters").click()  # folded below the results
    page.get_by_label("Smallest mean expression").fill("3")
    page.wait_for_selector("text=makes out of date: Expression topics")
    button(page, "Run again").click()
    is_(page, "topics_rna", "outdated")
    ended(page)
    page.get_by_text("Earlier versions").click()
    page.wait_for_selector("text=Data and features was computed again")
    button(page, "Restore").click()
    is_(page, "topics_rna", "done")
    assert RunStore(run).stage_record("prepare") == first
    assert Kept(run).topics() == {"e2": NAME}


def read_the_report(page: Any, visitor: Visitor) -> None:
    """Open the report, made anew with the topic's name."""
    with page.expect_popup() as popup:
        page.get_by_title("The report of this run").click()
    report = popup.value
    report.wait_for_selector("h1", timeout=PAGE_SECONDS)
    assert NAME in report.inner_text("body")
    report.close()


def compare_runs(page: Any, root: Path, visitor: Visitor) -> None:
    """Start a run from the first one's parameters, and open the comparison of both."""
    button(page, "All runs").click()
    button(page, "New run like this").click()
    is_(page, "prepare", "done")
    ended(page)
    button(page, "All runs").click()
    page.wait_for_selector(".mn-run-row >> nth=1", timeout=PAGE_SECONDS)
    for box in page.get_by_label("Compare", exact=True).all():
        box.check()
    page.wait_for_selector("button:has-text('Compare the chosen runs'):enabled")
    assert visitor.violations(page, ".mn-app") == []
    button(page, "Compare the chosen runs").click()
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Open the comparison of 2 runs").click(timeout=PAGE_SECONDS)
    popup.value.wait_for_selector("h1", timeout=PAGE_SECONDS)
    text = popup.value.inner_text("body")
    assert TITLE in text
    assert f"{TITLE}, again" in text
    assert visitor.violations(popup.value, "body") == []


def visit(visitor: Visitor, server: str, root: Path) -> None:
    """Go through all of it."""
    page = visitor.open(server, shows="text=New run")
    start_a_run(page)
    assert visitor.violations(page, ".mn-app") == []
    button(page, "Start the run").click()
    run = root / "first-visit"
    page.wait_for_selector(".mn-nav button", timeout=PAGE_SECONDS)
    cancel_the_second_stage(page, run)
    run_a_stage(page)
    gene = str(RunStore(run).table("topics_rna", "top_features")["feature"].iloc[0])
    select_and_test(page, gene)
    name_a_topic(page)
    assert visitor.violations(page, ".mn-app") == []
    change_and_restore(page, run)
    read_the_report(page, visitor)
    compare_runs(page, root, visitor)
    assert visitor.outside == []
    # a page that is left while a widget loads says that the widget could not
    assert [text for text in visitor.errors if "Failed to initialize model" not in text] == []


@pytest.mark.timeout(2400)  # about 90 s on a quiet machine
def test_from_two_files_to_a_comparison_of_runs(chromium: Any, server: str, root: Path) -> None:
    visitor = Visitor(chromium)
    with visitor.told():
        visit(visitor, server, root)
    visitor.context.close()

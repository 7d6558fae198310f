"""The dashboard as a reader meets it: served by Voila, in a browser that reaches nothing but this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mira_nb.run.demo import demonstration
from mira_nb.run.store import RunStore
from mira_nb.stages.registry import BUILT_IN, get_stage
from tests.e2e.visitor import PAGE_SECONDS, STAGE_SECONDS, Visitor, served

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of the small data set in which nothing has run."""
    return demonstration("prepare", folder=tmp_path_factory.mktemp("dashboard")).root


@pytest.fixture(scope="module")
def server(run_dir: Path) -> Iterator[str]:
    """Address of the served dashboard."""
    with served(run_dir) as address:
        yield address


@pytest.fixture
def visitor(chromium: Any) -> Iterator[Visitor]:
    out = Visitor(chromium)
    yield out
    out.context.close()


def unfold(page: Any) -> None:
    """Open the form of a stage, which is folded where there is a result."""
    fold = page.get_by_role("button", name=re.compile("^Parameters"))
    if fold.get_attribute("aria-expanded") == "false":
        fold.click()


def test_a_click_runs_a_stage(visitor: Visitor, server: str, run_dir: Path) -> None:
    page = visitor.open(server)
    assert page.title() == "mira_nb dashboard"
    assert "300" in page.inner_text(".mn-facts")

    # a wrong entry is named at once and blocks the run
    entry = page.get_by_label("Nearest neighbours")
    run = page.get_by_role("button", name="Run this stage")
    entry.fill("1")
    page.wait_for_selector("text=must be at least 2")
    page.wait_for_selector("button:has-text('Run this stage'):disabled")
    entry.fill("12")
    page.wait_for_selector("text=must be at least 2", state="detached")
    page.wait_for_selector("button:has-text('Run this stage'):enabled")

    run.click()
    page.wait_for_selector("progress", timeout=20_000)
    # the page answers while the stage computes, and a second page sees the same job
    page.click(".mn-nav button[data-name=topics_rna]")
    page.wait_for_selector("h2:has-text('Expression topics')", timeout=10_000)
    page.click(".mn-nav button[data-name=prepare]")
    page.reload()
    page.wait_for_selector(".mn-nav button", timeout=PAGE_SECONDS)
    # a page that is left while a widget loads says that the widget could not
    visitor.errors = [text for text in visitor.errors if "Failed to initialize model" not in text]
    page.wait_for_selector(".mn-nav .mn-is-done[data-name=prepare]", timeout=STAGE_SECONDS)
    page.wait_for_selector("progress", state="detached", timeout=STAGE_SECONDS)

    stored = RunStore(run_dir).stage_record("prepare")
    assert stored is not None
    assert {row["name"]: row["value"] for row in stored["parameters"]}["n_neighbors"] == 12

    page.click(".mn-nav button[data-name=prepare]")
    page.locator("figure.mn-figure").first.scroll_into_view_if_needed(timeout=60_000)
    canvas = page.wait_for_selector(".mn-plot canvas", timeout=60_000)
    inked = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    assert canvas.evaluate(inked) > 10
    table = page.wait_for_selector("table.mn-table tbody tr", timeout=30_000)
    table.scroll_into_view_if_needed()
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("^Save all")).first.click()
    assert download.value.suggested_filename.endswith(".csv")
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Open the report").click()
    popup.value.wait_for_selector("h1", timeout=60_000)

    assert visitor.outside == []
    assert visitor.errors == []


def test_the_page_is_accessible_and_fits_small_screens(visitor: Visitor, server: str) -> None:
    page = visitor.open(server)
    page.click(".mn-nav button[data-name=prepare]")
    unfold(page)
    page.wait_for_selector(".mn-card input:visible", timeout=30_000)
    for width in (1400, 800, 400):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(300)
        boxes = page.locator(".mn-main, .mn-header, .mn-nav")
        assert max(boxes.evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")) <= width + 1
    assert visitor.violations(page, ".mn-app") == []
    # the stages are reached and chosen with the keyboard
    page.locator(".mn-nav button").first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    second = list(BUILT_IN)[1]
    page.wait_for_selector(f".mn-nav button[data-name={second}][aria-current=page]")
    assert visitor.outside == []
    assert visitor.errors == []


def test_a_bad_address_gives_a_page_that_says_so(visitor: Visitor, server: str) -> None:
    page = visitor.open(server + "&run=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&other=1")
    page.wait_for_selector("text=There is no run called")
    assert page.query_selector("img[src=x]") is None
    assert visitor.outside == []
    assert visitor.errors == []


def test_every_panel_opens(visitor: Visitor, server: str) -> None:
    """Panel by panel: heading, form and buttons of every stage, without an error of the page."""
    page = visitor.open(server)
    for name in BUILT_IN:
        page.click(f".mn-nav button[data-name={name}]")
        page.wait_for_selector(f"h2:has-text('{get_stage(name).title}')", timeout=20_000)
        unfold(page)
        first = get_stage(name).Params.describe()[0]
        page.get_by_text(first.label, exact=True).first.wait_for(timeout=20_000)
    assert not visitor.outside
    assert not visitor.errors

"""Fixtures and settings shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import browser, embedded

if TYPE_CHECKING:
    from mira_nb.datasets.write import Demo
    from mira_nb.run.store import RunStore

ROOT = Path(__file__).resolve().parents[1]
BROWSER_SKIPPED = "no Chromium could be started, so this browser test did not run; `make browser` installs one"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly when browser tests were skipped."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and BROWSER_SKIPPED in report.longrepr[2]
    ]
    if skipped:
        terminalreporter.section("BROWSER TESTS SKIPPED", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests: {BROWSER_SKIPPED}.", red=True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Headless Chromium (a Playwright ``Browser``); the test is skipped, or fails on CI, where there is none.

    One a module: an open Playwright session keeps an event loop, which notebooks in later modules would trip over.
    """
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            instance = browser.launch(playwright)
        except Error as error:
            if browser.required():
                pytest.fail(f"{BROWSER_SKIPPED} ({str(error).splitlines()[0]})")
            pytest.skip(BROWSER_SKIPPED)
        yield instance
        instance.close()


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Small embedded data set: ``.spec`` (input files) and ``.resources``; do not write into its folder."""
    from mira_nb.datasets.write import write_demo

    return write_demo(tmp_path_factory.mktemp("demo") / "data", size="small", seed=0)


@pytest.fixture(scope="session")
def demo_store(request: pytest.FixtureRequest) -> Callable[[str], RunStore]:
    """Function that returns a run folder of the small data set in which all that a stage needs is done.

    The folder is shared, also with the templates; do not save into it, copy it.
    """
    from mira_nb.run.demo import demonstration

    embedded.share_whole_run(request.config)
    return demonstration


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets, which is not part of the repository; the test is skipped where it is missing."""
    folder = Path(os.environ.get("MIRA_NB_SHARED") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the real data in {folder} (set MIRA_NB_SHARED to their folder)")
    return folder

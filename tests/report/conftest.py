"""A browser page that can reach nothing, and reports built once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mira_nb.report.build import build_report
from tests.report.synthetic import example_run


def until(page: Any, expression: str, *, seconds: float = 30.0) -> None:
    """Wait for a JavaScript expression to be true (Playwright's own wait needs ``eval``, which the page forbids)."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise AssertionError(f"not true within {seconds} s: {expression}")
        page.wait_for_timeout(50)


@dataclass
class OfflinePage:
    """A page without network; remembers what it asked for and what it complained of."""

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, path: Path, fragment: str = "") -> Any:
        self.page.goto(path.resolve().as_uri() + fragment)
        self.page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
        return self.page

    def see_everything(self) -> None:
        """Scroll through the page until all charts and tables are there."""
        page = self.page
        page.evaluate("for (const d of document.querySelectorAll('main details.folded')) d.open = true")
        position = 0
        while position < page.evaluate("document.documentElement.scrollHeight"):
            page.evaluate(f"scrollTo({{top: {position}, behavior: 'instant'}})")
            page.wait_for_timeout(50)
            position += 800
        waiting = "!document.querySelector('.chart[aria-busy]') && !document.querySelector('.table-view:empty')"
        until(page, waiting)


@pytest.fixture
def page_offline(chromium: Any) -> Iterator[OfflinePage]:
    """Open page with every request but the report itself blocked."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    out = OfflinePage(page)

    def answer(route: Any) -> None:
        url = route.request.url
        if (url.startswith("file:") and route.request.is_navigation_request()) or url.startswith(("data:", "blob:")):
            route.continue_()
        else:
            out.requests.append(url)
            route.abort()

    page.route("**/*", answer)
    page.on("console", lambda message: out.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: out.errors.append(str(error)))
    yield out
    context.close()


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder with its report."""
    root = example_run(tmp_path_factory.mktemp("run") / "example", n_cells=600)
    build_report(root)
    return root

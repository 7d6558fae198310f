"""Finds the Chromium that the browser tests use; ``python tests/browser.py`` prints it and tries it."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def executable() -> str | None:
    """Chromium of the system (``MIRA_NB_CHROMIUM`` names another); None leaves the choice to Playwright."""
    named = os.environ.get("MIRA_NB_CHROMIUM")
    if named:
        return named
    return next((path for path in map(shutil.which, NAMES) if path), None)


def launch(playwright: Any) -> Any:
    """Start headless Chromium.

    Raises
    ------
    playwright.sync_api.Error
        When there is none that starts.
    """
    from playwright.sync_api import Error

    path = executable()
    if path is not None:
        try:
            return playwright.chromium.launch(executable_path=path)
        except Error:
            if "MIRA_NB_CHROMIUM" in os.environ:
                raise
    return playwright.chromium.launch()


def required() -> bool:
    """Whether a missing browser is a failure: on continuous integration, or when asked for."""
    return any(os.environ.get(name, "") not in {"", "0", "false"} for name in ("MIRA_NB_REQUIRE_BROWSER", "CI"))


def main() -> int:
    """Print the browser's version; exit status 1 when there is none."""
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as playwright:
            browser = launch(playwright)
            sys.stdout.write(f"Chromium {browser.version} ({executable() or 'installed by Playwright'})\n")
            browser.close()
    except Error as error:
        sys.stderr.write(f"No Chromium starts: {str(error).splitlines()[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

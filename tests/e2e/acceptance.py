"""Figures of `make acceptance`: tests record them, and a page of the documentation shows them.

Run ``python -m tests.e2e.acceptance`` to write the page anew from what the tests have recorded.
"""

from __future__ import annotations

import json
import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from mira_nb.version import __version__

PAGE = Path(__file__).resolve().parents[2] / "docs" / "acceptance.md"

HEAD = """# What the long tests measured

`make acceptance` runs what takes too long for every change: further seeds of the embedded data against what was
planted, whole real data, the published search for the number of topics, and runs that are killed. It goes on where it
stopped, keeps its runs in `acceptance-results/`, and writes this page. Figures without a wanted value are reported, not
judged.

| Test | Figure | Value | Wanted | Measured |
|---|---|---:|---:|---|
"""


def folder() -> Path:
    """Return the folder in which runs and figures are kept from one call to the next."""
    return Path(os.environ.get("MIRA_NB_ACCEPTANCE_DIR") or "acceptance-results").resolve()


def processor() -> str:
    """Return the name of the processor where the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1].strip() if found else platform.machine()


def record(test: str, figure: str, value: float | str, wanted: str = "") -> None:
    """Keep one figure of a test; a later value of the same figure replaces it."""
    kept = folder() / "figures"
    kept.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", f"{test} {figure}".lower()).strip("-")
    shown = value if isinstance(value, str) else f"{value:.3g}"
    entry = {
        "test": test, "figure": figure, "value": shown, "wanted": wanted, "version": __version__,
        "date": datetime.now(UTC).date().isoformat(), "processor": processor(),
    }  # fmt: skip
    (kept / f"{name}.json").write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")


def page(figures: Path) -> str:
    """Return the page that shows the figures kept in a folder, sorted by test."""
    entries = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(figures.glob("*.json"))]
    rows = []
    for e in sorted(entries, key=lambda e: (e["test"], e["figure"])):
        measured = f"{e['date']}, {e['version']}, {e['processor']}"
        rows.append(f"| {e['test']} | {e['figure']} | {e['value']} | {e['wanted']} | {measured} |")
    return HEAD + "\n".join(rows) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(folder() / "figures"), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The command line as a user types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def mira_nb(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``mira-nb`` and keep what it prints."""
    return subprocess.run(
        [sys.executable, "-m", "mira_nb", *map(str, arguments)], capture_output=True, text=True, check=False
    )

"""What a page holds in its archive, read back."""

from __future__ import annotations

import base64
import gzip
import re


def read_archive(page: str, identifier: str) -> dict[str, str]:
    """Name to text of :func:`mira_nb.report.embed.archive_block`."""
    found = re.search(f'<script type="text/plain" id="{re.escape(identifier)}">([A-Za-z0-9+/=]*)</script>', page)
    assert found, f"the page has no archive {identifier!r}"
    lines = gzip.decompress(base64.b64decode(found[1])).decode("utf-8")
    return dict(line.split("\t", 1) for line in lines.split("\n") if line)

"""The page of a projection: one file, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from . import embed

FOLDER = Path(__file__).parent
ASSETS = ("report.css", "projection.css", "theme.js")


@dataclass(frozen=True)
class PageTable:
    """A table of the page: title, caption, names of the columns and rows of text."""

    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def render_projection(
    *, title: str, lead: str, notes: Sequence[str], picture: bytes, caption: str, tables: Sequence[PageTable]
) -> str:
    """Return the page as HTML; all texts are escaped, `picture` (PNG) is embedded."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    policy = embed.Policy()
    asset = {name: (FOLDER / "assets" / name).read_text(encoding="utf-8") for name in ASSETS}
    style = policy.style(asset["report.css"] + asset["projection.css"])
    script = policy.script(asset["theme.js"])
    return environment.get_template("projection.html.j2").render(
        title=title,
        lead=lead,
        notes=notes,
        picture=embed.picture_uri(picture),
        caption=caption,
        tables=tables,
        style=style,
        script=script,
        csp=policy.content(),
    )

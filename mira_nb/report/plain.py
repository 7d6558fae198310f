"""A page of a picture and tables beside the report: one file, no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from . import embed
from .environment import FOLDER, page_environment
from .tables import table_payload

STYLES: Final = ("report.css", "plain.css")
SCRIPTS: Final = ("common.js", "tables.js", "plain.js")


@dataclass(frozen=True)
class PlainTable:
    """A table of the page: title, caption, and its rows."""

    title: str
    caption: str
    frame: pd.DataFrame

    @property
    def file(self) -> str:
        """Name under which the page saves it."""
        return re.sub(r"\W+", "_", self.title.lower()).strip("_") + ".csv"


@dataclass(frozen=True)
class Picture:
    """The picture of the page: title, PNG, what it shows for those who cannot see it, caption."""

    title: str
    png: bytes
    alt: str
    caption: str


def render_plain(
    *, title: str, lead: str, tables: Sequence[PlainTable], notes: Sequence[str] = (), picture: Picture | None = None
) -> str:
    """Return the page as HTML; all texts are escaped."""
    policy = embed.Policy()
    return (
        page_environment()
        .get_template("plain.html.j2")
        .render(
            title=title,
            lead=lead,
            notes=notes,
            picture=picture,
            picture_uri=embed.picture_uri(picture.png) if picture else "",
            tables=tables,
            blocks=[
                embed.json_block(f"data-table-{i}", table_payload(table.frame)) for i, table in enumerate(tables, 1)
            ],
            style=policy.style(_assets(STYLES)),
            script=policy.script(_assets(SCRIPTS)),
            csp=policy.content(),
        )
    )


def _assets(names: Sequence[str]) -> str:
    return "\n".join((FOLDER / "assets" / name).read_text(encoding="utf-8") for name in names)

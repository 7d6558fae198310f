"""The methods section: the methods text of each stage with numbered citations, as HTML, Markdown and BibTeX."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from . import embed
from .departures import Departure, departures
from .reader import RunView
from .references import Citations, Entry, load_references, write_bib
from .texts import phrase


@dataclass(frozen=True)
class Methods:
    """Rendered methods: title and HTML of each stage, references, departures from the paper, all as Markdown."""

    sections: tuple[tuple[str, Markup], ...]
    references: tuple[Entry, ...]
    unknown: tuple[str, ...]
    markdown: str
    bibtex: str
    departures: tuple[Departure, ...] = ()


def build_methods(run: RunView) -> Methods:
    """Assemble the methods section of a run from the methods texts of its finished stages."""
    citations = Citations(load_references())
    version = str(run.record.get("package_version") or "")
    texts = [("General", phrase("methods", version=version))]
    for stage in run.stages:
        if stage.status == "done" and str(stage.record.get("methods") or "").strip():
            texts.append((stage.title, str(stage.record["methods"]).strip()))
    sections, parts = [], ["# Methods\n"]
    for title, text in texts:
        numbered = citations.number(text)
        sections.append((title, embed.markdown(numbered)))
        parts.append(f"## {title}\n\n{numbered}\n")
    found = departures(run)
    parts.append(_table(found))
    used = citations.used()
    parts.append("## References\n")
    parts += [f"{i}. {entry.text()} {entry.url}".rstrip() for i, entry in enumerate(used, start=1)]
    return Methods(
        sections=tuple(sections),
        references=tuple(used),
        unknown=tuple(dict.fromkeys(citations.unknown)),
        markdown="\n".join(parts) + "\n",
        bibtex=write_bib(used),
        departures=found,
    )


def _table(found: tuple[Departure, ...]) -> str:
    """Return the departures as a table in Markdown; empty where there are none."""
    if not found:
        return ""
    rows = [f"| {item.subject} | {item.paper} | {item.here} | {item.why} | {item.parameter} |" for item in found]
    head = ["| Subject | The paper | Here | Why | Parameter |", "|---|---|---|---|---|"]
    return "\n".join([f"## {phrase('departures')}\n", *head, *rows]) + "\n"

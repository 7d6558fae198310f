"""Citations: entries of a BibTeX file, numbering in order of first use, reference lists as text and as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from pybtex.database import BibliographyData, Person, parse_string
from pybtex.database import Entry as BibEntry
from pybtex.database.output.bibtex import Writer
from pybtex.exceptions import PybtexError

from mira_nb.errors import MiraError

BIB_PATH: Final = Path(__file__).with_name("references.bib")
CITATION: Final = re.compile(r"\[@([^\]\[]+)\]")
MAX_AUTHORS: Final = 6
"""Longer lists of authors are cut to the first three and "et al."."""


@dataclass(frozen=True)
class Entry:
    """One reference; ``record`` is pybtex's entry."""

    key: str
    record: BibEntry

    def get(self, name: str) -> str:
        """Return a field as plain text without braces and line breaks, '' when the entry has none."""
        return re.sub(r"\s+", " ", re.sub("[{}]", "", self.record.fields.get(name, ""))).strip()

    @property
    def url(self) -> str:
        """DOI link, else the address given in ``howpublished`` or ``url``, else ''."""
        if self.get("doi"):
            return "https://doi.org/" + self.get("doi")
        published = self.get("howpublished")
        if published.startswith("arXiv:"):
            return "https://arxiv.org/abs/" + published.removeprefix("arXiv:")
        return self.get("url") or (published if published.startswith("https://") else "")

    @property
    def authors(self) -> str:
        """Family names and initials: ``Lynch A. W. and Liu X. S.``."""
        names = [_short_name(person) for person in self.record.persons.get("author", ())]
        if len(names) > MAX_AUTHORS or "others" in names:
            return ", ".join(name for name in names[:3] if name != "others") + ", et al."
        return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + "".join(names[-1:])

    def text(self) -> str:
        """Return the reference as one plain sentence."""
        where = self.get("journal") or self.get("booktitle") or self.get("howpublished")
        if self.get("volume"):
            where += " " + self.get("volume")
        if self.get("pages"):
            where += ", " + self.get("pages").replace("--", "\u2013")
        joint = "" if self.authors.endswith(".") else "."
        return f"{self.authors}{joint} {self.get('title')}. {where} ({self.get('year') or 'n.d.'})."


class _Writer(Writer):
    """pybtex's writer for fields that are BibTeX already: encoding them again would break the ``_`` of a DOI."""

    def _encode(self, text: str) -> str:
        return text


@dataclass
class Citations:
    """Number citations in order of first use."""

    entries: Mapping[str, Entry]
    order: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def number(self, text: str) -> str:
        """Replace ``[@a; @b]`` by ``[1, 2]``; unknown keys are kept readable and remembered."""
        return CITATION.sub(lambda match: "[" + ", ".join(self._numbers(match[1])) + "]", text)

    def _numbers(self, inside: str) -> list[str]:
        out = []
        for key in cited_keys(f"[@{inside}]"):
            if key not in self.entries:
                self.unknown.append(key)
                out.append(f"?{key}")
                continue
            if key not in self.order:
                self.order.append(key)
            out.append(str(self.order.index(key) + 1))
        return out

    def used(self) -> list[Entry]:
        """Return the entries in the order of their numbers."""
        return [self.entries[key] for key in self.order]


def cited_keys(text: str) -> list[str]:
    """Return the keys that a text cites, in order, repeats included."""
    return [
        key for match in CITATION.finditer(text) for key in re.split(r"[;,\s]*@|[;,]\s*", "@" + match[1]) if key.strip()
    ]


@cache
def load_references(path: Path = BIB_PATH) -> dict[str, Entry]:
    """Read the entries of a BibTeX file.

    Raises
    ------
    MiraError
        When the file is not valid BibTeX or gives a key twice.
    """
    return parse_bib(path.read_text(encoding="utf-8"), name=path.name)


def parse_bib(text: str, *, name: str = "BibTeX") -> dict[str, Entry]:
    """Parse BibTeX; `name` stands for the file in error messages.

    Raises
    ------
    MiraError
        When the text is not valid BibTeX or gives a key twice.
    """
    try:
        bibliography = parse_string(text, "bibtex")
    except PybtexError as error:
        raise MiraError(
            f"{name} cannot be read: {error}",
            expected="BibTeX with balanced braces, every key once",
            remedy="correct the entry",
        ) from None
    return {key: Entry(key, record) for key, record in bibliography.entries.items()}


def write_bib(entries: Iterable[Entry]) -> str:
    """Return entries as BibTeX, in the order given."""
    text: str = _Writer(encoding="UTF-8").to_string(BibliographyData({entry.key: entry.record for entry in entries}))
    return text


def _short_name(person: Person) -> str:
    """Return ``Lynch A. W.`` for ``Lynch, Allen W.``."""
    family = " ".join([*person.prelast_names, *person.last_names, *person.lineage_names])
    given = [part for name in (*person.first_names, *person.middle_names) for part in name.split("-")]
    initials = " ".join(f"{part[0]}." for part in given if part)
    return re.sub("[{}]", "", f"{family} {initials}").strip()

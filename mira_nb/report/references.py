"""Citations: a small BibTeX reader, numbering in order of first use, reference lists as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from mira_nb.errors import MiraError

BIB_PATH: Final = Path(__file__).with_name("references.bib")
CITATION: Final = re.compile(r"\[@([^\]\[]+)\]")


@dataclass(frozen=True)
class Entry:
    """One BibTeX entry; ``source`` is its text as it stands in the file."""

    key: str
    kind: str
    fields: Mapping[str, str]
    source: str

    @property
    def url(self) -> str:
        """DOI link, else the address given in ``howpublished`` or ``url``, else ''."""
        if "doi" in self.fields:
            return "https://doi.org/" + self.fields["doi"]
        published = self.fields.get("howpublished", "")
        if published.startswith("arXiv:"):
            return "https://arxiv.org/abs/" + published.removeprefix("arXiv:")
        return self.fields.get("url", published if published.startswith("https://") else "")

    def text(self) -> str:
        """Return the reference as one plain sentence."""
        names = [_short_name(name) for name in self.fields.get("author", "").split(" and ") if name]
        if len(names) > 6 or "others" in names:
            authors = ", ".join(name for name in names[:3] if name != "others") + ", et al."
        else:
            authors = ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + "".join(names[-1:])
        where = self.fields.get("journal") or self.fields.get("booktitle") or self.fields.get("howpublished", "")
        if self.fields.get("volume"):
            where += " " + self.fields["volume"]
        if self.fields.get("pages"):
            where += ", " + self.fields["pages"].replace("--", "\u2013")
        joint = "" if authors.endswith(".") else "."
        return f"{authors}{joint} {self.fields.get('title', '')}. {where} ({self.fields.get('year', 'n.d.')})."


@dataclass
class Citations:
    """Numbers citations in order of first use."""

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
        """Entries in the order of their numbers."""
        return [self.entries[key] for key in self.order]


def cited_keys(text: str) -> list[str]:
    """Keys that a text cites, in order, repeats included."""
    return [
        key for match in CITATION.finditer(text) for key in re.split(r"[;,\s]*@|[;,]\s*", "@" + match[1]) if key.strip()
    ]


@cache
def load_references(path: Path = BIB_PATH) -> dict[str, Entry]:
    """Read the entries of a BibTeX file."""
    return parse_bib(path.read_text(encoding="utf-8"))


def parse_bib(text: str) -> dict[str, Entry]:
    """Parse BibTeX with braced or quoted values.

    Raises
    ------
    MiraError
        On unbalanced braces or a key that is given twice.
    """
    entries: dict[str, Entry] = {}
    for match in re.finditer(r"^@(\w+)\s*\{\s*([^,\s]+)\s*,", text, re.MULTILINE):
        kind, key = match[1].lower(), match[2]
        if kind in {"comment", "string", "preamble"}:
            continue
        end = _closing(text, match.start() + match[0].index("{"), key)
        if key in entries:
            raise MiraError(f"the reference {key} is given twice", remedy="remove one of the two entries")
        entries[key] = Entry(key, kind, _fields(text[match.end() : end]), text[match.start() : end + 1])
    return entries


def _closing(text: str, start: int, key: str) -> int:
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    raise MiraError(f"the reference {key} has unbalanced braces")


def _fields(body: str) -> dict[str, str]:
    out, position = {}, 0
    while match := re.compile(r"\s*,?\s*([\w-]+)\s*=\s*").match(body, position):
        start = match.end()
        if body[start : start + 1] == "{":
            end = _closing(body, start, match[1])
            value, position = body[start + 1 : end], end + 1
        else:
            found = re.compile(r'"([^"]*)"|([^,}\s]+)').match(body, start)
            if not found:
                break
            value, position = found[1] or found[2] or "", found.end()
        out[match[1].lower()] = re.sub(r"\s+", " ", value.replace("{", "").replace("}", "")).strip()
    return out


def _short_name(name: str) -> str:
    """``Lynch, Allen W.`` becomes ``Lynch A. W.``."""
    family, _, given = name.strip().partition(",")
    initials = " ".join(part[0] + "." for part in re.split(r"[\s-]+", given.strip()) if part)
    return f"{family} {initials}".strip()

"""Words of the method with their meaning, for the report's glossary and its hover texts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import yaml

from .environment import FOLDER


@dataclass(frozen=True)
class Term:
    """A word, other forms of it, and what it means."""

    name: str
    meaning: str
    also: tuple[str, ...] = ()

    def record(self) -> dict[str, object]:
        """Return what the page's script needs: all forms, and the meaning."""
        return {"name": self.name, "forms": [self.name, *self.also], "meaning": self.meaning}


@cache
def terms() -> tuple[Term, ...]:
    """Return the words in their order."""
    found = yaml.safe_load((FOLDER / "glossary.yaml").read_text(encoding="utf-8"))
    return tuple(Term(name, entry["meaning"].strip(), tuple(entry.get("also", ()))) for name, entry in found.items())

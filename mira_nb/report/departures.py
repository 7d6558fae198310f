"""Departures from the paper that a run used, from the one table of them: the first of ``docs/decisions/index.md``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

from .environment import FOLDER
from .reader import RunView

_PLACES: Final = (FOLDER / "decisions.md", FOLDER.parents[1] / "docs" / "decisions" / "index.md")
"""In an installed package, and in a checkout."""
_HEAD: Final = ["Subject", "Stage", "Paper", "Here", "Why", "Parameter"]
_SAME: Final = "The paper's."
_SILENT: Final = "-"
_VALUE: Final = re.compile(r"`([a-z_]+\*?)\.([a-z_]+)=([^`]+)`")
_OPTION: Final = re.compile(r"(with|without) `--([a-z-]+)`")


@dataclass(frozen=True)
class Departure:
    """One row of the table.

    Attributes
    ----------
    subject, paper, here, why, parameter
        What the paper says, what is done here and why, and the parameter that undoes it.
    stages
        Patterns of the stages it concerns.
    options
        Options of the run that must be given (True) or not (False) for it to matter.
    undone
        Stage, parameter and value that together take it back.
    """

    subject: str
    paper: str
    here: str
    why: str
    parameter: str
    stages: tuple[str, ...]
    options: Mapping[str, bool]
    undone: tuple[tuple[str, str, str], ...]

    def used_by(self, run: RunView) -> bool:
        """Return whether a run used it: a stage it concerns is done, and its parameters do not take it back."""
        given = run.record.get("resources") or {}
        if any(bool(given.get(name)) != wanted for name, wanted in self.options.items()):
            return False
        done = [stage for stage in run.stages if stage.status == "done"]
        return any(
            any(fnmatchcase(stage.name, pattern) for pattern in self.stages)
            and not self._taken_back(stage.name, stage.record)
            for stage in done
        )

    def _taken_back(self, stage: str, record: Mapping[str, Any]) -> bool:
        values = {str(row.get("name")): row.get("used", row.get("value")) for row in record.get("parameters") or ()}
        settings = [(name, value) for pattern, name, value in self.undone if fnmatchcase(stage, pattern)]
        return bool(settings) and all(_equal(values.get(name), value) for name, value in settings)


def departures(run: RunView) -> tuple[Departure, ...]:
    """Return the departures that a run used, in the table's order."""
    return tuple(item for item in read_departures() if item.used_by(run))


@cache
def read_departures() -> tuple[Departure, ...]:
    """Return the rows in which something is done that the paper does not do."""
    path = next((place for place in _PLACES if place.is_file()), _PLACES[0])
    return tuple(_rows(path.read_text(encoding="utf-8")))


def _rows(text: str) -> Iterator[Departure]:
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if _cells(line) == _HEAD)
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        subject, stage, paper, here, why, parameter = _cells(line)
        if here == _SAME or paper == _SILENT:
            continue
        names, _, condition = stage.partition(";")
        yield Departure(
            subject=re.sub(r"\[(.+?)\]\(.+?\)", r"\1", subject),
            paper=paper,
            here=here,
            why=why,
            parameter=parameter,
            stages=tuple(name.strip() for name in names.split(",")),
            options={option.replace("-", "_"): word == "with" for word, option in _OPTION.findall(condition)},
            undone=tuple(_VALUE.findall(parameter)),
        )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def _equal(used: Any, wanted: str) -> bool:
    """Return whether a parameter has the value that a document names: numbers as numbers, all else as text."""
    try:
        return float(used) == float(wanted)
    except (TypeError, ValueError):
        return str(used) == wanted

"""Rows of the scoreboard: one JSON file per method, set and seed, with version and hash of the data."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "rows"


@dataclass(frozen=True)
class Row:
    """Scores of one method on one set.

    Attributes
    ----------
    method, set, seed
        What was scored.
    version
        Software that computed it.
    data
        Hash of counts and labels, see :func:`.sets.digest`.
    scores
        By name; a score that the method does not give is not there.
    """

    method: str
    set: str
    seed: int
    version: str
    data: str
    scores: dict[str, float]


def path(method: str, name: str, seed: int, folder: Path = FOLDER) -> Path:
    """Return the file of a row."""
    short = re.sub(r"[^a-z0-9]+", "-", method.lower()).strip("-")
    return folder / f"{short}-{name}-{seed}.json"


def write(row: Row, folder: Path = FOLDER) -> None:
    """Keep a row; a later one of the same method, set and seed replaces it."""
    folder.mkdir(parents=True, exist_ok=True)
    rounded = {name: round(float(value), 4) for name, value in sorted(row.scores.items())}
    text = json.dumps({**asdict(row), "scores": rounded}, indent=1)
    path(row.method, row.set, row.seed, folder).write_text(text + "\n", encoding="utf-8")


def read(folder: Path = FOLDER) -> list[Row]:
    """Read all rows that are kept."""
    return [Row(**json.loads(file.read_text(encoding="utf-8"))) for file in sorted(folder.glob("*.json"))]


def kept(method: str, name: str, seed: int, data: str, folder: Path = FOLDER) -> Row | None:
    """Return a kept row, None where there is none or where it was computed from other data."""
    file = path(method, name, seed, folder)
    if not file.exists():
        return None
    row = Row(**json.loads(file.read_text(encoding="utf-8")))
    return row if row.data == data else None

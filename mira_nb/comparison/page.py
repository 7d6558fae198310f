"""The page of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml

from mira_nb.core.tuning.stability import FOUND
from mira_nb.report.plain import PlainTable, render_plain
from mira_nb.run.files import write_bytes
from mira_nb.sentences import fill

from . import tables
from .runs import ComparedRun, read_runs

TEXTS: Final = Path(__file__).with_name("texts.yaml")


def compare_runs(folders: Sequence[Path], out: Path, *, notes: Sequence[str] = ()) -> Path:
    """Compare two or more finished runs and write the page; return its path.

    Parameters
    ----------
    folders
        The run folders; the others are compared with the first.
    out
        The HTML file.
    notes
        Sentences for the head of the page.

    Raises
    ------
    ParameterError
        There are fewer than two folders, or one is named twice.
    InputError
        A folder holds no run, or none of its stages is done.
    """
    write_bytes(out, render(read_runs(folders), notes).encode("utf-8"))
    return out


def render(runs: Sequence[ComparedRun], more: Sequence[str] = ()) -> str:
    """Return the page as HTML, with more notes at its head."""
    first, others = runs[0].name, [run.name for run in runs[1:]]
    files = {run.name: tuple(str(item.get("sha256")) for item in run.view.record.get("inputs") or ()) for run in runs}
    notes = list(more)
    if len(set(files.values())) > 1:
        differing = [name for name in others if files[name] != files[first]]
        notes.append(_text("different_inputs", runs=", ".join([first, *differing])))
    topics = tables.topics(runs)
    summary, changed = tables.genes(runs)
    matched = topics[topics["topic"] != ""]
    values = {"first": first, "found": FOUND, "n_found": int(matched["found"].sum()), "n_topics": len(matched)}
    frames = {
        "inputs": tables.inputs(runs),
        "parameters": tables.parameters(runs),
        "key_figures": tables.key_figures(runs),
        "topics": topics,
        "cells": tables.cells(runs),
        "genes": summary,
        "changed": changed,
        "drivers": tables.drivers(runs),
    }
    return render_plain(
        title=_text("title", n_runs=len(runs)),
        lead=_text("lead", first=first, others=", ".join(others)),
        notes=notes,
        tables=[
            PlainTable(_text(key, "title"), _text(key, "caption", **values), _headed(key, frame, first))
            for key, frame in frames.items()
        ],
    )


def _headed(key: str, frame: pd.DataFrame, first: str) -> pd.DataFrame:
    """Return a table with the words of its columns for readers; columns named for runs keep their names."""
    words = _entries()[key].get("columns", {})
    return frame.rename(columns={name: _rendered(text, first=first) for name, text in words.items()})


@cache
def _entries() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return found


def _text(key: str, part: str = "", **values: Any) -> str:
    return _rendered(_entries()[key][part] if part else _entries()[key], **values)


def _rendered(template: str, **values: Any) -> str:
    return fill(template, values)

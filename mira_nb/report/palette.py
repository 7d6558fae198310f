"""The colours of one run, read from its folder: the same for the report, the explorer and the panels."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from mira_nb.errors import MiraError

from .colors import Palette, make_palette
from .findings.cards import partners, topic_names
from .findings.facts import Facts
from .reader import read_run

CLUSTERS: Final = "cluster (leiden)"
"""Column of the clusters among those of the joint map, whose numbers are no names of groups."""


def run_palette(facts: Facts) -> Palette:
    """Return the colours of a run's groups, lineage states and topics."""
    cells = facts.cells("joint", "umap_joint")
    groups: list[str] = []
    for name in [] if cells is None else cells.columns:
        if cells is not None and cells[name].dtype.kind not in "uif" and name != CLUSTERS:
            groups += [str(value) for value in cells[name].dropna().unique()]
    return make_palette(
        groups,
        [row["node"] for row in facts.rows("trajectory", "lineage_tree")],
        topic_names(facts, "rna"),
        topic_names(facts, "atac"),
        {topic: partner for topic, (partner, _) in partners(facts).items()},
        clusters=[] if cells is None or CLUSTERS not in cells else cells[CLUSTERS].dropna().astype(str).unique(),
    )


def read_palette(root: Path) -> Palette:
    """Return the colours of the run in a folder; without names where its record cannot be read.

    They are read once per state of run.json, which every stage that ends writes anew.
    """
    try:
        changed = (Path(root) / "run.json").stat().st_mtime_ns
    except OSError:
        return Palette()
    return _read(Path(root), changed)


@lru_cache(maxsize=8)
def _read(root: Path, _changed: int) -> Palette:
    try:
        return run_palette(Facts(read_run(root)))
    except MiraError:
        return Palette()

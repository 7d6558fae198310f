"""Values of a run folder by name: rows of tables, key figures, cells of the packed maps."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from mira_nb.charts import packed
from mira_nb.report import embed
from mira_nb.report.json_files import read_json_object
from mira_nb.report.reader import RunView, StageView
from mira_nb.report.texts import phrase

if TYPE_CHECKING:
    import pandas as pd


FITTED: Final = ("ok", "decay distance at its bound")
"""Status of genes with both models in the table genes of the stage regulation."""
NEEDS: Final = {"motifs": "--motifs and --genome", "enrichment": "--gene-sets", "regulation": "--tss"}


class Row(dict[str, str]):
    """One row of a table; a column that the table does not have reads as an empty cell."""

    def __missing__(self, _name: str) -> str:
        return ""


@dataclass(frozen=True)
class Facts:
    """A run folder as the rules of the findings read it.

    Parameters
    ----------
    run
        The run folder.
    anchors
        Element id of every figure and table of the report by stage and name.
    """

    run: RunView
    anchors: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @cached_property
    def stages(self) -> dict[str, StageView]:
        """Stages by name."""
        return {stage.name: stage for stage in self.run.stages}

    def done(self, stage: str) -> bool:
        """Return whether a stage has finished."""
        return stage in self.stages and self.stages[stage].status == "done"

    def reason(self, stage: str) -> str:
        """Return why a stage has no result, and what to give, as a clause that follows "not tested:"."""
        view = self.stages.get(stage)
        if view is None or view.status == "pending":
            return phrase("untested_pending", stage=stage)
        if view.status == "failed":
            return phrase("untested_failed", stage=stage)
        if view.status == "done":
            return phrase("untested_damaged", stage=stage)
        given = view.reason.strip().rstrip(".")
        # a stage skipped for another's sake: what the first of them asks for is what the reader needs
        other = re.match(r"it needs stage (\w+)", given)
        earlier = list(self.stages)[: list(self.stages).index(stage)]
        if other and other[1] in earlier and not self.done(other[1]):
            return self.reason(other[1])
        return given or f"give {NEEDS[stage]}" if stage in NEEDS else given or phrase("untested_skipped", stage=stage)

    def rows(self, stage: str, table: str) -> list[Row]:
        """Return the rows of a table as text; none where there is no such table or it cannot be read."""
        if not self.done(stage):
            return []
        path = self.stages[stage].folder / "tables" / f"{table}.csv"
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                return [Row({k: v or "" for k, v in row.items() if k}) for row in csv.DictReader(stream)]
        except (OSError, ValueError, csv.Error):
            return []

    def metric(self, stage: str, name: str) -> Any:
        """Return the value of a key figure; None where the stage has none of this name."""
        if not self.done(stage):
            return None
        items = self.stages[stage].record.get("metrics") or ()
        return next((item.get("value") for item in items if item.get("name") == name), None)

    def parameter(self, stage: str, name: str) -> Any:
        """Return the used value of a parameter; None where the stage is not done or has none of this name."""
        if not self.done(stage):
            return None
        rows = self.stages[stage].record.get("parameters") or ()
        return next((row.get("used", row.get("value")) for row in rows if row.get("name") == name), None)

    @cached_property
    def verdicts(self) -> dict[str, str]:
        """Verdicts on the trajectory, its lineages and its direction, by subject."""
        return {row["subject"]: row["verdict"] for row in self.rows("trajectory", "verdict")}

    def spec(self, stage: str, figure: str) -> dict[str, Any]:
        """Return a figure's Vega-Lite specification; empty where there is none."""
        if not self.done(stage):
            return {}
        path = self.stages[stage].folder / "figures" / f"{figure}.vl.json"
        return read_json_object(path) or {}

    def cells(self, stage: str, figure: str) -> pd.DataFrame | None:
        """Return the packed rows of a map, one per cell; None where there are none."""
        try:
            dataset = self.spec(stage, figure)["usermeta"][packed.META]["packed"]["cells"]
            return packed.unpack(dataset)
        except (KeyError, TypeError, ValueError):
            return None

    def link(self, stage: str, name: str = "") -> str:
        """Return the fragment that leads to a figure or table, to the stage where it has none."""
        return "#" + (self.anchors.get((stage, name)) or (embed.slug(stage) if stage in self.stages else "key-figures"))


def number(text: Any) -> float | None:
    """Return a cell of a table as a number; None where it is empty, missing or not a number."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if value == value else None  # NaN is not equal to itself


def part(value: Any) -> tuple[int, int] | None:
    """Return both numbers of a key figure such as "4 of 9"; None for anything else."""
    words = str(value).replace(",", "").split(" of ")
    if len(words) != 2 or not all(word.strip().isdigit() for word in words):
        return None
    return int(words[0]), int(words[1])


def true(text: Any) -> bool:
    """Return whether a cell of a table says yes."""
    return str(text).strip().casefold() in {"true", "1", "yes"}

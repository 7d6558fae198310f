"""Reads a run folder: plain JSON and CSV, and nothing that the pipeline computes with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from mira_nb.errors import InputError, StoreError
from mira_nb.keys import STAGE_ORDER

Status = Literal["done", "skipped", "failed", "pending"]

STAGE_TITLES: Final[dict[str, str]] = {
    "prepare": "Input and feature selection",
    "topics_rna": "Expression topics",
    "topics_atac": "Accessibility topics",
    "joint": "Joint representation",
    "enrichment": "Gene-set enrichment",
    "motifs": "Motif enrichment",
    "trajectory": "Trajectory",
    "regulation": "Regulatory potential and NITE",
    "drivers": "Driver factors",
    "comparisons": "Comparisons",
}
"""Titles of stages that have left no record of their own (skipped, failed, pending)."""


@dataclass(frozen=True)
class StageView:
    """One stage as the run folder shows it; ``record`` is its stage.json (empty unless done)."""

    name: str
    title: str
    status: Status
    folder: Path
    purpose: str = ""
    reason: str = ""
    error: Mapping[str, Any] | None = None
    seconds: float | None = None
    peak_rss_mb: float | None = None
    alerts: tuple[Mapping[str, Any], ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunView:
    """A run folder: run.json and the stages in their order."""

    root: Path
    record: Mapping[str, Any]
    stages: tuple[StageView, ...]

    @property
    def shape(self) -> dict[str, int]:
        """Cells, genes and peaks after the input check, as far as they are known."""
        if self.record.get("shape"):
            return {str(key): int(value) for key, value in self.record["shape"].items()}
        out: dict[str, int] = {}
        for item in self.record.get("inputs") or ():
            shape = list(item.get("shape") or ())
            unit = {"rna": "genes", "atac": "peaks"}.get(str(item.get("role")))
            if unit and len(shape) == 2:
                out["cells"] = min(out.get("cells", int(shape[0])), int(shape[0]))
                out[unit] = int(shape[1])
        return out


def read_run(run: Path) -> RunView:
    """Read run.json and every stage.json.

    Raises
    ------
    InputError
        When `run` is not a run folder.
    StoreError
        When run.json is damaged.
    """
    root = Path(run)
    path = root / "run.json"
    if not path.is_file():
        raise InputError(
            f"{root} holds no run.json",
            expected="a run folder",
            remedy="give the folder that was --out of `mira-nb run`",
        )
    record = _read_json(path)
    if not isinstance(record, dict):
        raise StoreError(f"{path} does not hold a JSON object", remedy="run `mira-nb run` again")
    states = record.get("stages") or {}
    return RunView(root, record, tuple(_read_stage(root, name, states.get(name) or {}) for name in STAGE_ORDER))


def _read_stage(root: Path, name: str, state: Mapping[str, Any]) -> StageView:
    folder = root / "stages" / name
    status: Status = state.get("status") or "pending"
    record: Mapping[str, Any] = {}
    error = state.get("error")
    if status == "done":
        try:
            record = _read_json(folder / "stage.json")
        except StoreError as problem:
            status, error = "failed", {"type": "StoreError", "message": str(problem), "traceback": ""}
    alerts = record.get("alerts", state.get("alerts")) or ()
    return StageView(
        name=name,
        title=str(record.get("title") or STAGE_TITLES.get(name, name)),
        status=status,
        folder=folder,
        purpose=str(record.get("purpose") or ""),
        reason=str(state.get("reason") or ""),
        error=error,
        seconds=record.get("seconds", state.get("seconds")),
        peak_rss_mb=record.get("peak_rss_mb", state.get("peak_rss_mb")),
        alerts=tuple(alerts),
        record=record,
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path} is missing", remedy=f"delete {path.parent} and run again") from None
    except (ValueError, OSError) as error:
        raise StoreError(f"{path} cannot be read ({error})", remedy=f"delete {path.parent} and run again") from None

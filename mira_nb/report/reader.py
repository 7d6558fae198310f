"""Read a run folder: plain JSON and CSV, and nothing that the pipeline computes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mira_nb.errors import InputError, StoreError

from .intact import shown_damage
from .json_files import read_json
from .record_form import Status, wrong_form
from .texts import phrase

SCHEMA: Final = 1
"""Version of the run folder's form."""

RECORD_DAMAGED: Final = "run.record_damaged"
"""Code of the error of a run.json that cannot be used; a run puts such a file aside."""

_SHOWN: Final = ("package_version", "command", "seed", "versions")
"""What the report shows of every run."""
_STAGE_FORM: Final[dict[str, type]] = {
    "key": str,
    "parameters": list,
    "alerts": list,
    "metrics": list,
    "tables": list,
    "figures": list,
    "files": list,
}


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
        """Numbers of cells, genes and peaks after the input check, as far as they are known."""
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


def read_run(run: Path, *, verify: bool = False) -> RunView:
    """Read run.json and every stage.json.

    Parameters
    ----------
    run
        The run folder.
    verify
        Compare what the report shows with the hashes kept when it was written; a stage whose files were changed since
        is shown as failed, with the file's name. Refuse a run.json that lacks what the report shows.

    Raises
    ------
    InputError
        When `run` is not a run folder.
    StoreError
        When run.json is damaged.
    """
    root = Path(run)
    record = existing_record(root)
    if verify:
        _check_shown(root / "run.json", record)
    states = record.get("stages") or {}
    stages = (_read_stage(root, name, state or {}, verify=verify) for name, state in states.items())
    return RunView(root, record, tuple(stages))


def _check_shown(path: Path, record: Mapping[str, Any]) -> None:
    """Refuse a run.json that lacks what the report shows."""
    for key in _SHOWN:
        if key not in record:
            raise _damaged(path, f"{key!r} is missing")


def existing_record(root: Path) -> dict[str, Any]:
    """Return run.json of a folder that must hold a run.

    Raises
    ------
    InputError
        When there is none.
    StoreError
        As :func:`read_record`.
    """
    record = read_record(root)
    if not record:
        raise InputError(
            f"{root} holds no run.json",
            expected="the --out folder of `mira-nb run` or `mira-nb demo`",
            remedy="give that folder, or make a run first",
        )
    return record


def read_record(root: Path) -> dict[str, Any]:
    """Return run.json, or an empty dict where there is none.

    Raises
    ------
    StoreError
        When the file is damaged or of another version of the run folder's form.
    """
    path = Path(root) / "run.json"
    if path.is_dir():
        raise _damaged(path, "it is a folder")
    if not path.is_file():
        return {}
    try:
        record = read_json(path)
    except (ValueError, OSError) as error:
        raise _damaged(path, f"not readable JSON ({error})") from None
    if not isinstance(record, dict):
        raise _damaged(path, "it does not hold a JSON object")
    schema = record.get("schema")
    if type(schema) is not int:
        raise _damaged(path, f"'schema' is {schema!r}")
    if schema != SCHEMA:
        raise StoreError(f"{path} has schema {schema}", expected=str(SCHEMA), remedy="use a new --out")
    if (wrong := wrong_form(record)) is not None:
        place, problem = wrong
        raise _damaged(path, f"{place!r}: {problem}")
    return record


def _damaged(path: Path, problem: str) -> StoreError:
    """Return the error of a run.json that cannot be used, to be raised."""
    return StoreError(f"{path} is damaged: {problem}", remedy=phrase("record_remedy"), code=RECORD_DAMAGED)


def read_stage_record(root: Path, stage: str) -> dict[str, Any] | None:
    """Return stage.json of a finished stage, None where there is none.

    Raises
    ------
    StoreError
        When the file is damaged.
    """
    path = stage_folder(root, stage) / "stage.json"
    try:
        record: dict[str, Any] = read_json(path)
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise StoreError(
            f"{path} is not readable JSON ({error})", remedy=f"delete {path.parent} and run again"
        ) from None
    if not isinstance(record, dict) or not all(isinstance(record.get(key), kind) for key, kind in _STAGE_FORM.items()):
        raise StoreError(
            f"{path} is damaged", expected="a JSON object of a stage", remedy=f"delete {path.parent} and run again"
        )
    return record


def stage_folder(root: Path, stage: str) -> Path:
    """Return the folder of one stage in a run folder."""
    return Path(root) / "stages" / stage


def _made_before(title: str) -> dict[str, str]:
    """Return the alert of a section whose result is older than what it was made from."""
    return {
        "level": "warning",
        "code": "run.outdated",
        "title": phrase("outdated_title", title=title),
        "cause": phrase("outdated_cause"),
        "remedy": phrase("outdated_remedy"),
    }


def _read_stage(root: Path, name: str, state: Mapping[str, Any], *, verify: bool = False) -> StageView:
    folder = stage_folder(root, name)
    status: Status = state.get("status") or "pending"
    record: Mapping[str, Any] = {}
    error = state.get("error")
    outdated = str(state.get("outdated") or "") if status == "pending" else ""
    if status == "done" or outdated:
        try:
            stored = read_stage_record(root, name)
            if stored is None:
                raise StoreError(f"{folder / 'stage.json'} is missing", remedy=f"delete {folder} and run again")
            problem = shown_damage(folder, stored, state.get("stage_json")) if verify else ""
            if problem:
                raise StoreError(phrase("changed_title", what=problem), remedy=phrase("changed_remedy"))
            record = stored
        except StoreError as problem:
            status, error = "failed", {"type": "StoreError", "message": str(problem), "traceback": ""}
    alerts = [*(record.get("alerts", state.get("alerts")) or ())]
    if outdated and record:
        status = "done"  # an earlier result is shown until it is replaced, with that said
        alerts.insert(0, _made_before(outdated))
    return StageView(
        name=name,
        title=str(state.get("title") or record.get("title") or name.replace("_", " ")),
        status=status,
        folder=folder,
        purpose=str(state.get("purpose") or record.get("purpose") or ""),
        reason=str(state.get("reason") or ""),
        error=error,
        seconds=record.get("seconds", state.get("seconds")),
        peak_rss_mb=record.get("peak_rss_mb", state.get("peak_rss_mb")),
        alerts=tuple(alerts),
        record=record,
    )

"""Versions of a run: what a run folder held before a stage with a result was computed again.

DIR/history/NNNN/version.json        when, why, which stages were done
DIR/history/NNNN/report.html, ...    the report as it was, with what it links to
DIR/history/NNNN/run.json, stages    the results, for :func:`restore`

Files that a run replaces as a whole are linked, not copied: a version takes room only for what has changed since.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mira_nb.errors import ParameterError, StoreError
from mira_nb.report.json_files import read_json_object
from mira_nb.report.reader import read_record

from .contents import REPORT_FILES
from .files import replaced_folder, write_json
from .intact import RECORDS
from .messages import message, refusal

FOLDER: Final = "history"
LIMIT_VARIABLE: Final = "MIRA_NB_HISTORY_GB"
LIMIT_GB: Final = 5.0
"""Room that all versions of a run folder may take together."""
_OPENED: Final = {*RECORDS, *REPORT_FILES, "run.json"} - {"stage.json"}
"""Files that an editor may write into: a version needs a copy of its own."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Version:
    """One kept state of a run.

    Attributes
    ----------
    number
        Its name in ``mira-nb history DIR --restore N``.
    made
        When it was kept, ISO 8601.
    reason
        What was about to replace it.
    done
        Stages that were done.
    bytes
        Room that only versions take: files that the run still has, or another version, are not counted twice.
    """

    number: int
    folder: Path
    made: str
    reason: str
    done: tuple[str, ...]
    bytes: int

    @property
    def report(self) -> Path:
        """The report as it was."""
        return self.folder / "report.html"


def limit_bytes() -> float:
    """Return the room that versions may take, in bytes; the environment variable MIRA_NB_HISTORY_GB sets it."""
    given = os.environ.get(LIMIT_VARIABLE, "").strip()
    try:
        gigabytes = float(given) if given else LIMIT_GB
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < float("inf"):
        raise refusal(ParameterError, "limit_not_a_size", variable=LIMIT_VARIABLE, given=given)
    return gigabytes * 1e9


def versions(root: Path) -> list[Version]:
    """Return the versions of a run folder, the oldest first."""
    out: list[Version] = []
    own = {_identity(path) for path in _files(Path(root), without=FOLDER)}
    for folder in sorted((Path(root) / FOLDER).glob("[0-9]*")):
        facts = read_json_object(folder / "version.json") or {}
        if not {"made", "reason", "done"} <= set(facts):
            continue
        size = 0
        for path in _files(folder):
            if _identity(path) not in own:
                own.add(_identity(path))
                size += path.stat().st_size
        out.append(
            Version(int(folder.name), folder, str(facts["made"]), str(facts["reason"]), tuple(facts["done"]), size)
        )
    return out


def keep(root: Path, reason: str, *, say: Say = lambda _: None) -> Version | None:
    """Keep the present state of a run as a version.

    Parameters
    ----------
    root
        The run folder.
    reason
        What is about to replace it.
    say
        Told when no version is made because of the limit.

    Returns
    -------
    Version or None
        None when there is nothing to keep, when the present state is the latest version, or when it does not fit.
    """
    root = Path(root)
    try:
        record = read_record(root)
    except StoreError:  # there is nothing that could be restored
        return None
    # a stage that is being computed again is marked as running, but its old result is still there
    entries = record.get("stages", {})
    done = [name for name in entries if (root / "stages" / name / "stage.json").exists()]
    if not done:
        return None
    kept = versions(root)
    # the input is replaced by another input only, and counts for the versions from then on
    stale = sum(path.stat().st_size for path in _versioned(root) if path.parent.name != "cache")
    if sum(version.bytes for version in kept) + stale > limit_bytes():
        say(message("version_not_kept", stale=stale, limit=limit_bytes(), variable=LIMIT_VARIABLE, root=root))
        return None
    number = kept[-1].number + 1 if kept else 1
    target = root / FOLDER / f"{number:04d}"
    facts = {"made": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "reason": reason, "done": done}
    with replaced_folder(target) as folder:
        for path in _versioned(root):
            place(path, folder / path.relative_to(root))
        write_json(folder / "version.json", facts)
    return versions(root)[-1]


def keep_replaced(root: Path, stage: str, title: str, *, say: Say) -> None:
    """Keep the present state before a stage is computed again, unless a version has the stage's result already."""
    limit_bytes()  # a wrong setting is refused before anything is replaced
    try:
        present = (root / "stages" / stage / "stage.json").read_bytes()
    except OSError:
        return
    for path in (root / FOLDER).glob(f"[0-9]*/stages/{stage}/stage.json"):
        if path.read_bytes() == present:
            return
    keep(root, f"{title} was computed again", say=say)


def restore(root: Path, number: int, *, write_results: Callable[[], Any], discard: bool = False) -> Version:
    """Make a version the present state again; what is replaced is kept as a version of its own.

    Parameters
    ----------
    root
        The run folder; the caller holds its lock.
    number
        The version.
    write_results
        Writes results.h5mu from the restored stages.
    discard
        Go on when the present state does not fit into the limit, and is lost.

    Raises
    ------
    ParameterError
        When there is no such version.
    StoreError
        When the present state would be lost.
    """
    chosen = _find(root, number)
    if keep(root, f"version {number} was restored") is None and not discard:
        raise refusal(StoreError, "present_not_kept", root=root, variable=LIMIT_VARIABLE, limit=limit_bytes())
    there = {path.name for path in (chosen.folder / "stages").glob("*") if path.is_dir()}
    for name in sorted(there):
        with replaced_folder(root / "stages" / name) as folder:
            for path in _files(chosen.folder / "stages" / name):
                place(path, folder / path.relative_to(chosen.folder / "stages" / name))
    for folder in (root / "stages").glob("[!.]*"):
        if folder.name not in there:
            shutil.rmtree(folder)
    others = [path for path in _files(chosen.folder) if path.parts[len(chosen.folder.parts)] != "stages"]
    # run.json last: until then the pipeline takes what does not fit it for damaged, and computes it again
    for path in sorted(others, key=lambda path: path.name == "run.json"):
        if path.name != "version.json":
            _replace(path, root / path.relative_to(chosen.folder))
    write_results()
    return chosen


def remove(root: Path, number: int) -> Version:
    """Delete a version for good; ask before."""
    chosen = _find(root, number)
    shutil.rmtree(chosen.folder)
    return chosen


def _find(root: Path, number: int) -> Version:
    known = versions(root)
    for version in known:
        if version.number == number:
            return version
    listed = ", ".join(str(version.number) for version in known) or "none"
    raise refusal(ParameterError, "version_unknown", root=root, number=number, known=listed)


def _versioned(root: Path) -> list[Path]:
    """Return the files of a version: report, record, checked input and the stages' folders."""
    single = [root / name for name in (*REPORT_FILES, "run.json", "cache/input.h5mu")]
    stages = [path for path in _files(root / "stages") if not path.relative_to(root).parts[1].startswith(".")]
    return [path for path in single if path.is_file()] + stages


def _files(folder: Path, *, without: str = "") -> list[Path]:
    names = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in names if path.relative_to(folder).parts[0] != without]


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def place(source: Path, target: Path) -> None:
    """Link a file, or copy it where an editor may write into it or the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.name not in _OPENED:
        try:
            os.link(source, target)
        except OSError:
            pass
        else:
            return
    shutil.copy2(source, target)


def _replace(source: Path, target: Path) -> None:
    work = target.with_name(f".{target.name}.restored")
    work.unlink(missing_ok=True)
    place(source, work)
    work.replace(target)

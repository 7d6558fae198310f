"""A run folder as one zip: report, results and everything the dashboard reads; made, and opened again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mira_nb.errors import InputError, ParameterError
from mira_nb.report.intact import sha256
from mira_nb.report.json_files import read_json_object
from mira_nb.version import __version__

from .contents import result_files
from .crate import NAME, Described, crate_text, write_crate
from .files import HashCache, replaced_folder, write_json
from .lock import locked
from .messages import refusal
from .record import RUNNING
from .store import RunStore

MARK: Final = "mira-nb-pack.json"
"""File of a pack that says what it is; it lies beside run.json."""
FORMAT: Final = 1
INPUTS: Final = "inputs"
"""Folder of a pack for the input and resource files."""
OPENED: Final = ".opened.json"
"""File of an unpacked folder that names the zip it came from."""
_PACKED: Final = frozenset({".png", ".xlsx", ".gz", ".zip"})


def portable_record(root: Path, *, inputs: bool) -> tuple[dict[str, Any], list[tuple[str, Path]]]:
    """Return run.json without folders of this machine, and the files to put beside it as ``inputs/NAME``.

    Raises
    ------
    InputError
        When `inputs` are wanted and a file is no longer where the run read it.
    """
    record = RunStore(root).read_record()
    taken: dict[str, Path] = {}

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        if not isinstance(value, str) or not os.path.isabs(value):  # noqa: PTH117
            return value
        path, name = Path(value), Path(value).name
        if taken.get(name, path) != path:
            name = f"{len(taken)}-{name}"
        taken[name] = path
        return f"{INPUTS}/{name}"

    for part in ("input_spec", "resource_paths"):
        record[part] = {name: moved(value) for name, value in record.get(part, {}).items()}
    if not inputs:
        return record, []
    missing = [str(path) for path in taken.values() if not path.exists()]
    if missing:
        raise refusal(InputError, "pack_inputs_missing", missing=missing)
    files = []
    for name, path in taken.items():
        below = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
        files += [(f"{INPUTS}/{name}/{x.relative_to(path).as_posix()}" if path.is_dir() else f"{INPUTS}/{name}", x)
                  for x in below]  # fmt: skip
    return record, files


def check_finished(root: Path) -> None:
    """Refuse a folder without a run, or one that is being written to."""
    record = RunStore(root).existing_record()
    running = [name for name, entry in record.get("stages", {}).items() if entry.get("reason") == RUNNING]
    if running:
        raise refusal(ParameterError, "pack_running", stage=running[0], root=root)


def pack_run(root: Path, out: Path, *, inputs: bool = False) -> Path:
    """Write a run folder as one zip and return its path.

    Parameters
    ----------
    root
        The run folder.
    out
        The zip; an earlier one of this name is replaced.
    inputs
        Put input and resource files in, too, so that stages can be computed again elsewhere.

    Raises
    ------
    ParameterError
        There is no run, or it is being written to; `out` is no zip.
    """
    root, out = Path(root), Path(out)
    if out.suffix != ".zip":
        raise refusal(ParameterError, "pack_name", out=out)
    check_finished(root)
    name = root.resolve().name
    work = out.with_name(f".{out.name}.tmp")
    work.parent.mkdir(parents=True, exist_ok=True)
    with locked(root):
        record, files = portable_record(root, inputs=inputs)
        try:
            with zipfile.ZipFile(work, "w") as archive:
                head = {"format": FORMAT, "package_version": __version__, "run": name, "inputs": inputs}
                archive.writestr(f"{name}/{MARK}", json.dumps(head, indent=1) + "\n", zipfile.ZIP_DEFLATED)
                text = json.dumps(record, indent=1) + "\n"
                archive.writestr(f"{name}/run.json", text, zipfile.ZIP_DEFLATED)
                archive.writestr(f"{name}/{NAME}", _crate(root, record, text), zipfile.ZIP_DEFLATED)
                for relative, path in [*result_files(root), *files]:
                    if relative != "run.json":
                        kind = zipfile.ZIP_STORED if path.suffix in _PACKED else zipfile.ZIP_DEFLATED
                        archive.write(path, f"{name}/{relative}", kind, compresslevel=6)
            work.replace(out)
        finally:
            work.unlink(missing_ok=True)
    return out


def _crate(root: Path, record: Mapping[str, Any], text: str) -> str:
    """Return the RO-Crate metadata of a pack, whose run.json is not that of the folder."""
    own = text.encode("utf-8")
    known = HashCache(root / "cache" / "hashes.json")
    files = [
        Described(name, len(own), hashlib.sha256(own).hexdigest())
        if name == "run.json"
        else Described(name, path.stat().st_size, known.sha256(path))
        for name, path in result_files(root)
    ]
    return crate_text(record, files, root.resolve().name)


def open_pack(file: Path, out: Path | None = None) -> Path:
    """Unpack a zip of :func:`pack_run` and return the run folder; a folder that it was unpacked to before is taken.

    Parameters
    ----------
    file
        The zip.
    out
        The run folder to make; None: beside the zip, named as the zip.

    Raises
    ------
    InputError
        The file is no such zip, is damaged, or names files outside of its folder.
    ParameterError
        The folder holds something else.
    """
    file = Path(file)
    target = Path(out) if out is not None else file.with_suffix("")
    try:
        digest = sha256(file)
        with zipfile.ZipFile(file) as archive:
            top = _checked_names(file, archive)
            if target.exists():
                if _opened(target) == digest:
                    return target
                if not target.is_dir() or any(target.iterdir()):
                    raise refusal(ParameterError, "pack_target_taken", target=target, file=file.name)
            _check_room(file, archive, target)
            with replaced_folder(target) as folder:
                _unpack(archive, top, folder)
                _localise(folder, target)
                write_crate(folder)
                write_json(folder / OPENED, {"zip": file.name, "sha256": digest})
    except zipfile.BadZipFile as error:
        raise refusal(InputError, "pack_no_zip", file=file, reason=str(error)) from None
    return target


def _checked_names(file: Path, archive: zipfile.ZipFile) -> str:
    """Return the one folder at the top of a pack, or refuse."""
    names = archive.namelist()
    tops = {PurePosixPath(name).parts[0] for name in names if PurePosixPath(name).parts}
    top = next(iter(tops), "")
    if len(tops) != 1 or f"{top}/{MARK}" not in names or f"{top}/run.json" not in names:
        raise refusal(InputError, "pack_no_run", file=file)
    for info in archive.infolist():
        path = PurePosixPath(info.filename)
        linked = stat.S_ISLNK(info.external_attr >> 16)
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename or ":" in path.parts[0] or linked:
            raise refusal(InputError, "pack_leads_out", file=file, name=info.filename)
    try:
        head = json.loads(archive.read(f"{top}/{MARK}"))
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        raise refusal(InputError, "pack_damaged", file=file, mark=MARK) from None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise refusal(InputError, "pack_format", file=file, known=FORMAT)
    return top


def _check_room(file: Path, archive: zipfile.ZipFile, target: Path) -> None:
    needed = sum(info.file_size for info in archive.infolist())
    place = next(folder for folder in (target.absolute(), *target.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise refusal(InputError, "pack_no_room", file=file, needed=needed, place=place, free=free)


def _unpack(archive: zipfile.ZipFile, top: str, folder: Path) -> None:
    for info in archive.infolist():
        if info.is_dir() or info.filename == f"{top}/{MARK}":
            continue
        path = folder.joinpath(*PurePosixPath(info.filename).parts[1:])
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, path.open("wb") as to:
            shutil.copyfileobj(source, to)


def _localise(folder: Path, target: Path) -> None:
    """Make run.json name the input files below the unpacked folder."""
    record = RunStore(folder).read_record()
    place = target.resolve()

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        return str(place / value) if isinstance(value, str) and value.startswith(f"{INPUTS}/") else value

    for part in ("input_spec", "resource_paths"):
        record[part] = {name: moved(value) for name, value in record.get(part, {}).items()}
    write_json(folder / "run.json", record)


def _opened(target: Path) -> str:
    return str((read_json_object(target / OPENED) or {}).get("sha256", ""))

"""The place of a run: a folder that can be written, with a name that every file format takes, and a cache for numba."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from mira_nb.errors import ParameterError
from mira_nb.io.resources import FILES, Resources
from mira_nb.io.spec import InputSpec
from mira_nb.text import is_drawable

from .messages import refusal

LEAST_BYTES: Final = 50_000_000
"""Free space below which a run does not start: input, results and report of a small experiment have that much."""
LONGEST_INSIDE: Final = 120
"""Bytes of the longest path below the run folder."""
SEEDS = 2**32
"""Number of seeds that every generator of random numbers takes."""
_LONGEST_PATH: Final = 4096
_NUMBA_CACHE: Final = "NUMBA_CACHE_DIR"


def check_text(text: str, option: str) -> None:
    """Refuse text that run.json and the report cannot hold.

    Raises
    ------
    ParameterError
        For bytes that are not UTF-8, line ends, other control characters and marks that turn the direction of writing.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise refusal(ParameterError, "not_utf8", option=option, text=text) from None
    if not is_drawable(text):
        raise refusal(ParameterError, "control_characters", option=option, text=text)


def check_names(title: str, seed: int, spec: InputSpec, resources: Resources) -> None:
    """Refuse names and a seed that a stage or the report could not hold, before anything runs."""
    check_text(title, "--title")
    for path in spec.files():
        check_text(str(path), "the input")
    for name in FILES:
        for path in resources.files(name):
            check_text(str(path), f"--{name.replace('_', '-')}")
    if not 0 <= seed < SEEDS:
        raise refusal(ParameterError, "seed_out_of_bounds", seed=seed, largest=SEEDS - 1)


def check_place(root: Path) -> None:
    """Make a run folder, or refuse a place in which a run could not be kept.

    Raises
    ------
    ParameterError
        When the folder cannot be made or written, its path is too long, or the disk is full.
    """
    where = f"--out {root}"
    check_text(str(root), "--out")
    if str(root).startswith("~"):
        home = os.path.expanduser(root)  # noqa: PTH111 -- pathlib's raises where there is no such user
        other = f"{home}, or " if home != str(root) else ""
        raise refusal(ParameterError, "tilde", where=where, option=other, path=root.absolute())
    if len(os.fsencode(root.absolute())) + LONGEST_INSIDE > _LONGEST_PATH:
        raise refusal(ParameterError, "path_too_long", beginning=str(root)[:60])
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as probe:
            probe.write(b"x")
            probe.flush()
        free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize if hasattr(os, "statvfs") else LEAST_BYTES
    except OSError as error:
        raise refusal(
            ParameterError,
            "folder_not_writable",
            folder=_short(root),
            reason=error.strerror or str(error),
            problem=_problem(error),
        ) from None
    if free < LEAST_BYTES:
        raise refusal(ParameterError, "disk_full", where=where, free=free, least=LEAST_BYTES)


def _short(root: Path) -> str:
    text = str(root)
    return text if len(text) <= 200 else f"{text[:80]}...{text[-20:]}"


def _problem(error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG:
        return "length"
    return "space" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "access"


def use_writable_numba_cache() -> None:
    """Point numba to a private folder where neither that of the code nor HOME can be written.

    Acts through ``NUMBA_CACHE_DIR``, before numba is loaded; one that was set stays.
    """
    if os.environ.get(_NUMBA_CACHE):
        return
    package = Path(__file__).resolve().parents[1]
    if _writable(package) or _writable(_user_cache()):
        return
    os.environ[_NUMBA_CACHE] = str(_private_folder())


def _user_cache() -> Path:
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # nobody knows the home of this user
        return Path("/nonexistent")


def _writable(folder: Path) -> bool:
    """Return whether files could be made in a folder, or in the nearest one above that exists."""
    for place in (folder, *folder.parents):
        if place.exists():
            return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return False


def _private_folder() -> Path:
    """Return a folder below the temporary one that is this user's alone: numba unpickles what it finds there."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"mira_nb-numba-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o077:
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="mira_nb-numba-"))

"""What the command line prints, and the streams it prints on."""

from __future__ import annotations

import errno
import os
import re
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

import typer

from mira_nb.text import printable

from .messages import message


def say(text: str, *, end: bool = True) -> None:
    """Print on stderr, where there is one, what a terminal can show."""
    with suppress(OSError):  # a closed terminal or a full disk behind it ends no run
        typer.echo(printable(text), err=True, nl=end)


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_MENDABLE: Final = frozenset(
    {*_FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
)
_LONG: Final = 300


def system_message(error: OSError) -> tuple[str, int]:
    """Return one message for what the system refused, and the exit status: 2 where the user can mend it."""
    number = _system_number(error)
    # of a file that is written aside and moved, the second name is the one that the reader knows
    file = error.filename2 or error.filename or _first(r"filename = '([^']*)'", str(error))
    said = error.strerror or str(error)
    if number is not None and len(said) > _LONG // 3:  # HDF5 tells its own state, over several lines
        said = os.strerror(number)
    what = f"{file}: {said[:_LONG]}" if file else said[:_LONG]
    remedy = message("space" if number in _FULL else "folder_there" if number == errno.EISDIR else "access")
    return f"{what}\nWhat to do: {remedy}", 2 if number in _MENDABLE else 1


def _system_number(error: OSError) -> int | None:
    """Return the system's number of an error; HDF5 has it in the text only."""
    found = _first(r"errno = (\d+)", str(error))
    return error.errno if error.errno is not None else int(found) if found else None


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


def open_streams() -> None:
    """Put the null device in the place of standard streams that are closed, and write what an encoding lacks escaped.

    Else the first file that is opened would take the number of a closed stream, and what is printed would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            os.dup2(null, number)  # even when the numbers are equal: Python's own files are closed in the kernels
            os.set_inheritable(number, True)
            if null != number:
                os.close(null)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def use_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale makes it take names of files for ASCII."""
    if sys.getfilesystemencoding().lower() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def quieten_hdf5() -> None:
    """Leave out the tracebacks of HDF5 files that a full disk cut off: the error that ends the command says it once.

    They come from files that are closed when nobody can catch an error any more; Cython shows each by both hooks.
    """
    shown, unraisable = sys.excepthook, sys.unraisablehook

    def is_told(error: object) -> bool:
        return "file write failed" in str(error)

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not is_told(error):
            shown(kind, error, trace)

    def show_unraisable(what: Any) -> None:
        if not is_told(what.exc_value):
            unraisable(what)

    sys.excepthook, sys.unraisablehook = show, show_unraisable


def end_at_once(code: int) -> None:
    """End the process without closing files: HDF5 crashes when it closes one that it could not write to the end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)

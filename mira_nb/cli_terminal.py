"""What the command line prints, and the streams it prints on."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

import typer

from .text import printable


def say(message: str, *, end: bool = True) -> None:
    """Print on stderr, where there is one, what a terminal can show."""
    with suppress(OSError):  # a closed terminal or a full disk behind it ends no run
        typer.echo(printable(message), err=True, nl=end)


def system_message(error: OSError) -> str:
    """Return one message for what the system refused, with the remedy for a full disk."""
    where = f"{error.filename}: " if error.filename else ""
    what = f"{where}{error.strerror or error}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return f"{what}\nWhat to do: make space, or lift the limit; run the same command to go on"
    return f"{what}\nWhat to do: check that the folder can be written and the files be read, and run again"


def open_streams() -> None:
    """Put the null device in the place of standard streams that are closed, and write what an encoding lacks escaped.

    Else the first file that is opened would take the number of a closed stream, and what is printed would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

"""How commands end when something is wrong: one message on stderr and the right exit status."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import typer

from mira_nb.errors import MiraError

from .messages import message
from .terminal import say, system_message


def fail(text: str, code: int) -> NoReturn:
    """Print one message on stderr and stop."""
    say(f"mira-nb: {text}")
    raise typer.Exit(code)


class Refused(typer.Exit):
    """The end of a command because the system refused to read or write."""


def reports_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn our errors into one message and the right exit status."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except MiraError as error:
            fail(str(error), error.exit_code)
        except OSError as error:
            text, code = system_message(error)
            say(f"mira-nb: {text}")
            raise Refused(code) from None
        except MemoryError:
            fail(message("memory"), 1)
        except KeyboardInterrupt:
            fail(message("interrupted"), 1)

    return wrapped

"""Errors that say what was found, what was expected and what to do about it.

Every error that a user can cause derives from :class:`MiraError`; its message is complete without the traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class MiraError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message
        What was found and where (file, key, feature).
    expected
        What would have been right.
    remedy
        What the reader can do now.
    code
        Stable name for programs, such as ``input.few_cells``; empty where an error has none.
    values
        What the sentences were made of.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        remedy: str | None = None,
        code: str = "",
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.values = dict(values or {})
        self.message = message
        self.expected = expected
        self.remedy = remedy
        parts = [message]
        if expected:
            parts.append(f"Expected: {expected}")
        if remedy:
            parts.append(f"What to do: {remedy}")
        super().__init__("\n".join(parts))


class InputError(MiraError):
    """The user's data, files or command line are at fault (exit status 2)."""

    exit_code: ClassVar[int] = 2


class ParameterError(InputError):
    """A parameter has an unknown name, a wrong type or is out of its bounds."""


class ResourceError(InputError):
    """A resource file (genome, motifs, gene sets, TSS) is missing or malformed."""


class OfflineError(MiraError):
    """A remote service could not be reached; the message names the offline alternative."""


class ConvergenceError(MiraError):
    """A numerical method found no usable solution."""


class StoreError(MiraError):
    """A run folder is damaged, was written by an incompatible version, or lacks what is asked for (exit status 2)."""

    exit_code: ClassVar[int] = 2


class StageError(MiraError):
    """A stage failed; wraps the cause with the stage's name.

    ``cause`` is the class name of the original error, ``traceback`` its traceback as plain text.
    """

    cause: str = ""
    traceback: str = ""


class NotApplicable(MiraError):
    """The data hold nothing that a stage could analyse, e.g. a single group to compare.

    Raised by a stage while it computes. A run records the stage as skipped, with this reason, and goes on.
    """

    @property
    def reason(self) -> str:
        """The reason and the remedy in one line, as the run folder and the report show them."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class Cancelled(MiraError):
    """The user asked the running stage to stop."""

"""Look at a run folder again and again in a thread, so that the page itself never waits."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Final

from mira_nb.errors import MiraError

from . import markup

POLL_SECONDS: Final = 0.5
"""Time between two looks."""


class Follower:
    """A thread that calls a function until it is closed.

    Parameters
    ----------
    look
        Called again and again.
    show
        Takes the HTML of an error of `look`; the thread goes on.
    seconds
        Time until the next look.
    """

    def __init__(
        self, look: Callable[[], None], show: Callable[[str], None], seconds: Callable[[], float] = lambda: POLL_SECONDS
    ) -> None:
        self._look, self._show, self._seconds = look, show, seconds
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin; returns at once."""
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """End after the present look."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds()):
            self.look()

    def look(self) -> None:
        """Look once, and show what went wrong."""
        try:
            self._look()
        except (MiraError, OSError) as error:
            self._show(markup.error_box({"message": str(error)}))
        except Exception as error:  # a page whose thread has ended would show an old state for good
            text = traceback.format_exc()
            self._show(markup.error_box({"message": f"{type(error).__name__}: {error}", "traceback": text}))

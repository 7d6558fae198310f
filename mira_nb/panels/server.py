"""Voila as the dashboard serves it: every request is checked before it reaches a handler, unused kernels are ended.

Voila by itself answers any Host, accepts any page as the origin of a request, and loops on a websocket client that
does not speak Jupyter's subprotocol. :class:`GuardedApplication` refuses all three before anything else is done.
"""

from __future__ import annotations

import hmac
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import tornado.ioloop
import tornado.web
from tornado.httputil import HTTPServerRequest
from voila.app import Voila

from .heap import give_back, share_heap
from .texts import phrase

SUBPROTOCOL: Final = "v1.kernel.websocket.jupyter.org"
"""What a client of a kernel's websocket must offer."""
LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
UNCONNECTED_SECONDS: Final = 60.0
"""How long the kernel of a page that never connects is kept once it has computed the page."""
LEFT_SECONDS: Final = 1800.0
"""How long the kernel of a page that is gone is kept, so that a laptop that slept finds its page again."""
SWEEP_SECONDS: Final = 5.0
COMPUTING: Final = frozenset({"starting", "busy"})
"""States of a kernel that has not finished its page; on a busy machine this can take longer than a minute."""
MAX_PAGES: Final = 16
"""Kernels of pages that may be open at once; each takes about 200 MB."""


class Guard:
    """The rules that a request must keep.

    Parameters
    ----------
    token
        The secret in the address; a page that was opened with it goes on with its cookie.
    cookie
        Name of that cookie.
    hosts
        Names, besides those of this machine, by which the server may be addressed (a reverse proxy's).
    """

    def __init__(self, token: str, cookie: str, hosts: Iterable[str] = ()) -> None:
        self.token, self.cookie = token, cookie
        self.hosts = LOCAL_NAMES | {name.lower() for name in hosts}

    def refusal(self, request: HTTPServerRequest, secret: str | bytes) -> str:
        """Return why a request is refused, '' when it is not.

        Parameters
        ----------
        secret
            What the server signs its cookies with.
        """
        host = request.host.lower()
        if _hostname(host) not in self.hosts:
            return phrase("server", "host")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host:
            return phrase("server", "origin")
        if request.path.startswith("/voila/query/"):  # asked by the kernels that wait for a page
            return "" if request.remote_ip in LOCAL_NAMES else phrase("server", "kernels")
        if not self.knows(request, secret):
            return phrase("server", "token")
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if request.path.endswith("/channels") and SUBPROTOCOL not in {item.strip() for item in offered.split(",")}:
            return phrase("server", "protocol", protocol=SUBPROTOCOL)
        return ""

    def knows(self, request: HTTPServerRequest, secret: str | bytes) -> bool:
        """Return whether a request carries the token, or the cookie that a page got for it."""
        given = parse_qs(request.query).get("token", [""])[-1]
        kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() in {"token", "bearer"}:
            given = given or bearer
        if given:
            return hmac.compare_digest(given.encode(), self.token.encode())
        signed = request.cookies.get(self.cookie)
        return signed is not None and tornado.web.decode_signed_value(secret, self.cookie, signed.value) is not None


def _hostname(host: str) -> str:
    """Return a Host header without its port; an IPv6 address without its brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class _Refused(tornado.web.RequestHandler):
    """Answers with one sentence."""

    def initialize(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason

    async def prepare(self) -> None:
        self.set_status(self.status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self.reason + "\n")


class GuardedApplication(tornado.web.Application):
    """Application that asks its guard first."""

    def __init__(self, guard: Guard, *values: Any, **settings: Any) -> None:
        self.guard = guard
        # the guard has compared Host with the names that are allowed
        # nothing is logged of requests: their addresses hold the token
        quiet = {"allow_remote_access": True, "log_function": lambda _: None}
        super().__init__(*values, **{**settings, **quiet})

    def find_handler(self, request: HTTPServerRequest, **values: Any) -> Any:
        """Return the handler of a request, or one that refuses it."""
        reason = self.guard.refusal(request, self.settings["cookie_secret"])
        if reason:
            return self.get_handler_delegate(request, _Refused, {"status": 403, "reason": reason})
        if request.path == "/" and len(self.settings["kernel_manager"].list_kernel_ids()) > MAX_PAGES:
            reason = phrase("server", "full", n=MAX_PAGES)
            return self.get_handler_delegate(request, _Refused, {"status": 503, "reason": reason})
        return super().find_handler(request, **values)


class DashboardServer(Voila):
    """Voila with a guard, a sweep of unused kernels, and a word when it listens."""

    guard: Guard
    announce: Callable[[], None]

    def start(self) -> None:
        """Serve until the process is ended."""
        share_heap()
        self.connection_dir = tempfile.mkdtemp(prefix="mira_nb_", dir=self.connection_dir_root)
        settings = {**self.init_settings(), **self.tornado_settings}
        self.app = GuardedApplication(self.guard, **settings)
        self.app.add_handlers(".*$", self.init_handlers())
        self.listen()

    def listen(self) -> None:
        """Listen; the address is announced from the loop that answers, not before."""
        tornado.ioloop.IOLoop.current().add_callback(self.announce)
        sweep = KernelSweep(self.kernel_manager)
        tornado.ioloop.PeriodicCallback(sweep.run, SWEEP_SECONDS * 1000).start()
        super().listen()


class KernelSweep:
    """Ends kernels whose page never connected, or is gone.

    Parameters
    ----------
    manager
        Voila's kernel manager.
    clock
        Returns seconds (for tests).
    """

    def __init__(self, manager: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self.manager, self.clock = manager, clock
        self._alone: dict[str, float] = {}
        self._met: set[str] = set()
        self._kernels: set[str] = set()

    async def run(self) -> list[str]:
        """End what is due and return the ids of the kernels that were ended."""
        now, ended = self.clock(), []
        if self._kernels != (there := set(self.manager.list_kernel_ids())):  # a page was opened or left
            self._kernels = there
            give_back()
        pooled = await self._pooled()
        kernels = [kernel for kernel in self.manager.list_kernel_ids() if kernel not in pooled]
        self._alone = {kernel: since for kernel, since in self._alone.items() if kernel in kernels}
        self._met &= set(kernels)
        for kernel in kernels:
            if self.manager._kernel_connections.get(kernel, 0) > 0:
                self._met.add(kernel)
                self._alone.pop(kernel, None)
                continue
            if kernel not in self._met and self.manager.get_kernel(kernel).execution_state in COMPUTING:
                self._alone.pop(kernel, None)  # there is no page yet that could connect
                continue
            since = self._alone.setdefault(kernel, now)
            if now - since >= (LEFT_SECONDS if kernel in self._met else UNCONNECTED_SECONDS - SWEEP_SECONDS):
                self._alone.pop(kernel)
                await self.manager.shutdown_kernel(kernel)
                ended.append(kernel)
        return ended

    async def _pooled(self) -> set[str]:
        """Return the kernels that wait for a page."""
        waiting = [task for pool in getattr(self.manager, "_pools", {}).values() for task in pool]
        starting = [task for task in waiting if not task.done()]
        if starting:  # a kernel that is starting has no id yet: none that is new is touched
            return set(self.manager.list_kernel_ids()) - set(self._alone) - self._met
        return {task.result()["kernel_id"] for task in waiting if not task.cancelled() and task.exception() is None}

"""Where the template notebooks are and how one is executed with papermill."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mira_nb.errors import Cancelled, StageError, StoreError
from mira_nb.stages.registry import BUILT_IN, get_stage

from .messages import message, refusal
from .progress import read_progress

if TYPE_CHECKING:
    from traitlets.config import Config

ProgressSink = Callable[[str, float, str, float], None]
"""Called with (stage, fraction, message, remaining seconds or -1)."""

POLL_SECONDS = 0.3
SOCKET_PATH_LIMIT = 100
"""Room for a socket's path: 108 bytes on Linux, 104 on macOS."""


_OUT_OF_MEMORY: Final = re.compile("MemoryError|can't allocate memory|[Cc]annot allocate memory|bad_alloc")


def dashboard_notebook() -> Path:
    """Return the notebook of the dashboard: of the installed package, else of the repository (editable install)."""
    package = Path(__file__).resolve().parents[1]
    candidates = [folder / "notebooks" / "dashboard.ipynb" for folder in (package, package.parent)]
    for path in candidates:
        if path.exists():
            return path
    raise StoreError(f"dashboard.ipynb is not at {' or '.join(map(str, candidates))}", remedy="install mira-nb again")


def template_path(stage: str) -> Path:
    """Return the template of a stage.

    Built-in stages have theirs in the installed package, else in the repository of an editable install; a plug-in's
    stands beside the module of its class, as ``STAGE.ipynb``.

    Raises
    ------
    StoreError
        When there is none.
    """
    package = Path(__file__).resolve().parents[1]
    folders = [package / "templates", package.parent / "templates"]
    if stage not in BUILT_IN:
        module = sys.modules[type(get_stage(stage)).__module__]
        folders = [Path(str(module.__file__)).resolve().parent]
    for folder in folders:
        path = folder / f"{stage}.ipynb"
        if path.exists():
            return path
    raise refusal(StoreError, "template_missing", stage=stage, folders=folders, built_in=stage in BUILT_IN)


def execute_template(
    stage: str, output: Path, parameters: Mapping[str, Any], *, progress_dir: Path, sink: ProgressSink | None = None
) -> None:
    """Execute one template in its own kernel; the executed notebook goes to `output` even when a cell fails.

    When the kernel dies, the notebook is there with its parameters and without results.

    Raises
    ------
    StageError
        When a cell raised (carries the cell's error in one line and the traceback in ``traceback``), or when the kernel
        died.
    """
    # papermill and nbclient take seconds to import
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    for leftover in (f"{stage}.json", f"{stage}.cancel"):
        (progress_dir / leftover).unlink(missing_ok=True)
    progress_dir.mkdir(parents=True, exist_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # it logs the errors that it raises
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(stage, progress_dir, sink, done), daemon=True)
    watcher.start()
    try:
        with kernel_config() as config:
            run = partial(papermill.execute_notebook, kernel_name="python3", progress_bar=False, log_output=False)
            run(_literal(template_path(stage)), _literal(output), parameters=dict(parameters), prepare_only=True)
            # written once more at the end: papermill would write all figures so far before and after each cell
            run(_literal(output), _literal(output), request_save_on_cell_execute=False, config=config)
    except PapermillExecutionError as error:
        raise _stage_error(stage, error, output) from None
    except KeyboardInterrupt:  # the cell that was left waiting finds its kernel dead, which is no news
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise
    except (MemoryError, RuntimeError) as error:  # the kernel died, or did not get as far as to answer
        if (progress_dir / f"{stage}.cancel").exists():  # it was ended because it did not stop in time
            raise Cancelled(f"stage {stage} was stopped on request") from None
        if isinstance(error, DeadKernelError | MemoryError):
            raise _failure("stage_process_ended", stage, "DeadKernelError") from None
        failure = _failure("stage_failed", stage, type(error).__name__, problem=str(error))
        raise failure from None
    finally:
        done.set()
        watcher.join()
        for leftover in (f"{stage}.json", f"{stage}.cancel"):
            (progress_dir / leftover).unlink(missing_ok=True)


def _literal(path: Path) -> str:
    """Return a path for papermill, which takes braces in it for places of parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


@contextmanager
def kernel_config() -> Iterator[Config]:
    """Yield settings that put a kernel's sockets in a folder only the user can read, instead of open ports.

    A socket's path may have some 100 characters; where the temporary folder's is too long, and on Windows, the kernel
    listens on 127.0.0.1 as usual.
    """
    from traitlets.config import Config

    from .kernels.manager import StageKernelManager

    config = Config()
    config.NotebookClient.kernel_manager_class = StageKernelManager
    with tempfile.TemporaryDirectory(prefix="mira-nb-", ignore_cleanup_errors=True) as folder:
        address = str(Path(folder) / "kernel")
        if os.name == "posix" and len(address) + len("-5") < SOCKET_PATH_LIMIT:
            config.KernelManager.transport = "ipc"
            config.KernelManager.ip = address
        yield config


def _stage_error(stage: str, error: Any, output: Path) -> StageError | Cancelled:
    value = str(error.evalue)
    if error.ename == Cancelled.__name__:
        return Cancelled(f"stage {stage} was stopped on request")
    short = bool(_OUT_OF_MEMORY.search(f"{error.ename} {value}"))
    code = "stage_out_of_memory" if short else "stage_raised"
    failure = _failure(code, stage, error.ename, problem=f"{error.ename}: {value}")
    failure.traceback = _plain_traceback(error.traceback)
    return failure


def _failure(code: str, stage: str, cause: str, **values: str) -> StageError:
    """Return that a stage failed, with the name of the original error."""
    failure = refusal(StageError, code, stage=stage, advice=message("more_memory"), **values)
    failure.cause = cause
    return failure


def _plain_traceback(lines: list[str]) -> str:
    """Return a traceback without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


def _watch(stage: str, folder: Path, sink: ProgressSink | None, done: threading.Event) -> None:
    """Pass the progress that the kernel writes on to the sink until the notebook has ended."""
    last: tuple[float, str] | None = None
    while not done.wait(POLL_SECONDS):
        state = read_progress(folder, stage)
        if sink is None or state is None:
            continue
        now = (float(state["fraction"]), str(state["message"]))
        if now != last:
            sink(stage, now[0], now[1], float(state["remaining"]))
            last = now

"""Demonstration run folders made from the embedded data set, for notebooks that are opened without one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mira_nb.datasets.write import Size
from mira_nb.stages.base import no_progress
from mira_nb.stages.registry import get_stage, upstream
from mira_nb.version import __version__

from .session import Session
from .store import RunStore


def demonstration(stage: str, *, folder: Path | None = None, size: Size = "small", seed: int = 0) -> RunStore:
    """Make a run folder of the embedded data in which everything that `stage` needs is done.

    Parameters
    ----------
    stage
        The stage that is going to be run.
    folder
        Where to keep it; None: one folder a version and user in the temporary directory, made once.
    size
        Size of the data set, as in :func:`mira_nb.datasets.write.write_demo`.
    """
    from mira_nb.datasets.write import write_demo

    from .pipeline import RunRequest, open_run

    root = folder or Path(tempfile.gettempdir()) / f"mira_nb-demonstration-{__version__}-{_user()}-{size}-{seed}"
    demo = write_demo(root / "data", size=size, seed=seed)
    store = RunStore(root / "run")
    open_run(RunRequest(spec=demo.spec, resources=demo.resources, out=store.root, seed=seed), store)
    for name in upstream(stage):
        if name not in store.finished():
            step = get_stage(name)
            session = Session(step, store, step.Params(), seed=seed, progress=no_progress)
            session.run()
            session.save()
    return store


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "user"

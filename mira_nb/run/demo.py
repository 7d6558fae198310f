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


def demonstration_folder(size: Size = "small", seed: int = 0) -> Path:
    """Return the folder in which demonstrations are kept: one per version and user, in the temporary directory."""
    return Path(tempfile.gettempdir()) / f"mira_nb-demonstration-{__version__}-{_user()}-{size}-{seed}"


def demonstration(stage: str, *, folder: Path | None = None, size: Size = "small", seed: int = 0) -> RunStore:
    """Make a run folder of the embedded data in which everything that `stage` needs is done.

    What was made before is kept, files included; of several processes that ask at once, one computes and the others
    wait for it.

    Parameters
    ----------
    stage
        The stage that is going to be run.
    folder
        Where to keep it; None: :func:`demonstration_folder`.
    size
        Size of the data set, as in :func:`mira_nb.datasets.write.write_demo`.
    """
    from filelock import FileLock

    from .pipeline import RunRequest, open_run

    root = folder or demonstration_folder(size, seed)
    root.mkdir(parents=True, exist_ok=True)
    store = RunStore(root / "run")
    with FileLock(root / ".lock"):
        store.record.set_aside()
        if not store.read_record():
            from mira_nb.datasets.write import write_demo

            demo = write_demo(root / "data", size=size, seed=seed)
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

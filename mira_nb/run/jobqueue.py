"""A Dask cluster of jobs of a queueing system (Slurm, PBS, SGE, LSF, ...), started by ``dask-jobqueue``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mira_nb.errors import ParameterError

from .messages import refusal

CLASSES = {
    "slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster", "lsf": "LSFCluster", "oar": "OARCluster",
    "moab": "MoabCluster", "htcondor": "HTCondorCluster", "local": "LocalCluster",
}  # fmt: skip
"""Class of ``dask_jobqueue`` by the name that its configuration uses; ``local`` runs jobs as processes, for trials."""

JOBS = 4
"""Jobs at most, where the file names no number (chosen)."""


def read_queue(file: Path) -> tuple[str, dict[str, Any], int]:
    """Return name of the queueing system, options of its cluster, and number of jobs.

    Raises
    ------
    ParameterError
        When the file has another form.
    """
    import yaml

    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise refusal(ParameterError, "jobqueue_unreadable", file=file, reason=str(error)) from None
    queues = loaded.get("jobqueue") if isinstance(loaded, dict) else None
    if not isinstance(queues, dict) or len(queues) != 1:
        raise refusal(ParameterError, "jobqueue_systems", file=file)
    (name, options), jobs = next(iter(queues.items())), loaded.get("jobs", JOBS)
    if name not in CLASSES:
        raise refusal(ParameterError, "jobqueue_unknown", file=file, name=name, known=CLASSES)
    if not isinstance(options, dict) or "cores" not in options or "memory" not in options:
        raise refusal(ParameterError, "jobqueue_incomplete", file=file, name=name)
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise refusal(ParameterError, "jobqueue_jobs", file=file, jobs=jobs)
    # one thread per worker: every task computes on one
    return name, {"processes": options["cores"], **options}, jobs


@contextmanager
def job_cluster(file: Path) -> Iterator[Any]:
    """Yield a cluster that asks for jobs while there is work, and ends them at the end of the block.

    Parameters
    ----------
    file
        See :func:`read_queue`.

    Raises
    ------
    ParameterError
        When ``dask-jobqueue`` is not installed, or does not take the options of the file.
    """
    name, options, jobs = read_queue(file)
    try:
        import dask_jobqueue
        import dask_jobqueue.local
    except ImportError:
        raise refusal(ParameterError, "jobqueue_missing", file=file, name=name) from None
    kind = getattr(dask_jobqueue.local if name == "local" else dask_jobqueue, CLASSES[name])
    try:
        cluster = kind(**options)
    except (TypeError, ValueError) as error:
        raise refusal(ParameterError, "jobqueue_refused", file=file, name=name, reason=str(error)) from None
    try:
        cluster.adapt(minimum_jobs=0, maximum_jobs=jobs)
        yield cluster
    finally:
        cluster.close()

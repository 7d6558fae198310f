"""``run --batch-file``: many runs, and one page that compares them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from mira_nb.errors import MiraError, ParameterError
from mira_nb.text import printable

from .errors import fail
from .messages import message, refusal
from .terminal import say


def run_many(file: Path, out: Path, given: Mapping[str, Any], *, compute: str | None, sink: Any) -> None:
    """Run what a file lists, each into its folder below `out`; then compare those with results.

    Parameters
    ----------
    file
        The YAML file.
    out
        The folder of the runs.
    given
        Options of the command line by name: they hold for every run that sets nothing else.
    compute
        Where independent work is done.
    sink
        Shows the progress of a run.
    """
    from mira_nb.comparison.page import compare_runs
    from mira_nb.run.batch import read_batch, run_batch, write_outcomes

    if (out / "run.json").exists():
        raise refusal(ParameterError, "batch_folder", out=out)
    defaults = {name: value for name, value in given.items() if value not in (None, "")}
    runs = read_batch(file, defaults)
    outcomes = []
    for item in run_batch(runs, out, compute=compute, say=lambda name: say(f"== {name}"), sink=sink):
        outcomes.append(item)
        failed_stages = item.outcome.failed if item.outcome else ()
        say(message("batch_run", name=item.name, problem=item.message, failed=failed_stages))
    typer.echo(printable(str(write_outcomes(outcomes, out))))
    notes = [
        message("run_without_results", name=item.name, problem=item.message)
        for item in outcomes
        if item.outcome is None
    ]
    notes += [
        message("stages_failed", name=item.name, failed=item.outcome.failed)
        for item in outcomes
        if item.outcome and item.outcome.failed
    ]
    folders = [item.folder for item in outcomes if item.outcome and "done" in item.outcome.statuses.values()]
    if len(folders) > 1:
        try:
            typer.echo(printable(str(compare_runs(folders, out / "comparison.html", notes=notes))))
        except MiraError as error:
            fail(f"the runs cannot be compared: {error}", 1)
    failed = [item.name for item in outcomes if item.failed]
    if failed:
        fail(message("batch_failed", names=failed, n_failed=len(failed), n=len(outcomes)), 1)

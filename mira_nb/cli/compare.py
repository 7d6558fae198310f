"""The command ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN ...", help="Two or more run folders.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="The page.")] = Path("comparison.html"),
) -> None:
    """Compare finished runs with the first one: parameters, key figures, topics, clusters, lineages, NITE, drivers."""
    from mira_nb.comparison.page import compare_runs

    typer.echo(compare_runs(runs, out))

"""Commands that keep and pass on whole runs: history, restore, pack, open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cli_errors import reports_errors
from .cli_options import Discard

share = typer.Typer()


@share.command()
@reports_errors
def history(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Run folder.")],
    restore_version: Annotated[
        int | None, typer.Option("--restore", help="Make this version the present one.", metavar="N")
    ] = None,
    remove: Annotated[int | None, typer.Option("--remove", help="Delete this version for good.", metavar="N")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without a question.")] = False,
    discard: Discard = False,
) -> None:
    """List, restore or remove the versions of a run that were kept before stages were computed again."""
    from mira_nb.run.versions import history_listing, remove_version
    from mira_nb.run.versions import restore_version as put_back

    if restore_version is not None:
        typer.echo(put_back(folder, restore_version, discard=discard))
    elif remove is not None:
        if not yes:
            typer.confirm(f"Delete version {remove} of {folder} for good?", abort=True)
        typer.echo(remove_version(folder, remove))
    else:
        typer.echo(history_listing(folder))


@share.command()
@reports_errors
def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Run folder.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Number of the version.")],
    discard: Discard = False,
) -> None:
    """Make a version of a run the present one; what it replaces is kept as a version too."""
    from mira_nb.run.versions import restore_version

    typer.echo(restore_version(folder, version, discard=discard))

"""Commands that keep and pass on whole runs: history, restore, pack, open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mira_nb.errors import ParameterError

from .errors import reports_errors
from .messages import refusal
from .options import Discard

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


@share.command()
@reports_errors
def pack(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    out: Annotated[Path | None, typer.Option("--out", help="The zip.", metavar="FILE.zip")] = None,
    binder: Annotated[
        Path | None, typer.Option("--binder", help="Folder for a repository that Binder opens.", metavar="DIR")
    ] = None,
    inputs: Annotated[
        bool, typer.Option("--inputs", help="Put the input files in, so that stages can be computed again.")
    ] = False,
) -> None:
    """Write a run as one zip for `mira-nb open`, or as a repository folder for Binder."""
    if (out is None) == (binder is None):
        raise refusal(ParameterError, "nothing_to_pack")
    if out is not None:
        from mira_nb.run.pack import pack_run

        typer.echo(pack_run(folder, out, inputs=inputs))
    if binder is not None:
        from mira_nb.run.binder import pack_binder

        path, notes = pack_binder(folder, binder, inputs=inputs)
        for note in notes:
            typer.echo(f"warning: {note}", err=True)
        typer.echo(path)


@share.command(name="open")
@reports_errors
def open_zip(
    file: Annotated[Path, typer.Argument(metavar="ZIP", help="A file of `mira-nb pack`.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder to make; default: beside the zip.", metavar="DIR")
    ] = None,
    serve: Annotated[bool, typer.Option(help="Serve the dashboard; else only unpack.")] = True,
    port: Annotated[int | None, typer.Option("--port", help="Port; default: a free one.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Unpack a run that `mira-nb pack` wrote, and open its dashboard."""
    from mira_nb.run.pack import open_pack

    folder = open_pack(file, out)
    typer.echo(folder, err=serve)
    if serve:
        from mira_nb.panels.serve import serve as serve_dashboard

        serve_dashboard(folder, port=port, open_browser=browser)

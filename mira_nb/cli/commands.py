"""The command line: demo, run, check, report, dashboard.

Only typer is imported here; everything that computes is imported by the command that needs it, so that ``--help``
answers at once. Exit status: 0 done; 2 the user's input is at fault (one message on stderr); 1 anything else.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from mira_nb.errors import ParameterError
from mira_nb.text import printable

from .batch import run_many
from .compare import compare
from .errors import Refused, fail, reports_errors
from .messages import message, refusal
from .options import (
    Atac,
    BatchFile,
    Compute,
    Given,
    Layer,
    Mudata,
    PairBy,
    ParamsFile,
    Rna,
    Seed,
    Sets,
    Tenx,
    Title,
    Until,
    collect_parameters,
    input_spec,
    takes,
)
from .share import share
from .terminal import end_at_once, open_streams, quieten_hdf5, say, use_utf8

if TYPE_CHECKING:
    from mira_nb.run.pipeline import RunOutcome

T = TypeVar("T")

app = typer.Typer(
    name="mira-nb",
    help="From paired single-cell RNA and ATAC counts to a finished MIRA analysis in one HTML report.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# the embedded set is a panel of 900 genes: against all genes of a genome every set of it would look enriched
DEMO_PARAMETERS = {"enrichment": {"background": "modelled"}}


def _version(value: bool) -> None:
    if value:
        from mira_nb.version import __version__

        typer.echo(f"mira-nb {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Analyse one paired multiome experiment by the MIRA method."""


@app.command()
@reports_errors
@takes(Given)
def run(
    out: Annotated[Path, typer.Option("--out", help="Run folder, new or from an earlier run.", metavar="DIR")],
    given: Given,
    params: ParamsFile = None,
    sets: Sets = None,
    until: Until = None,
    seed: Seed = 0,
    title: Title = "",
    compute: Compute = None,
    batch_file: BatchFile = None,
) -> None:
    """Run every stage whose inputs, parameters or code changed, and build the report."""
    from mira_nb.run.pipeline import RunRequest, run_pipeline

    values = collect_parameters(params, sets or [])
    if batch_file is not None:
        options = {**vars(given), "params": values, "until": until, "seed": seed, "title": title}
        _interruptible(lambda: run_many(batch_file, out, options, compute=compute, sink=_print_progress))
        return
    request = RunRequest(
        spec=given.spec(),
        resources=given.resources(_print_progress),
        out=out,
        parameters=values,
        until=until,
        seed=seed,
        title=title,
        compute=compute,
    )
    _finish(_interruptible(lambda: run_pipeline(request, sink=_print_progress)))


@app.command()
@reports_errors
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for data and run.", metavar="DIR")] = Path("mira-nb-demo"),
    size: Annotated[Literal["default", "small"], typer.Option("--size", help="default or small.")] = "default",
    sampling: Annotated[
        Literal["even", "late", "bursts"],
        typer.Option("--sampling", help="Cells over time and lineages: even, late or in bursts."),
    ] = "even",
    sets: Sets = None,
    until: Until = None,
    seed: Seed = 0,
    compute: Compute = None,
) -> None:
    """Run the whole pipeline on the embedded simulated data set; writes DIR/report.html."""
    from mira_nb.datasets.write import write_demo
    from mira_nb.run.pipeline import RunRequest, run_pipeline

    _prepare_demo_folder(out)
    files = write_demo(out / "data", size=size, seed=seed, sampling=sampling)
    request = RunRequest(
        spec=files.spec,
        resources=files.resources,
        out=out,
        parameters=_over(DEMO_PARAMETERS, collect_parameters(None, sets or [])),
        until=until,
        seed=seed,
        title="Simulated differentiation (embedded data)",
        compute=compute,
    )
    _finish(_interruptible(lambda: run_pipeline(request, sink=_print_progress)))


@app.command()
@reports_errors
@takes(Given)
def check(
    given: Given,
) -> None:
    """Report what was found, what can run, and what each missing resource would unlock; runs nothing."""
    from mira_nb.run.inputs import check_run

    found = check_run(given.spec(), given.resources(_print_progress))
    typer.echo(printable(found.render()))
    if found.problems:
        fail("\n".join(found.problems), 2)


@app.command()
@reports_errors
def project(
    onto: Annotated[Path, typer.Option("--onto", help="Run folder of the reference.", metavar="RUN")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.", metavar="DIR")],
    rna: Rna = None,
    atac: Atac = None,
    mudata: Mudata = None,
    tenx: Tenx = None,
    layer: Layer = None,
    pair_by: PairBy = None,
    label_column: Annotated[
        str | None,
        typer.Option("--label-column", help="Annotation to transfer; default: groups or clusters.", metavar="COLUMN"),
    ] = None,
    neighbors: Annotated[
        int | None, typer.Option("--neighbors", help="Reference neighbours; default: the run's.", min=1)
    ] = None,
) -> None:
    """Map new cells into the topics and the joint space of a finished run, and transfer its labels."""
    from mira_nb.run.project import notes, project_files

    spec = input_spec(rna, atac, mudata, tenx, layer, pair_by)
    found = project_files(spec, onto, out, column=label_column, n_neighbors=neighbors)
    for note in notes(found):
        typer.echo(note, err=True)
    typer.echo(out / "projection.html")


@app.command()
@reports_errors
def report(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Run folder.")]) -> None:
    """Build report.html again from the run folder."""
    from mira_nb.run.outputs import write_report

    typer.echo(write_report(folder))


app.command()(reports_errors(compare))


@app.command()
@reports_errors
def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    to: Annotated[
        Literal["cellxgene", "scanpy", "seurat", "loupe", "bigwig", "bed", "figures"],
        typer.Option("--to", help="Format of the files."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.", metavar="DIR")],
    terms: Annotated[
        Path | None, typer.Option("--terms", help="cellxgene: YAML of ontology terms.", metavar="FILE")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", help="bigwig: a cell annotation, or topics; default: the run's groups.", metavar="COLUMN"),
    ] = None,
    chrom_sizes: Annotated[
        Path | None, typer.Option("--chrom-sizes", help="bigwig: lengths of chromosomes.", metavar="FILE")
    ] = None,
    min_weight: Annotated[
        float, typer.Option("--min-weight", help="bed: smallest link, of its gene's largest.", min=0, max=1)
    ] = 0.05,
    size: Annotated[
        Literal["page", "slide"], typer.Option("--size", help="figures: for a page, or 16:9 with larger type.")
    ] = "page",
) -> None:
    """Write results of a run for other tools, or all its figures as SVG, PNG and PDF."""
    from mira_nb.export.run import ExportOptions, export_run

    options = ExportOptions(terms=terms, by=by, chrom_sizes=chrom_sizes, min_weight=min_weight, size=size)
    done = export_run(folder, to=to, out=out, options=options)
    for note in done.notes:
        typer.echo(f"warning: {note}", err=True)
    for path in done.files:
        typer.echo(path)


@app.command()
@reports_errors
def dashboard(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Run folder, or a folder of runs; default: the current one.")
    ] = Path(),
    port: Annotated[int | None, typer.Option("--port", help="Port; default: a free one.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.", metavar="HOST")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", help="Name by which a reverse proxy addresses the server; repeatable.", metavar="NAME"
        ),
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option("--root", help="Folder of data and runs that the start page offers; default: DIR.", metavar="DIR"),
    ] = None,
) -> None:
    """Serve start page and panels with Voila, by default to this machine only; prints the address with its token."""
    from mira_nb.panels.serve import serve

    serve(folder, port=port, host=host, root=base, open_browser=browser, names=allow_host or ())


@app.command()
@reports_errors
def parameters(
    stage: Annotated[str | None, typer.Argument(metavar="STAGE", help="A stage; default: all.")] = None,
) -> None:
    """List the parameters of a stage: default, unit, bounds and meaning; set them with --set STAGE.NAME=VALUE."""
    from mira_nb.run.listing import parameter_listing

    typer.echo(parameter_listing(stage))


app.registered_commands += share.registered_commands


def _over(below: Mapping[str, Mapping[str, Any]], values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return parameters by stage and name, `values` winning over those below."""
    return {stage: {**below.get(stage, {}), **values.get(stage, {})} for stage in {**below, **values}}


def _prepare_demo_folder(out: Path) -> None:
    """Refuse a folder that holds something else: the demo writes its data beside the run."""
    if out.is_file() or (out.exists() and any(out.iterdir()) and not (out / "data").exists()):
        raise refusal(ParameterError, "demo_folder", out=out)
    (out / "cache").mkdir(parents=True, exist_ok=True)


def _interruptible(action: Callable[[], T]) -> T:
    """Handle a termination signal like Ctrl-C, so that kernels are ended properly."""

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # a run under nohup ignores SIGHUP, and goes on doing so
    ends = [number for name in names if signal.getsignal(number := getattr(signal, name)) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in ends}
    try:
        return action()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_progress(stage: str, fraction: float, message: str, remaining: float) -> None:
    left = f", about {remaining:.0f} s left" if remaining >= 0 else ""
    line = f"{stage:12s} {fraction:4.0%}  {message}{left}"
    if sys.stderr.isatty():
        with suppress(OSError):
            typer.echo(f"\r\x1b[2K{printable(line)}", err=True, nl=fraction >= 1)
    else:
        say(line)


def _finish(outcome: RunOutcome) -> None:
    """Report what happened; exit status 1 when a stage failed."""
    for name, status in outcome.statuses.items():
        state = "done" if status == "done" and name in outcome.computed else status
        if status == "done" and name not in outcome.computed:
            state = "unchanged"
        reason = outcome.reasons.get(name, "")
        say(f"{name:12s} {state}{': ' + reason if reason else ''}")
    if outcome.report is not None:
        with suppress(OSError):
            typer.echo(printable(str(outcome.report)))
    if outcome.failed:
        fail(message("run_failed", names=outcome.failed), 1)


def main() -> None:
    """Run the command line."""
    use_utf8()
    open_streams()
    quieten_hdf5()
    try:
        typer.main.get_command(app)()  # app() would put its own hook for errors in the place of ours
    except SystemExit as ended:
        if isinstance(ended.__context__, Refused):
            end_at_once(int(ended.code or 0))
        raise

"""``mira-nb export``: one run, one format, one folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from mira_nb.errors import ParameterError, StoreError

from . import cells, cellxgene, figures, tracks
from .messages import refusal
from .values import RunValues
from .whole import move

Format = Literal["cellxgene", "scanpy", "seurat", "loupe", "bigwig", "bed", "figures"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)


@dataclass(frozen=True)
class ExportOptions:
    """What some of the formats take.

    Attributes
    ----------
    terms
        Ontology terms (cellxgene).
    by
        Cell annotation or ``topics`` (bigwig).
    chrom_sizes
        Lengths of chromosomes (bigwig).
    min_weight
        Smallest link, as a fraction of its gene's largest (bed).
    size
        For a page or for slides (figures).
    """

    terms: Path | None = None
    by: str | None = None
    chrom_sizes: Path | None = None
    min_weight: float = 0.05
    size: figures.Size = "page"


@dataclass(frozen=True)
class Exported:
    """Files that were written, and what the reader must know about them."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def export_run(run: Path, *, to: str, out: Path, options: ExportOptions | None = None) -> Exported:
    """Write the results of a run in the format of another tool.

    Files of the same name in `out` are replaced, each in one step, once all could be written; others stay.

    Raises
    ------
    ParameterError
        For an unknown format, a folder without results (without figures), or `out` that is a file or a run folder.
    StoreError
        When a file of the run was changed since the run wrote it, or cannot be read.
    """
    options = options or ExportOptions()
    if to not in FORMATS:
        raise refusal(ParameterError, "format_unknown", to=to, known=FORMATS)
    if (out / "run.json").exists():
        raise refusal(ParameterError, "folder_of_run", out=out)
    write = _writer(run, to, options)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(out, error) from error
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as work:
            notes = write(Path(work))
            if to in {"bigwig", "bed"}:
                tracks.write_session(Path(work), out)
            files = tuple(move(Path(work).iterdir(), out))
    except OSError as error:
        place = Path(error.filename).resolve() if isinstance(error.filename, str) else out.resolve()
        if place.is_relative_to(run.resolve()) and not place.is_relative_to(out.resolve()):
            raise refusal(StoreError, "source_unreadable", file=place, reason=error.strerror or str(error)) from error
        raise _not_writable(out, error) from error
    return Exported(files, tuple(notes))


def _not_writable(out: Path, error: OSError) -> ParameterError:
    return refusal(ParameterError, "folder_not_writable", out=out, reason=error.strerror or str(error))


def _writer(run: Path, to: str, options: ExportOptions) -> Callable[[Path], list[str]]:
    """Return what writes the files of a format into a folder; figures need no results beside themselves."""
    if to == "figures":
        return lambda folder: figures.write_figures(run, folder, size=options.size)
    values = RunValues.load(run)
    writers: dict[str, Callable[[Path], list[str]]] = {
        "cellxgene": lambda folder: cellxgene.write_cellxgene(values, folder, terms=options.terms),
        "scanpy": lambda folder: cells.write_scanpy(values, folder),
        "seurat": lambda folder: cells.write_seurat(values, folder),
        "loupe": lambda folder: cells.write_loupe(values, folder),
        "bigwig": lambda folder: tracks.write_bigwig(values, folder, by=options.by, chrom_sizes=options.chrom_sizes),
        "bed": lambda folder: tracks.write_bed(values, folder, min_weight=options.min_weight),
    }
    return writers[to]

"""The user's resource files and annotations that accompany the two count matrices."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from mira_nb.errors import ResourceError

from .files import check_file


def option_name(name: str) -> str:
    """Return the command line option of a resource, e.g. ``--gene-sets``."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True)
class Resources:
    """Resources and annotations given with the counts; every field is optional.

    Attributes
    ----------
    tss
        Transcription start sites: BED, TSV or GTF.
    genome
        Genome sequence, FASTA, plain or gzipped.
    motifs
        Motif matrices: JASPAR, MEME or TRANSFAC.
    gene_sets
        GMT files.
    motif_hits
        .h5ad of precomputed hits: obs = peaks, var = factors with columns ``id`` and ``name``; or a table of peaks and
        factors; or sites, as BED with the factor in the fourth column or as FIMO's table.
    blacklist
        BED of regions whose signal is an artefact; `check` counts the peaks in them.
    fragments
        Fragments of the cells (``fragments.tsv.gz``): measures of quality, and a recount of the peaks.
    groups
        Cell annotation (obs column) to compare and colour by.
    start_cell
        Name of the cell where the differentiation begins.
    batch
        Cell annotation (obs column) with the batch or sample (animal, donor): shown, and tested over by comparisons.
    labels
        Table that merges and names clusters of the joint graph: columns ``cluster`` and ``label``.
    subset
        Cells to analyse, ``COLUMN=VALUE,...``: topics are learned from all cells, everything after them from these.
    """

    tss: Path | None = None
    genome: Path | None = None
    motifs: Path | None = None
    gene_sets: tuple[Path, ...] = ()
    motif_hits: Path | None = None
    blacklist: Path | None = None
    fragments: Path | None = None
    groups: str | None = None
    start_cell: str | None = None
    batch: str | None = None
    labels: Path | None = None
    subset: str | None = None

    def has(self, name: str) -> bool:
        """Return whether the resource called `name` was given."""
        return bool(getattr(self, name))

    def files(self, name: str) -> tuple[Path, ...]:
        """Return all files of one resource (none for annotations that are not files)."""
        value = getattr(self, name)
        if isinstance(value, tuple):
            return value
        return (value,) if isinstance(value, Path) else ()

    def require_files(self, name: str) -> None:
        """Refuse a missing, empty or unreadable file of one resource, or a folder in its place."""
        for path in self.files(name):
            check_file(path, option=option_name(name), error=ResourceError)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, absolute paths as text."""
        out: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, tuple):
                out[item.name] = [str(path.resolve()) for path in value]
            else:
                out[item.name] = str(value.resolve()) if isinstance(value, Path) else value
        return out

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Resources:
        """Invert :meth:`to_json`; unknown names are ignored for forward compatibility."""
        paths = {"tss", "genome", "motifs", "motif_hits", "blacklist", "fragments", "labels"}
        out: dict[str, Any] = {}
        for item in fields(cls):
            value = values.get(item.name)
            if value is None:
                continue
            if item.name == "gene_sets":
                out[item.name] = tuple(Path(path) for path in value)
            else:
                out[item.name] = Path(value) if item.name in paths else value
        return cls(**out)


FILES: Final = tuple(item.name for item in fields(Resources) if "Path" in str(item.type))
"""Resources that are files."""
ANNOTATIONS: Final = tuple(item.name for item in fields(Resources) if item.name not in FILES)
"""Resources that name a cell annotation or a cell."""

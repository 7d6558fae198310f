"""Resources by name: motifs of a JASPAR taxon and genomes of the UCSC, downloaded once and kept."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, Literal

from mira_nb.errors import ResourceError
from mira_nb.typing import Progress

from .fetch import Checksum, fetch
from .messages import refusal

JASPAR_RELEASE: Final = "2024"
JASPAR_TAXA: Final = ("vertebrates", "plants", "fungi", "insects", "nematodes", "urochordates")
_JASPAR: Final = "https://jaspar.elixir.no/download/data"
_UCSC: Final = "https://hgdownload.soe.ucsc.edu/goldenPath"


def local_file(
    value: Path, resource: Literal["motifs", "genome"], *, folder: Path | None = None, progress: Progress | None = None
) -> Path:
    """Return the file of a resource: a path as it is, ``jaspar:TAXON`` and ``ucsc:ASSEMBLY`` by download.

    Parameters
    ----------
    value
        A file, ``jaspar:vertebrates`` (motifs: CORE, non-redundant, one of ``JASPAR_TAXA``) or ``ucsc:mm10`` (genome:
        the gzipped FASTA of the assembly).
    resource
        What it is for.
    folder
        Cache; default as in :func:`.fetch.cache_folder`.
    progress
        Called with a fraction and a message while a file is downloaded.

    Returns
    -------
    Path
        A file on this machine.

    Raises
    ------
    ResourceError
        For a name that the source does not have.
    OfflineError
        When the file cannot be downloaded.

    Notes
    -----
    ``MIRA_NB_JASPAR`` and ``MIRA_NB_UCSC`` name mirrors of the two sources. The UCSC publishes MD5 sums, which are
    checked; JASPAR publishes none, so the first download's is kept and every later use is checked against it.
    """
    source, colon, name = str(value).partition(":")
    if not colon or value.exists() or source not in {"jaspar", "ucsc"}:
        return value
    expected = {"motifs": "jaspar", "genome": "ucsc"}[resource]
    if source != expected:
        raise refusal(
            ResourceError, "source_without_resource", resource=resource, value=value, source=source, sources=expected
        )
    return _jaspar(name, folder, progress) if source == "jaspar" else _genome(name, folder, progress)


def _jaspar(taxon: str, folder: Path | None, progress: Progress | None) -> Path:
    if taxon not in JASPAR_TAXA:
        raise refusal(ResourceError, "taxon_unknown", taxon=taxon, taxa=JASPAR_TAXA)
    base = os.environ.get("MIRA_NB_JASPAR", _JASPAR).rstrip("/")
    name = f"JASPAR{JASPAR_RELEASE}_CORE_{taxon}_non-redundant_pfms_jaspar.txt"
    return fetch(
        f"{base}/{JASPAR_RELEASE}/CORE/{name}",
        checksum=None,
        alternative="download the matrices elsewhere and give the file with --motifs FILE.",
        folder=folder,
        progress=progress,
        largest=100_000_000,
        check=_no_matrices,
    )


def _no_matrices(path: Path) -> str:
    """Return what is wrong with a file that should hold matrices of JASPAR."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        first = next((line for line in lines if line.strip()), "").strip()
    return "" if first.startswith(">") else f"it begins with {first[:40]!r} instead of a matrix's name (>...)"


def _no_sums(path: Path) -> str:
    """Return what is wrong with a file that should hold MD5 sums."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return "" if re.search(r"^[0-9a-f]{32}\s+\S", text, re.MULTILINE) else "it holds no MD5 sums"


def _genome(assembly: str, folder: Path | None, progress: Progress | None) -> Path:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]+", assembly):
        raise refusal(ResourceError, "assembly_malformed", assembly=assembly)
    base = f"{os.environ.get('MIRA_NB_UCSC', _UCSC).rstrip('/')}/{assembly}/bigZips"
    alternative = "download the FASTA elsewhere and give it with --genome FILE.fa.gz."
    name = f"{assembly}.fa.gz"
    sums = fetch(
        f"{base}/md5sum.txt", checksum=None, alternative=alternative, folder=folder, largest=10_000_000, check=_no_sums
    )
    found = re.search(rf"^([0-9a-f]{{32}})\s+\*?{re.escape(name)}$", sums.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise refusal(
            ResourceError, "assembly_not_listed", assembly=assembly, sums=sums, file=name, alternative=alternative
        )
    return fetch(
        f"{base}/{name}",
        checksum=Checksum("md5", found[1]),
        alternative=alternative,
        folder=folder,
        progress=progress,
    )

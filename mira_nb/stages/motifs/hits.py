"""Motif hits in the peaks: called in their sequences, or read from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.core.motifs import UNIFORM, letter_frequencies, prepare_motifs, scan_sequences
from mira_nb.errors import ResourceError
from mira_nb.io.messages import Finding
from mira_nb.io.motif_names import factor_genes
from mira_nb.keys import ATAC, CHROM, END, RNA, START
from mira_nb.stages.base import Context
from mira_nb.stages.texts import Texts

if TYPE_CHECKING:
    from mudata import MuData

    from .params import MotifsParams

TEXTS = Texts(__package__)


@dataclass(frozen=True)
class FoundHits:
    """Hits of all motifs in all peaks.

    Attributes
    ----------
    hits
        0/1, (peaks, motifs) float32, over all peaks of the data.
    motifs
        One row per motif: id, name, label (unique), genes (";"-joined, as written in the data), in_expr, width (bp),
        hit_pvalue (NaN for given hits), n_hits.
    known
        Whether the peak's sequence or hits are known, (peaks,).
    scanned
        False for given hits.
    n_short
        Motifs too short to reach the requested p-value.
    findings
        What reading the files found.
    """

    hits: sparse.csr_matrix
    motifs: pd.DataFrame
    known: np.ndarray
    scanned: bool
    n_short: int
    findings: tuple[Finding, ...]


def describe_motifs(ids: Sequence[str], names: Sequence[str], genes: Sequence[str]) -> pd.DataFrame:
    """Return the table of motifs with unique labels and the genes of the data they stand for (case is ignored).

    ``in_expr`` is True when all genes of the motif's name are among the genes of the data.
    """
    known: dict[str, str] = {}
    for gene in genes:
        known.setdefault(str(gene).upper(), str(gene))
    counts = pd.Series(list(names)).value_counts()
    rows = []
    for identifier, name in zip(ids, names, strict=True):
        wanted = factor_genes(name)
        found = [known[gene] for gene in wanted if gene in known]
        label = name if counts[name] == 1 else f"{name} {identifier}"
        rows.append(
            {
                "id": str(identifier),
                "name": str(name),
                "label": label.replace("/", "-"),  # "/" separates groups in HDF5 files
                "genes": ";".join(found),
                "in_expr": bool(wanted) and len(found) == len(wanted),
            }
        )
    frame = pd.DataFrame(rows, columns=["id", "name", "label", "genes", "in_expr"])
    repeated = frame["label"].duplicated(keep=False)
    frame.loc[repeated, "label"] = frame.loc[repeated, "label"] + " " + frame.loc[repeated, "id"].str.replace("/", "-")
    frame.index = frame.index.astype(str)
    return frame


def find_hits(data: MuData, params: MotifsParams, context: Context) -> FoundHits:
    """Read the given hits, or call hits in the peaks' sequences.

    Raises
    ------
    ResourceError
        Neither hits nor a genome with motifs were given, or a file cannot be read.
    """
    peaks = data.mod[ATAC].var[[CHROM, START, END]]
    genes = [str(name) for name in data.mod[RNA].var_names]
    path = context.resources.motif_hits
    if path is not None:
        from mira_nb.io.motif_hits import read_motif_hits

        context.progress(0.05, "reading motif hits")
        given = read_motif_hits(path, peaks, genes)
        motifs = describe_motifs(list(given.factors["id"]), list(given.factors["name"]), genes)
        motifs["width"], motifs["hit_pvalue"] = -1, np.nan
        motifs["n_hits"] = np.asarray(given.hits.sum(axis=0), dtype=np.int64).ravel()
        return FoundHits(given.hits, motifs, given.known, False, 0, given.findings)
    return _scan(peaks, genes, params, context)


def _scan(peaks: pd.DataFrame, genes: list[str], params: MotifsParams, context: Context) -> FoundHits:
    from mira_nb.io.genome import read_sequences
    from mira_nb.io.motif_files import name_motifs, read_motifs

    resources = context.resources
    if resources.genome is None or resources.motifs is None:
        raise TEXTS.error(ResourceError, "nothing_to_scan")
    context.progress(0.02, "reading sequences")
    read = read_sequences(resources.genome, peaks, progress=lambda f, m: context.progress(0.02 + 0.18 * f, m))
    collection, named = name_motifs(read_motifs(resources.motifs), genes)
    context.progress(0.2, f"{len(collection)} motifs: thresholds")
    background = letter_frequencies(read.sequences) if params.letters == "peaks" else UNIFORM
    scan = prepare_motifs(
        [motif.counts for motif in collection],
        pvalue=params.pvalue,
        background=background,
        pseudocount=params.pseudocount,
    )
    hits = scan_sequences(
        scan,
        read.sequences,
        mapper=context.compute.map,
        progress=lambda f: context.progress(0.25 + 0.45 * f, f"scanning {len(peaks):,} peaks"),
    )
    motifs = describe_motifs([motif.id for motif in collection], [motif.name for motif in collection], genes)
    motifs["width"] = [motif.counts.shape[1] for motif in collection]
    motifs["hit_pvalue"] = scan.hit_pvalues
    motifs["n_hits"] = np.asarray(hits.sum(axis=0), dtype=np.int64).ravel()
    n_short = int((motifs["hit_pvalue"] > params.pvalue).sum())
    return FoundHits(hits, motifs, read.found, True, n_short, (*read.findings, *named))

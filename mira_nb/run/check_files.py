"""What resource files hold and how it fits the data, in words for ``mira-nb check``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from mudata import MuData

from mira_nb.chromosomes import match_chromosomes
from mira_nb.errors import ResourceError
from mira_nb.io.bed import read_bed
from mira_nb.io.cluster_labels import read_cluster_labels
from mira_nb.io.fragments import look_at_fragments
from mira_nb.io.gene_sets import match_gene_sets, name_gene_sets, read_gene_sets
from mira_nb.io.identifiers import likely_species
from mira_nb.io.messages import Finding, finding, refusal
from mira_nb.io.motif_files import name_motifs, read_motifs
from mira_nb.io.motif_hits import overlaps, read_motif_hits
from mira_nb.io.tss import read_tss
from mira_nb.io.tss_genes import NamedSites, name_sites
from mira_nb.keys import ATAC, CHROM, RNA
from mira_nb.stages.motifs.hits import describe_motifs

from .check_regions import check_genome_lengths, counts_in, read_lengths
from .messages import message

_FEW_CELLS: Final = 0.5
Reader = Callable[[Path, MuData], tuple[str, Sequence[Finding]]]


def _check_tss(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    table = read_tss(path)
    genes = data.mod[RNA].var_names
    named = name_sites(table, data.mod[RNA].var)
    findings = list(table.findings)
    if named.n_genes and named.how != "gene names of the file with the names of the genes of the data":
        findings.append(finding("tss_matched_otherwise", how=named.how))
    if named.n_spelt:
        findings.append(finding("tss_other_separators", n_genes=named.n_spelt))
    if named.scattered:
        gene, chromosomes = next(iter(named.scattered.items()))
        counts = {"n_genes": len(named.scattered), "n_found": named.n_genes}
        findings.append(finding("tss_on_several_chromosomes", gene=gene, chromosomes=chromosomes, **counts))
    findings += _check_species(genes, table.frame)
    peaks = data.mod[ATAC].var[CHROM].astype(str)
    findings += _check_chromosomes(table.frame["chrom"], peaks)
    if named.lost:
        findings.append(_lost_genes(named, genes, table.frame["gene"]))
    near = match_chromosomes(named.frame["chrom"], peaks).mapping
    on = named.frame["chrom"].isin(list(near))
    wanted = named.frame["gene"].isin(set(genes.astype(str)))
    alone = set(named.frame["gene"][wanted]) - set(named.frame["gene"][wanted & on])
    if alone and near:
        chroms = named.frame["chrom"][named.frame["gene"].isin(alone)].unique()
        findings.append(
            finding(
                "tss_without_peaks",
                n_genes=len(alone),
                example=sorted(alone)[0],
                chromosomes=list(map(str, chroms[:4])),
            )
        )
    summary = message(
        "check_tss",
        n_sites=len(table.frame),
        n_genes=table.frame["gene"].nunique(),
        n_found=named.n_genes,
        n_of_data=len(genes),
    )
    return summary, findings


def _lost_genes(named: NamedSites, genes: pd.Index, theirs: pd.Series) -> Finding:
    """Report why genes of the data have no start site; a warning when these are most of them."""
    reasons = [f"{n:,} {reason}, e.g. {gene}" for reason, (n, gene) in named.reasons().items()]
    if named.n_genes < 0.5 * len(genes):
        shown = {"genes": genes[:3], "sites": theirs.unique()[:3]}
        return finding("few_genes_with_tss", n_found=named.n_genes, n_genes=len(genes), reasons=reasons, **shown)
    return finding("genes_without_tss", n_lost=len(named.lost), n_genes=len(genes), reasons=reasons)


def _check_species(genes: pd.Index, sites: pd.DataFrame) -> list[Finding]:
    """Warn where the names of the genes look like those of another species than the names in the file."""
    ours, theirs = likely_species(genes), likely_species(sites["gene"]) or likely_species(sites["gene_id"])
    if not ours or not theirs or ours == theirs:
        return []
    return [finding("tss_of_other_species", ours=ours, gene=genes[0], theirs=theirs, site=sites["gene"].iloc[0])]


def _check_chromosomes(theirs: pd.Series, ours: pd.Series) -> list[Finding]:
    """Report chromosomes of the peaks that the TSS file does not have, with those of both sides."""
    matched = match_chromosomes(ours, theirs).mapping
    lost = ours[~ours.isin(list(matched))]
    if matched and len(lost) <= 0.05 * len(ours):
        return []
    names = {"peaks": lost.unique()[:4], "sites": theirs.unique()[:4]}
    if not matched:
        return [finding("tss_without_shared_chromosome", **names)]
    return [finding("peaks_without_tss_chromosome", n_lost=len(lost), n_peaks=len(ours), **names)]


def _check_genome(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    lengths = read_lengths(path)
    names = [name for name, _ in lengths]
    chrom = data.mod[ATAC].var[CHROM].astype(str)
    translated = match_chromosomes(chrom, names).mapping
    if not translated:
        shown = {"peaks": ", ".join(chrom.unique()[:3]), "genome": ", ".join(names[:3])}
        raise refusal(ResourceError, "genome_without_shared_chromosome", path=path, **shown)
    n_in = int(chrom.isin(list(translated)).sum())
    summary = message("check_genome", n_sequences=len(names), n_inside=n_in, n_peaks=len(chrom))
    return summary, check_genome_lengths(lengths, data.mod[ATAC].var)


def _check_motifs(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    genes = [str(gene) for gene in data.mod[RNA].var_names]
    motifs, findings = name_motifs(read_motifs(path), genes)
    n_in, more = _factors_in([motif.id for motif in motifs], [motif.name for motif in motifs], genes)
    if not n_in:
        more = [finding("motifs_not_genes", names=[motif.name for motif in motifs[:3]])]
    return message("check_motifs", n_motifs=len(motifs), n_known=n_in), [*findings, *more]


def _factors_in(ids: Sequence[str], names: Sequence[str], genes: Sequence[str]) -> tuple[int, list[Finding]]:
    """Count motifs or factors that are genes of the data, and report those that are not."""
    described = describe_motifs(ids, names, genes)
    strange = described["name"][described["genes"] == ""]
    shown = {"n_strange": len(strange), "n_factors": len(described), "names": list(strange.unique()[:3])}
    return len(described) - len(strange), [finding("factors_not_genes", **shown)] if len(strange) else []


def _check_gene_sets(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    sets = name_gene_sets(read_gene_sets(path, data.mod[RNA].var), data.mod[RNA].var)
    matched = match_gene_sets(sets, [str(gene) for gene in data.mod[RNA].var_names])
    summary = message(
        "check_gene_sets", n_sets=len(sets.sets), n_matched=matched.n_matched, n_symbols=matched.n_symbols
    )
    return summary, (*sets.findings, *matched.findings)


def _check_hits(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    genes = [str(gene) for gene in data.mod[RNA].var_names]
    hits = read_motif_hits(path, data.mod[ATAC].var, genes)
    n_in, more = _factors_in(list(hits.factors["id"]), list(hits.factors["name"]), genes)
    if not n_in:
        more = [finding("hits_not_genes", names=list(hits.factors["name"][:3]))]
    summary = message("check_hits", n_hits=hits.hits.nnz, n_factors=len(hits.factors), n_known=n_in)
    return summary, [*hits.findings, *more]


def _check_labels(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    table = read_cluster_labels(path)
    return message("check_labels", n_clusters=len(table.labels), names=list(table.names)), ()


def _check_blacklist(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    regions = read_bed(path, option="--blacklist")
    inside = overlaps(data.mod[ATAC].var, regions)
    share = counts_in(data.mod[ATAC].X, inside)
    n = f"{int(inside.sum()):,} of {len(inside):,}"
    summary = message("check_blacklist", n_regions=len(regions), inside=n, fraction=share)
    if not match_chromosomes(data.mod[ATAC].var[CHROM], regions[CHROM]).mapping:
        return summary, [finding("blacklist_without_shared_chromosome", regions=regions[CHROM].unique()[:4])]
    if inside.any():
        return summary, [
            finding("peaks_in_blacklist", inside=n, example=data.mod[ATAC].var_names[np.flatnonzero(inside)[0]])
        ]
    return summary, ()


def _check_fragments(path: Path, data: MuData) -> tuple[str, Sequence[Finding]]:
    head = look_at_fragments(path, [str(name) for name in data.obs_names])
    chrom = data.mod[ATAC].var[CHROM].astype(str)
    findings = [finding("fragments_left_out", **head.left_out.values())] if head.left_out.n else []
    if not match_chromosomes(head.chroms, chrom.unique()).mapping:
        findings.append(
            finding("fragments_no_chromosome", theirs=list(head.chroms[:4]), ours=list(map(str, chrom.unique()[:4])))
        )
    if head.absent:
        findings.append(
            finding(
                "fragments_of_some_samples",
                n_out=sum(head.absent.values()),
                n_all=data.n_obs,
                samples=list(head.absent),
                barcodes=list(head.barcodes),
            )
        )
    if head.unclear:
        findings.append(finding("fragments_samples_unclear", samples=list(head.unclear), barcodes=list(head.barcodes)))
    if head.n_cells < _FEW_CELLS * (data.n_obs - sum(head.absent.values())):
        findings.append(
            finding(
                "fragments_of_few_cells",
                n_cells=head.n_cells,
                n_all=data.n_obs,
                n_rows=head.n_rows,
                barcodes=list(head.barcodes),
                cells=list(map(str, data.obs_names[:3])),
            )
        )
    found = {"n_cells": head.n_cells, "n_all": data.n_obs, "n_rows": head.n_rows, "rule": head.rule}
    return message("check_fragments", **found), findings


READERS: Final[Mapping[str, Reader]] = {
    "tss": _check_tss,
    "genome": _check_genome,
    "motifs": _check_motifs,
    "gene_sets": _check_gene_sets,
    "motif_hits": _check_hits,
    "blacklist": _check_blacklist,
    "fragments": _check_fragments,
    "labels": _check_labels,
}
"""What reads each resource that is a file."""

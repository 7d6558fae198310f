"""Transcripts of GTF and GFF3 files: rows of transcripts of any type, else their exons, else their genes."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from .intervals import is_whole, whole_number

_GENES: Final = re.compile(r"gene$|^pseudogene$")
# types of rows that are parts of transcripts or no genes at all
_PARTS: Final = re.compile(
    r"(?i)^(exon|cds|.*utr.*|.*codon.*|selenocysteine|intron|region|chromosome|scaffold|supercontig|contig|match.*|"
    r".*_match|biological_region|sequence_feature|enhancer|silencer|protein_binding_site|.*repeat.*|sequence_.*|"
    r".*_region|.*_site|origin_of_replication|d_loop|mobile_genetic_element|transcriptional_.*)$"
)
_KEYS: Final = re.compile(r'(?:^|;)\s*([A-Za-z_.]+)[ =]+"?([^";]*)"?')
Row = tuple[str, str, str, str, str, str]  # chrom, start, end, strand, gene, gene identifier
Place = tuple[str, int, int, str]


def exon_text(blocks: Iterable[tuple[int, int]]) -> str:
    """Return exons, 0-based and half-open, as ``start-end,start-end`` in ascending order, each once."""
    return ",".join(f"{start}-{end}" for start, end in sorted(set(blocks)))


@dataclass
class _Gene:
    name: str
    identifier: str
    place: Place


@dataclass
class _Found:
    genes: dict[str, _Gene] = field(default_factory=dict)  # by the identifier that rows of transcripts name
    transcripts: dict[str, tuple[Place, str, str, str]] = field(default_factory=dict)  # place, parent, name, gene id
    exons: dict[str, tuple[Place, str, str, str]] = field(default_factory=dict)
    blocks: dict[str, array[int]] = field(default_factory=dict)  # starts and ends of exons in turn, by transcript
    parents: dict[str, str] = field(default_factory=dict)  # key of `blocks` by key of `exons` where it is another
    chromosomes: dict[str, str] = field(default_factory=dict)
    n_bad: int = 0


def looks_like_gff(fields: list[str]) -> bool:
    """Return whether a row has the nine columns of GTF or GFF3."""
    return len(fields) >= 9 and fields[6] in "+-.?" and is_whole(fields[3]) and is_whole(fields[4])


def parse_gff(lines: Iterable[str]) -> tuple[list[Row], int, int, list[str]]:
    """Return one row per transcript (0-based, half-open), numbers of rows considered and unusable, and the exons.

    Genes whose transcripts are not in the file are represented by their own row. Transcripts of files of exons reach
    from their first to their last exon. Chromosomes are named as NCBI's ``region`` rows translate them.
    """
    found = _Found()
    for number, line in enumerate(lines):
        if not line.startswith("#"):
            _take(line.split("\t"), number, found)
    # what lies within a transcript, as mature miRNAs do, begins where it is cut out
    own = {
        key: found.transcripts[key] for key in found.transcripts if found.transcripts[key][1] not in found.transcripts
    }
    transcripts = own or found.exons
    rows: list[Row] = []
    exons: list[str] = []
    served: set[str] = set()
    for key, (place, parent, name, identifier) in transcripts.items():
        gene = found.genes.get(parent) or (None if name else found.genes.get(identifier))
        label = name or (gene.name if gene else identifier)
        stable = identifier or (gene.identifier if gene else "")
        if not label:
            found.n_bad += 1
            continue
        served.update((label, parent))
        rows.append(_row(place, label, stable, found))
        exons.append(_exons(found, key, place))
    for key, gene in found.genes.items():
        if gene.name not in served and key not in served:
            rows.append(_row(gene.place, gene.name, gene.identifier, found))
            exons.append("")
    return rows, len(rows) + found.n_bad, found.n_bad, exons


def _exons(found: _Found, transcript: str, place: Place) -> str:
    """Return the exons of a transcript; copies elsewhere that have its identifier are left out.

    The second of two transcripts of one identifier is kept as ``identifier number``.
    """
    key = found.parents.get(transcript, transcript)
    ends = found.blocks.get(key) or found.blocks.get(key.rpartition(" ")[0]) or array("q")
    return exon_text((a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if place[1] <= a and b <= place[2])


def _row(place: Place, gene: str, identifier: str, found: _Found) -> Row:
    chrom = found.chromosomes.get(place[0], place[0])
    return chrom, str(place[1]), str(place[2]), place[3], gene, identifier


def _take(fields: list[str], number: int, found: _Found) -> None:
    try:
        place = (fields[0], whole_number(fields[3]) - 1, whole_number(fields[4]), fields[6])
        kind, values = fields[2], {key: value.strip() for key, value in _KEYS.findall(fields[8])}
    except (IndexError, ValueError):
        found.n_bad += 1
        return
    if kind == "region" and values.get("chromosome", "Unknown") != "Unknown" and values.get("genome") == "chromosome":
        found.chromosomes[fields[0]] = values["chromosome"]
    name = values.get("gene_name") or values.get("gene") or values.get("gene_symbol") or ""
    identifier = values.get("gene_id") or ""
    own, parent = values.get("ID", ""), values.get("Parent", "")
    if _GENES.search(kind) and not parent:
        label = name or values.get("Name") or identifier or own
        stable = identifier or own.removeprefix("gene:").removeprefix("gene-")
        if label:
            key = own or (identifier if identifier not in found.genes else f"{identifier} {label}") or label
            found.genes[key] = _Gene(label, stable, place)
    elif kind.lower() == "exon":
        transcript, block = values.get("transcript_id") or parent or identifier or name or f"row {number}", place[1:3]
        before = found.exons.get(transcript)
        if before is not None and before[0][0] == place[0]:
            place = (place[0], min(before[0][1], place[1]), max(before[0][2], place[2]), place[3])
        found.exons[transcript] = (place, "", name, identifier)
        for key in (parent or transcript).split(","):
            found.blocks.setdefault(key, array("q")).extend(block)
        if parent and parent != transcript:
            found.parents[transcript] = parent.partition(",")[0]
    elif not _PARTS.match(kind):
        key = own or values.get("transcript_id") or f"row {number}"
        # two copies in the pseudoautosomal regions have one identifier
        key = key if key not in found.transcripts else f"{key} {number}"
        found.transcripts[key] = (place, parent, name, identifier)

"""The explorer for the page: columns of the cells at once, values of genes and motifs in the room that is left."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import yaml
from markupsafe import Markup

from mira_nb.charts import packed
from mira_nb.counts import PER_CELL
from mira_nb.errors import StoreError
from mira_nb.keys import MOTIFS, PSEUDOTIME, REGULATION, TRAJECTORY
from mira_nb.report import embed
from mira_nb.report.colors import Palette
from mira_nb.report.figures import Archive, with_reference
from mira_nb.report.findings.cards import called_drivers
from mira_nb.report.findings.facts import Facts, number
from mira_nb.report.names import named, topic_names
from mira_nb.sentences import fill

from . import packing
from .coverage import REACH
from .locus import PROMOTER_BP, Loci, read_loci
from .source import CellColumn, Source, first_groupings, is_number, labels, read_source, results

PAGE_LIMIT: Final = 9_400_000
"""Bytes that the whole page may take; genes and motifs fill what the rest leaves."""

LEAST_ROOM: Final = 500_000
"""Bytes for genes and motifs in a page that is larger than the limit without them."""

MOTIF_PART: Final = 0.25
"""Part of the room that motifs may take from genes."""

FILE: Final = "values.mnv"
"""File in the run folder with all genes and motifs, written where the page does not hold them all."""

DEPTH: Final = "RNA counts of the cell"


@dataclass(frozen=True)
class Explorer:
    """What the template shows of the explorer.

    Attributes
    ----------
    reason
        Why there is none ('' where there is one).
    notes
        What was sampled or left out.
    blocks
        Data for the page's scripts.
    file
        Content of :data:`FILE`; empty where the page holds everything.
    left_out
        Names of the genes that are not in the page.
    genes, topics
        Names that the explorer can be sent to.
    loci
        The loci in the page; None where there are none.
    doubts
        What the verdicts on the trajectory say against curves along pseudotime.
    """

    reason: str = ""
    notes: tuple[str, ...] = ()
    blocks: tuple[Markup, ...] = ()
    file: bytes = b""
    left_out: tuple[str, ...] = ()
    genes: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()

    loci: Loci | None = None
    doubts: str = ""

    @property
    def captions(self) -> dict[str, str]:
        """Return the caption of each view."""
        found = {name: _words("captions", name, **locus_parts(self.loci)) for name in _texts()["captions"]}
        return {**found, "courses": f"{self.doubts} {found['courses']}".strip()}


@dataclass
class Preparation:
    """The explorer before it is known how much room there is for values."""

    source: Source | None
    reason: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    genes: packing.ValueSet | None = None
    motifs: packing.ValueSet | None = None
    loci: Loci | None = None
    doubts: str = ""

    def finish(self, rest: int) -> Explorer:
        """Put as many genes and motifs into the page as it has room for, beside a rest of so many bytes."""
        source, genes, motifs = self.source, self.genes, self.motifs
        if source is None or genes is None or motifs is None:
            return Explorer(reason=self.reason)
        room = int(max(PAGE_LIMIT - rest, LEAST_ROOM) * 3 / 4)  # base64 makes four bytes of three
        room = max(room - (self.loci.n_bytes if self.loci else 0), 0)
        some_motifs = motifs.first(int(room * MOTIF_PART))
        some_genes = genes.first(room - sum(map(len, some_motifs.chunks)))
        some_motifs = motifs.first(room - sum(map(len, some_genes.chunks)))  # more of them where genes leave room
        sets = (some_genes, some_motifs)
        left_out = genes.features[len(some_genes.features) :]
        whole = not left_out and len(some_motifs.features) == len(motifs.features)
        n_cells, cells = len(source.barcodes), source.cells
        chunks = [chunk for item in sets for chunk in item.chunks]
        payload = {**self.payload, "left_out": list(left_out), "start": _start(some_genes, self.payload)}
        return Explorer(
            notes=tuple(_notes(source, some_genes, genes, some_motifs, motifs, self.loci)),
            blocks=(
                embed.json_block("explore-data", payload),
                embed.json_block("explore-values", packing.header(sets, n_cells=n_cells, cells=cells)),
                *(embed.base64_block(f"values-{number}", chunk) for number, chunk in enumerate(chunks)),
                *_locus_blocks(self.loci),
            ),
            file=b"" if whole else packing.to_file((genes, motifs), n_cells=n_cells, cells=cells),
            left_out=tuple(left_out),
            genes=frozenset(some_genes.features),
            topics=frozenset(item["name"] for item in payload["features"] if item["kind"] == "topic"),
            loci=self.loci,
            doubts=self.doubts,
        )


def pseudotime_doubts(facts: Facts) -> str:
    """Return what the verdicts on the trajectory say against curves along pseudotime; '' for nothing.

    Pseudotime is there to be drawn also where no lineages are, so that their verdicts alone would not be seen.
    """
    against = {"trajectory": "not supported", "direction": "not established"}
    return " ".join(
        _words("doubts", subject) for subject, verdict in against.items() if facts.verdicts.get(subject) == verdict
    )


def prepare(facts: Facts, palette: Palette, archive: Archive) -> Preparation:
    """Read and pack what the explorer shows; columns of the cells go into the page's archive.

    Parameters
    ----------
    facts
        The run folder.
    palette
        Colours of its groups and states.
    archive
        Data of the page.
    """
    try:
        return _prepared(facts, palette, archive)
    except StoreError as error:
        return Preparation(None, reason=_words("reasons", "missing", reason=str(error).splitlines()[0]))


def _prepared(facts: Facts, palette: Palette, archive: Archive) -> Preparation:
    source = read_source(facts.run.root)
    order = np.argsort(-source.variability(), kind="stable")
    genes = packing.pack_counts("genes", source.counts[:, order], [source.genes[i] for i in order])
    by_use = motif_order(facts, source.motifs)
    motifs = packing.pack_levels("motifs", source.motif_scores[:, by_use], [source.motifs[i] for i in by_use])
    payload = _payload(source, facts, palette, archive)
    factors = [
        row["factor"] for row in sorted(called_drivers(facts), key=lambda row: -(number(row["effect_size"]) or 0))
    ]
    with results(facts.run.root) as file:
        loci = read_loci(file, genes.features, next(iter(payload["groups"]), ""), factors)
    if loci is not None:
        loci.facts["promoter_bp"] = facts.parameter(REGULATION, "promoter_bp") or PROMOTER_BP
    payload["loci"] = None if loci is None else archive.add(embed.plain_json(loci.facts))
    payload["locus_reason"] = "" if loci else _words("reasons", "locus", reason=facts.reason(REGULATION))
    doubts = pseudotime_doubts(facts)
    return Preparation(source, payload=payload, genes=genes, motifs=motifs, loci=loci, doubts=doubts)


def _locus_blocks(loci: Loci | None) -> Iterator[Markup]:
    """Yield the header of the loci and their chunks."""
    if loci is None:
        return
    yield embed.json_block("explore-loci", packing.header(loci.sets, n_cells=loci.n_peaks, cells=""))
    chunks = (chunk for item in loci.sets for chunk in item.chunks)
    yield from (embed.base64_block(f"loci-{place}", chunk) for place, chunk in enumerate(chunks))
    if loci.coverage is not None:
        values = loci.coverage.values
        yield embed.json_block("explore-coverage", packing.header((values,), n_cells=loci.coverage.n_bins, cells=""))
        yield from (embed.base64_block(f"coverage-{place}", chunk) for place, chunk in enumerate(values.chunks))


def motif_order(facts: Facts, names: Sequence[str]) -> list[int]:
    """Return the motifs' places: called drivers first, then by their best test over topics, then as they stand."""
    called = {row["factor"] for row in called_drivers(facts)}
    best: dict[str, float] = {}
    for row in facts.rows(MOTIFS, "motif_enrichment"):
        value = number(row.get("pvalue"))
        if value is not None:
            best[row["factor"]] = min(value, best.get(row["factor"], 1.0))
    return sorted(range(len(names)), key=lambda i: (names[i] not in called, best.get(names[i], 1.0)))


def _payload(source: Source, facts: Facts, palette: Palette, archive: Archive) -> dict[str, Any]:
    frame = pd.DataFrame({"x": source.xy[:, 0], "y": source.xy[:, 1], DEPTH: source.depth.astype(np.int64)})
    kinds: dict[str, packed.Kind] = {}
    colors, features = {}, []
    names = topic_names(facts.run.root)
    for column in source.columns:
        name = _unused(column.name, frame)
        if is_number(column.values):
            frame[name] = column.values.to_numpy(dtype=np.float64, na_value=np.nan)
            if column.part != "column":
                kinds[name] = "u8"
        else:
            frame[name] = labels(column.values)
            colors[name] = palette.of([str(item) for item in frame[name].cat.categories])
        kind = column.part
        title = named(_title(column), names) if kind == "topic" else _title(column)
        features.append({"kind": kind, "name": column.name, "column": name, "title": title})
    features.append({"kind": "column", "name": DEPTH, "column": DEPTH, "title": DEPTH})
    dataset = packed.pack(frame, kinds=kinds)
    time = next((item for item in source.columns if item.name == PSEUDOTIME and is_number(item.values)), None)
    return {
        "dataset": {"n": dataset["n"], "columns": [with_reference(item, archive) for item in dataset["columns"]]},
        "features": features,
        "titles": {item["column"]: item["title"] for item in features},
        "colors": colors,
        "groups": group_order(list(colors), source, str((facts.run.record.get("resources") or {}).get("groups") or "")),
        "depth": DEPTH,
        "scale": PER_CELL,
        "barcodes": archive.add(embed.plain_json(list(source.barcodes))),
        "time": PSEUDOTIME if time else None,
        "time_reason": "" if time else _words("reasons", "time", reason=facts.reason(TRAJECTORY)),
        "lineages": _lineages(features, palette) if time else [],
    }


def group_order(names: list[str], source: Source, given: str) -> list[str]:
    """Return the label columns, the one to begin with first: lineage states, the given groups, clusters."""
    several = {item.name for item in source.columns if not is_number(item.values) and item.values.nunique() > 1}
    wanted = first_groupings(several, given)
    return [*(name for name in wanted if name in names), *(name for name in names if name not in wanted)]


def _lineages(features: list[dict[str, Any]], palette: Palette) -> list[dict[str, Any]]:
    """Return the lineages with the column of their probabilities; all cells are one where there are none."""
    fates = [item for item in features if item["kind"] == "fate"]
    if not fates:
        return [{"name": "all cells", "column": None, "color": "#0072B2"}]
    colors = palette.of([item["name"] for item in fates])
    return [{"name": item["name"], "column": item["column"], "color": colors[item["name"]]} for item in fates]


def _unused(name: str, frame: pd.DataFrame) -> str:
    """Return a column name that the frame does not have: a cell annotation may be called ``x`` or like a topic."""
    out = name
    while out in frame.columns:
        out += "'"
    return out


def _title(column: CellColumn) -> str:
    if column.part == "fate":
        return f"probability of {column.name}"
    return column_title(column.name)


def locus_parts(loci: Loci | None) -> dict[str, Any]:
    """Return what captions say of the locus view: whether there are gene models, exons and coverage, and its bins."""
    models = [] if loci is None else [row for rows in loci.facts.get("models", {}).values() for row in rows]
    width = loci.coverage.facts["width"] if loci is not None and loci.coverage is not None else 0
    return {"models": bool(models), "exons": any(row[-1] for row in models), "width": width, "reach": REACH}


def locus_caption(loci: Loci) -> str:
    """Return the caption of the locus view."""
    return _words("captions", "locus", **locus_parts(loci))


def column_title(name: str) -> str:
    """Return the readable name of a column of the cells."""
    return str(_texts()["titles"].get(name, name))


def _start(genes: packing.ValueSet, payload: dict[str, Any]) -> dict[str, str]:
    """Return what is shown first: the gene that varies most, else a column."""
    if genes.features:
        return {"kind": "gene", "name": genes.features[0]}
    first = payload["features"][0]
    return {"kind": first["kind"], "name": first["name"]}


def _notes(
    source: Source,
    genes: packing.ValueSet,
    all_genes: packing.ValueSet,
    motifs: packing.ValueSet,
    all_motifs: packing.ValueSet,
    loci: Loci | None,
) -> list[str]:
    out = []
    if len(source.barcodes) < source.n_all:
        out.append(_words("notes", "sampled", n=len(source.barcodes), n_all=source.n_all))
    for name, kept, known in (("genes", genes, all_genes), ("motifs", motifs, all_motifs)):
        if len(kept.features) < len(known.features):
            out.append(_words("notes", name, n_kept=len(kept.features), n_all=len(known.features)))
    if loci is not None and loci.n_left_out:
        out.append(_words("notes", "loci", n_kept=loci.n_genes, n_all=loci.n_genes + loci.n_left_out))
    return out


@cache
def _texts() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / "texts.yaml").read_text("utf-8"))
    return found


def _words(part: str, name: str, **values: Any) -> str:
    text = fill(_texts()[part][name], values)
    return re.sub(r"\s+", " ", text).strip().replace("..", ".")

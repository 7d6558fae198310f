"""What lies below the served root: runs with their state, files that a run can start from, and their probable roles."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mira_nb.errors import MiraError
from mira_nb.report.reader import read_record

from .job import JobController

DEPTH: Final = 3
"""Levels of folders below the root in which runs and files are looked for."""
MOST_ENTRIES: Final = 20_000
"""Folder entries that are looked at; a root larger than that is listed in part, and the page says so."""
MOST_RUNS: Final = 40
LABELS: Final = Path("explorer") / "labels.csv"
INPUT_ROLES: Final = ("rna", "atac", "mudata", "tenx", "obs")
FILE_ROLES: Final = (*INPUT_ROLES, "tss", "genome", "motifs", "gene_sets", "motif_hits", "fragments", "labels")
CHOSEN: Final = ("labels",)
"""Roles that are never guessed: a table of labels fits the clusters of one run."""

_ENDINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "rna": (".h5ad", ".h5"),
    "atac": (".h5ad", ".h5"),
    "mudata": (".h5mu",),
    "tenx": (".h5",),
    "obs": (".csv", ".tsv", ".txt"),
    "tss": (".bed", ".tsv", ".gtf", ".gff"),
    "genome": (".fa", ".fasta", ".fna"),
    "motifs": (".jaspar", ".meme", ".pfm", ".transfac"),
    "gene_sets": (".gmt",),
    "motif_hits": (".h5ad",),
    "fragments": (".tsv", ".bed"),
    "labels": (".csv", ".tsv", ".txt"),
}
"""Endings (before an optional .gz) that a role's files have."""
_WORDS: Final[Mapping[str, str]] = {
    "rna": r"rna|gex|gene|expr",
    "atac": r"atac|peak|access",
    "mudata": r"",
    "tenx": r"feature_bc_matrix|10x|tenx|arc",
    "obs": r"obs|meta|annot|cells?\b|barcode|label",
    "tss": r"tss|gene|gtf|refseq|gencode|ensembl",
    "genome": r"",
    "motifs": r"",
    "gene_sets": r"",
    "motif_hits": r"hit|motif|factor",
    "fragments": r"fragment",
    "labels": r"label",
}
"""Words in the name of a file by which its role is guessed; empty: the ending says it."""


@dataclass(frozen=True)
class RunSummary:
    """One run as the start page lists it."""

    path: Path
    name: str
    title: str
    state: str
    """``running``, ``finished``, ``failed`` or ``unfinished``."""
    detail: str
    facts: tuple[str, ...]
    updated: float


def listing(root: Path) -> tuple[list[Path], list[Path], bool]:
    """Return the run folders and the other files below a root, and whether all of it was looked at.

    Folders of runs, hidden ones and links are not entered.
    """
    runs, files, seen = [], [], 0
    for folder, names, entries in _walk(root):
        seen += len(entries)
        if "run.json" in entries or (folder / ".progress" / "job.json").exists():
            runs.append(folder)
            names.clear()
            continue
        files += [folder / name for name in sorted(entries) if not name.startswith(".")]
        if seen > MOST_ENTRIES:
            return runs, files, False
    return runs, files, True


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    for folder, names, entries in os.walk(root):
        path = Path(folder)
        names[:] = sorted(name for name in names if not name.startswith((".", "__")) and name != "node_modules")
        if len(path.relative_to(root).parts) >= DEPTH:
            names.clear()
        yield path, names, entries


def recent_runs(root: Path, folders: Sequence[Path]) -> list[RunSummary]:
    """Return what the runs in these folders are and how far they are, the latest first."""
    found = [summary for folder in folders if (summary := summarize(root, folder)) is not None]
    return sorted(found, key=lambda item: (item.state != "running", -item.updated))[:MOST_RUNS]


def summarize(root: Path, folder: Path) -> RunSummary | None:
    """Return the summary of one run folder, None where its record cannot be read."""
    try:
        record = read_record(folder)
    except MiraError:
        return None
    job = JobController(folder).state()
    statuses = [str(entry.get("status")) for entry in record.get("stages", {}).values()]
    done = sum(status == "done" for status in statuses)
    detail = f"{done} of {len(statuses)} stages done" if statuses else "the input is being read"
    if job.active:
        state = "running"
        detail += f", now {job.current.replace('_', ' ')} ({job.fraction:.0%})" if job.current else ""
    elif "failed" in statuses or (not record and job.error):
        state, detail = "failed", detail if statuses else str(job.error.get("message", "it failed"))
    else:
        state = "finished" if statuses and "pending" not in statuses else "unfinished"
    relative = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
    name = folder.name if relative == "." else relative
    path = folder / "run.json"
    updated = (path if path.exists() else folder).stat().st_mtime
    return RunSummary(folder, name, str(record.get("title") or name), state, detail, _facts(folder, record), updated)


def _facts(folder: Path, record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the size of the data and the first findings of the report, each in a few words."""
    shape = record.get("shape", {})
    out = [f"{value:,} {name}" for name, value in shape.items() if isinstance(value, int)]
    try:
        findings = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
        out += [f"{item['value']:,} {item['unit']}" for item in findings[:3] if isinstance(item["value"], int)]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return tuple(out)


def candidates(role: str, files: Sequence[Path]) -> list[Path]:
    """Return the files that could have a role, by their endings; tables of labels by their columns."""
    found = [path for path in files if _plain(path).endswith(_ENDINGS[role])]
    return [path for path in found if names_clusters(path)] if role == "labels" else found


def names_clusters(path: Path) -> bool:
    """Return whether a table has the columns ``cluster`` and ``label``."""
    try:
        with path.open("rb") as stream:
            first = stream.readline(2_000).decode("utf-8", errors="replace")
    except OSError:
        return False
    return {"cluster", "label"} <= {name.strip(' "\ufeff\r\n').lower() for name in re.split(r"[,;\t]", first)}


def kept_labels(runs: Sequence[Path]) -> list[Path]:
    """Return the tables of labels that were made in the explorer of these runs."""
    return [path for run in runs if (path := run / LABELS).is_file()]


def _plain(path: Path) -> str:
    name = path.name.lower()
    return name.removesuffix(".gz").removesuffix(".bgz")


def guess_roles(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Guess which files a new run starts from.

    Names decide, then the names of the features in a file; the folder with the counts wins over others, and the files
    beside them. One .h5mu or 10x matrix is taken only where there is no pair.

    Returns
    -------
    dict
        Role -> files (several only for gene sets); roles without a candidate are left out.
    """
    for folder in sorted({path.parent for path in files}, key=lambda item: (len(item.parts), item)):
        here = [path for path in files if path.parent == folder]
        pair = {role: _first(role, here) for role in ("rna", "atac")}
        if None in pair.values():
            pair |= {role: _by_features(role, here) for role, path in pair.items() if path is None}
        counts = {role: [path] for role, path in pair.items() if path is not None}
        if len(counts) < 2 or counts["rna"] == counts["atac"]:
            single = next(((role, path) for role in ("mudata", "tenx") if (path := _first(role, here))), None)
            counts = {single[0]: [single[1]]} if single else {}
        if counts:
            used = {path for paths in counts.values() for path in paths}
            rest = [path for path in here if path not in used]
            skipped = {"rna", "atac", "mudata", "tenx", *CHOSEN}
            others = {role: _all(role, rest) for role in FILE_ROLES if role not in skipped}
            others["obs"] = [path for path in others["obs"] if not names_clusters(path)]
            if others["genome"] and others["motifs"]:
                others["motif_hits"] = []  # a scan says more; hits take its place where they are named
            several = {"gene_sets"}
            return counts | {role: paths if role in several else paths[:1] for role, paths in others.items() if paths}
    return {}


def _all(role: str, files: Sequence[Path]) -> list[Path]:
    found = candidates(role, files)
    words = _WORDS[role].split("|")  # the first word says most
    return list(dict.fromkeys(path for word in words for path in found if re.search(word, _plain(path))))


def _first(role: str, files: Sequence[Path]) -> Path | None:
    other = {"rna": "atac", "atac": "rna"}.get(role)
    found = [path for path in _all(role, files) if other is None or path not in _all(other, files)]
    if role in {"rna", "atac"}:
        found = [path for path in found if path.suffix == ".h5ad" and path not in _all("motif_hits", files)]
    return next(iter(found), None)


def _by_features(role: str, files: Sequence[Path]) -> Path | None:
    """Return the first .h5ad file whose first feature is a genomic interval (atac), or is not (rna)."""
    for path in candidates(role, files):
        first = _first_feature(path) if path.suffix == ".h5ad" else ""
        if first and bool(re.fullmatch(r"\w[\w.]*[:\-_]\d+[\-_]\d+", first)) == (role == "atac"):
            return path
    return None


def _first_feature(path: Path) -> str:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            group = file["var"]
            name = group[group.attrs.get("_index", "_index")][0]
            return name.decode() if isinstance(name, bytes) else str(name)
    except (OSError, KeyError, IndexError, AttributeError):
        return ""


def free_folder(root: Path, title: str) -> Path:
    """Return a folder name below the root, made from a title, that is not taken."""
    stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "run"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 10_000))
    return next(root / name for name in names if not (root / name).exists())

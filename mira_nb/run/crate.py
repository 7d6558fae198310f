"""RO-Crate metadata of a run folder: inputs, software, and every result with its size and SHA-256.

The file ``ro-crate-metadata.json`` follows RO-Crate 1.1 (https://w3id.org/ro/crate/1.1): catalogues and archives read
it, and so does the package ``rocrate``.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from mira_nb.sentences import entries

from .contents import CRATE, result_files
from .files import HashCache, write_bytes
from .record import RunRecord

NAME: Final = CRATE
CONTEXT: Final = ("https://w3id.org/ro/crate/1.1/context", {"sha256": "https://schema.org/sha256"})
LICENCE: Final = "https://spdx.org/licenses/BSD-3-Clause"
HOME: Final = "https://github.com/mira-nb/mira_nb"

_TYPES: Final = {
    ".h5mu": "application/x-hdf5", ".h5": "application/x-hdf5", ".ipynb": "application/x-ipynb+json",
    ".md": "text/markdown", ".bib": "application/x-bibtex", ".csv": "text/csv", ".mnv": "application/octet-stream",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip


@dataclass(frozen=True)
class Described:
    """A file of the run folder: its relative name, its size in bytes and its SHA-256."""

    name: str
    n_bytes: int
    sha256: str


def write_crate(root: Path, hashes: HashCache | None = None) -> Path:
    """Write the RO-Crate metadata of a run folder as it is now, and return their path.

    Parameters
    ----------
    root
        The run folder.
    hashes
        Content hashes that are remembered.
    """
    root = Path(root)
    known = hashes or HashCache(root / "cache" / "hashes.json")
    files = [Described(name, path.stat().st_size, known.sha256(path)) for name, path in result_files(root)]
    write_bytes(root / NAME, crate_text(RunRecord(root).read(), files, root.resolve().name).encode("utf-8"))
    return root / NAME


def crate_text(record: Mapping[str, Any], files: Iterable[Described], folder: str) -> str:
    """Return the metadata of a run with this record and these files."""
    found = list(files)
    words = entries(__package__, "crate.yaml")
    inputs = [*_inputs(record)]
    software = [_software(name, version) for name, version in (record.get("versions") or {}).items()]
    graph = [
        {
            "@id": NAME,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": str(record.get("title") or folder),
            "description": words["run"],
            "datePublished": str(record.get("updated") or record.get("created") or ""),
            "license": {"@id": "#licence"},
            "hasPart": [{"@id": quote(item.name)} for item in found],
            "mentions": [{"@id": "#run"}],
        },
        {
            "@id": "#licence",
            "@type": "CreativeWork",
            **words["licence"],
        },
        _action(record, inputs, found),
        *inputs,
        *software,
        {"@id": LICENCE, "@type": "CreativeWork", "name": "BSD 3-Clause License"},
        *(_file(item) for item in found),
    ]
    return json.dumps({"@context": list(CONTEXT), "@graph": graph}, indent=1, ensure_ascii=False) + "\n"


def _action(record: Mapping[str, Any], inputs: list[dict[str, Any]], files: list[Described]) -> dict[str, Any]:
    """Return what was done: program, inputs, results, and the command that repeats it."""
    states = {entry.get("status") for entry in (record.get("stages") or {}).values()}
    ended = "FailedActionStatus" if "failed" in states else "CompletedActionStatus"
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": "Run of mira_nb",
        "description": f"{record.get('command', '')} (seed {record.get('seed', '')})",
        "startTime": str(record.get("created") or ""),
        "endTime": str(record.get("updated") or ""),
        "actionStatus": f"http://schema.org/{ended}",
        "instrument": {"@id": "#software-mira-nb"},
        "object": [{"@id": item["@id"]} for item in inputs],
        "result": [{"@id": quote(item.name)} for item in files],
    }


def _inputs(record: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield the files that were read. They are not in the folder, so they are named by their hash, not as its files."""
    items = [(str(item.get("role") or "input"), item) for item in record.get("inputs") or ()]
    for role, listed in (record.get("resources") or {}).items():
        items += [(str(role), item) for item in (listed if isinstance(listed, list) else ()) if isinstance(item, dict)]
    for number, (role, item) in enumerate(items, 1):
        facts = {"contentSize": str(item["bytes"])} if item.get("bytes") is not None else {}
        yield {
            "@id": f"#input-{number}",
            "@type": "CreativeWork",
            "name": str(item.get("name") or ""),
            "description": f"Input of the run: {role}",
            "sha256": str(item.get("sha256") or ""),
            **facts,
        }


def _software(name: str, version: str) -> dict[str, Any]:
    own = {"license": {"@id": LICENCE}, "url": HOME} if name == "mira-nb" else {}
    return {
        "@id": f"#software-{quote(name)}",
        "@type": "SoftwareApplication",
        "name": name,
        "softwareVersion": version,
        **own,
    }


def _file(item: Described) -> dict[str, Any]:
    path = Path(item.name)
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(item.name)[0] or "application/octet-stream"
    parts = path.parts
    stage = f"Of the stage {parts[1]}: {'/'.join(parts[2:])}" if parts[0] == "stages" and len(parts) > 2 else ""
    return {
        "@id": quote(item.name),
        "@type": "File",
        "name": item.name,
        "description": entries(__package__, "crate.yaml")["files"].get(item.name) or stage or item.name,
        "contentSize": str(item.n_bytes),
        "encodingFormat": kind,
        "sha256": item.sha256,
    }

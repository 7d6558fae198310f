"""Reads and checks the input once per content; later runs in the same folder find it in the cache."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mira_nb.io.read import InputSpec, read_input
from mira_nb.io.resources import Resources

from .files import HashCache
from .identity import digest, resource_identity
from .store import RunStore, read_h5mu, write_h5mu

__all__ = ["InputSpec", "prepare_input"]


def prepare_input(
    spec: InputSpec, resources: Resources, store: RunStore, old: dict[str, Any], hashes: HashCache
) -> dict[str, Any]:
    """Leave the checked pair in the cache and return what run.json says of it.

    Returns
    -------
    dict
        ``input_key``, ``inputs`` (role, name, hash, shape), ``findings``, ``resources`` (names and hashes).
    """
    files = spec.files()
    for path in files.values():
        if not path.is_file():
            spec.require_files()
    key = digest({role: hashes.sha256(path) for role, path in files.items()})
    facts: dict[str, Any] = {"input_key": key, "resources": _resource_facts(resources, hashes)}
    if old.get("input_key") == key and store.input_path.exists():
        facts.update({name: old[name] for name in ("inputs", "findings", "shape")})
        if any((resources.groups, resources.batch, resources.start_cell)):
            _check_annotations(resources, store)
        return facts
    pair = read_input(spec)
    pair.check_annotations(resources)
    work = store.input_path.with_name(".input.h5mu.tmp")
    write_h5mu(pair.data, work)
    work.replace(store.input_path)
    shapes = {"rna": pair.data.mod["rna"].shape, "atac": pair.data.mod["atac"].shape}
    facts["inputs"] = [
        {
            "role": role,
            "name": path.name,
            "sha256": hashes.sha256(path),
            "bytes": path.stat().st_size,
            "shape": list(shapes.get(role, (shapes["rna"][0], shapes["rna"][1] + shapes["atac"][1]))),
        }
        for role, path in files.items()
    ]
    facts["shape"] = {"cells": shapes["rna"][0], "genes": shapes["rna"][1], "peaks": shapes["atac"][1]}
    facts["findings"] = [asdict(finding) for finding in pair.findings]
    return facts


def _check_annotations(resources: Resources, store: RunStore) -> None:
    """Annotations may be named anew for the same files."""
    from mira_nb.io.read import check_annotations

    check_annotations(read_h5mu(store.input_path), resources)


def _resource_facts(resources: Resources, hashes: HashCache) -> dict[str, Any]:
    """Names and hashes of the resource files, names of the annotations; missing files are refused."""
    out: dict[str, Any] = {}
    for name in ("tss", "genome", "motifs", "gene_sets", "motif_hits"):
        resources.require_files(name)
        identity = resource_identity(resources, name, hashes)
        if identity:
            out[name] = [{"name": file, "sha256": value} for file, value in identity]
    for name in ("groups", "start_cell", "batch"):
        if resources.has(name):
            out[name] = getattr(resources, name)
    return out


def check_run(spec: InputSpec, resources: Resources) -> str:
    """Text of ``mira-nb check``: what was found, which stages can run, what a missing resource would unlock."""
    from mira_nb.io.check import check_input
    from mira_nb.keys import STAGE_ORDER
    from mira_nb.stages.registry import get_stage

    for name in ("tss", "genome", "motifs", "gene_sets", "motif_hits"):
        resources.require_files(name)
    requirements = {name: get_stage(name) for name in STAGE_ORDER}
    return check_input(spec, resources, requirements=requirements).render()

"""Reads and checks the input once per content; later runs in the same folder find it in the cache."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mira_nb.errors import InputError
from mira_nb.io.annotations import check_annotations
from mira_nb.io.cell_table import read_cell_table
from mira_nb.io.files import check_file, check_source
from mira_nb.io.resources import FILES, Resources
from mira_nb.io.spec import InputSpec

from .files import HashCache, size_of
from .identity import digest, resource_identity
from .intact import file_damage, file_facts
from .store import RunStore, read_h5mu, write_h5mu

if TYPE_CHECKING:
    from mudata import MuData

    from .check import CheckReport

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
    from mira_nb.io.read import read_input

    files = _input_files(spec)
    key = digest({role: hashes.sha256(path) for role, path in files.items()} | spec.reading())
    facts: dict[str, Any] = {"input_key": key, "resources": _resource_facts(resources, hashes)}
    whole = not file_damage(store.input_path, old.get("input_cache"), hashes)
    kept = ("inputs", "reading_findings", "shape")
    if old.get("input_key") == key and store.input_path.exists() and whole and all(name in old for name in kept):
        facts["input_cache"] = old.get("input_cache")
        if old.get("resources") != facts["resources"]:
            _check_resources(read_h5mu(store.input_path), resources)
        facts.update({name: old[name] for name in kept})
        facts["findings"] = facts["reading_findings"] + _check_annotations(store, resources)
        return facts
    pair = read_input(spec)
    named = [asdict(finding) for finding in check_annotations(pair.data, resources)]
    _check_resources(pair.data, resources)
    work = store.input_path.with_name(".input.h5mu.tmp")
    write_h5mu(pair.data, work)
    work.replace(store.input_path)
    facts["input_cache"] = file_facts(store.input_path)
    shapes = {"rna": pair.data.mod["rna"].shape, "atac": pair.data.mod["atac"].shape}
    if spec.obs is not None:
        shapes["obs"] = read_cell_table(spec.obs).shape
    facts["inputs"] = [
        {
            "role": role,
            "name": path.name,
            "sha256": hashes.sha256(path),
            "bytes": size_of(path),
            "shape": list(shapes.get(role, (shapes["rna"][0], shapes["rna"][1] + shapes["atac"][1]))),
        }
        for role, path in files.items()
    ]
    facts["shape"] = {"cells": shapes["rna"][0], "genes": shapes["rna"][1], "peaks": shapes["atac"][1]}
    facts["reading_findings"] = [asdict(finding) for finding in pair.findings]
    facts["findings"] = facts["reading_findings"] + named
    return facts


def _input_files(spec: InputSpec) -> dict[str, Path]:
    """Return the input files by role; each must exist."""
    spec.kind()
    files = spec.by_role()
    for role, path in files.items():
        (check_file if role == "obs" else check_source)(path, option=f"--{role}")
    return files


def _check_resources(data: MuData, resources: Resources) -> None:
    """Read every resource before any stage starts, as ``mira-nb check`` does.

    Raises
    ------
    InputError
        Names every resource that cannot be used, and why.
    """
    from .check import resource_statuses

    wrong = [status for status in resource_statuses(resources, data)[0] if status.problem]
    if wrong:
        codes = {status.name: status.code for status in wrong}
        raise InputError("\n".join(status.problem for status in wrong), code="input.resources_unusable", values=codes)


def _check_annotations(store: RunStore, resources: Resources) -> list[dict[str, Any]]:
    """Check annotations that are named anew for the same files."""
    if not any((resources.groups, resources.batch, resources.start_cell, resources.subset)):
        return []
    return [asdict(finding) for finding in check_annotations(read_h5mu(store.input_path), resources)]


def _resource_facts(resources: Resources, hashes: HashCache) -> dict[str, Any]:
    """Return names and hashes of the resource files and names of the annotations; missing files are refused."""
    out: dict[str, Any] = {}
    for name in FILES:
        resources.require_files(name)
        identity = resource_identity(resources, name, hashes)
        if identity:
            out[name] = [{"name": file, "sha256": value} for file, value in identity]
    for name in ("groups", "start_cell", "batch", "subset"):
        if resources.has(name):
            out[name] = getattr(resources, name)
    return out


def check_run(spec: InputSpec, resources: Resources) -> CheckReport:
    """Report of ``mira-nb check``: what was found, which stages can run, what a missing resource would unlock."""
    from mira_nb.stages.registry import get_stage, stage_names

    from .check import check_input

    return check_input(spec, resources, requirements={name: get_stage(name) for name in stage_names()})

"""Reads and checks the input once per content; later runs in the same folder find it in the cache."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_nb.errors import InputError
from mira_nb.io.annotations import check_annotations
from mira_nb.io.cell_table import read_cell_table
from mira_nb.io.files import check_file, check_source
from mira_nb.io.messages import finding, refusal
from mira_nb.io.pairing import MIN_CELLS
from mira_nb.io.resources import FILES, Resources
from mira_nb.io.spec import CheckedPair, InputSpec
from mira_nb.stages.prepare.limits import failing_cells, thresholds
from mira_nb.stages.shared.cells import take_cells

from .files import HashCache, size_of
from .identity import digest, resource_identity
from .intact import file_damage, file_facts
from .store import RunStore, read_h5mu, write_h5mu

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.stages.prepare.params import PrepareParams

    from .check import CheckReport

__all__ = ["InputSpec", "prepare_input"]


def prepare_input(
    spec: InputSpec,
    resources: Resources,
    store: RunStore,
    old: dict[str, Any],
    hashes: HashCache,
    *,
    params: PrepareParams | None = None,
) -> dict[str, Any]:
    """Leave the checked pair in the cache and return what run.json says of it.

    Parameters
    ----------
    params
        Parameters of the stage prepare, whose thresholds leave out cells; None: all cells are kept.

    Returns
    -------
    dict
        ``input_key``, ``inputs`` (role, name, hash, shape), ``findings``, ``resources`` (names and hashes).
    """
    from mira_nb.io.read import read_input

    files = _input_files(spec)
    limits = _limits(params, resources, hashes)
    key = digest({role: hashes.sha256(path) for role, path in files.items()} | spec.reading() | limits)
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
    if limits and params is not None:
        pair = leave_out_cells(pair, params, resources)
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


def _limits(params: PrepareParams | None, resources: Resources, hashes: HashCache) -> dict[str, Any]:
    """Return the thresholds that are on, with the files that they are measured by; empty when all are off."""
    if params is None:
        return {}
    limits: dict[str, Any] = dict(thresholds(params))
    if "min_tss_enrichment" in limits:
        limits |= {name: resource_identity(resources, name, hashes) for name in ("fragments", "tss")}
    return limits


def leave_out_cells(pair: CheckedPair, params: PrepareParams, resources: Resources) -> CheckedPair:
    """Return the pair without the cells that fail a threshold of the stage prepare, and say how many fail each.

    Raises
    ------
    InputError
        When fewer cells are left than any analysis needs.
    """
    failing = failing_cells(pair.data, params, resources)
    out = np.logical_or.reduce(list(failing.values()))
    n_all, n_out = len(out), int(out.sum())
    limits = thresholds(params)
    reasons = [{"name": name, "limit": f"{limits[name]:g}", "n": int(mask.sum())} for name, mask in failing.items()]
    if n_all - n_out < MIN_CELLS:
        raise refusal(InputError, "too_few_cells_pass", n_left=n_all - n_out, n_all=n_all, reasons=reasons)
    said = finding("cells_left_out", n_out=n_out, n_all=n_all, reasons=reasons)
    data = take_cells(pair.data, ~out) if n_out else pair.data
    return replace(
        pair,
        data=data,
        findings=(*pair.findings, said),
        dropped={**pair.dropped, **({"cells_below_thresholds": n_out} if n_out else {})},
    )


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

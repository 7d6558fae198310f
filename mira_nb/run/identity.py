"""Stage keys: equal key, equal result.

key = SHA-256(stage, package version, parameters, seed, resources used, input content, values read of the stages before)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mira_nb.io.resources import Resources
from mira_nb.stages.base import Stage
from mira_nb.stages.params import Params
from mira_nb.stages.registry import stage_version

from .files import HashCache
from .slots import stored_slots


def stage_key(
    stage: Stage[Any],
    params: Params,
    *,
    seed: int,
    input_key: str,
    before: Mapping[str, Mapping[str, Any]],
    resources: Resources,
    hashes: HashCache,
) -> str:
    """Return the key of a stage's result.

    Parameters
    ----------
    before
        stage.json of the stages whose values are loaded for it (:func:`mira_nb.stages.registry.upstream`).
    hashes
        Content hashes of the resource files.
    """
    parts = {
        "stage": stage.name,
        "version": stage_version(stage.name),
        "parameters": params.model_dump(mode="json"),
        "seed": seed,
        "input": input_key,
        "before": values_read(stage, params, resources, before),
        "resources": {
            name: resource_identity(resources, name, hashes) for name in sorted(stage.used_resources(resources))
        },
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def values_read(
    stage: Stage[Any], params: Params, resources: Resources, before: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what a stage reads of the stages before it: hashes by value; the whole key where none were kept."""
    found = {name: stored_slots(stored) for name, stored in before.items()}
    present = frozenset(slot for slots in found.values() for slot in slots)
    return {
        name: {
            "/".join((slot.modality, slot.element, slot.key)): sha256
            for slot, sha256 in slots.items()
            if stage.reads(slot, params, resources, present)
        }
        if "slots" in before[name]
        else before[name]["key"]
        for name, slots in found.items()
    }


def resource_identity(resources: Resources, name: str, hashes: HashCache) -> Any:
    """Return the content hashes of a resource's files, or its text for an annotation."""
    files = resources.files(name)
    if files:
        return [[path.name, hashes.sha256(path)] for path in files]
    return getattr(resources, name) or None


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

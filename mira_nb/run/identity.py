"""Stage keys: equal key, equal result.

key = SHA-256(stage, package version, parameters, seed, resources used, input content, keys of the upstream stages)
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


def stage_key(
    stage: Stage[Any],
    params: Params,
    *,
    seed: int,
    input_key: str,
    upstream: Mapping[str, str],
    resources: Resources,
    hashes: HashCache,
) -> str:
    """Return the key of a stage's result.

    Parameters
    ----------
    upstream
        Keys of the stages it needs or uses that are done.
    hashes
        Content hashes of the resource files.
    """
    parts = {
        "stage": stage.name,
        "version": stage_version(stage.name),
        "parameters": params.model_dump(mode="json"),
        "seed": seed,
        "input": input_key,
        "upstream": dict(sorted(upstream.items())),
        "resources": {name: resource_identity(resources, name, hashes) for name in resource_names(stage)},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def resource_names(stage: Stage[Any]) -> list[str]:
    """Return the names of all resources that can change the stage's result."""
    return sorted({name for option in stage.resources for name in option} | set(stage.optional_resources))


def resource_identity(resources: Resources, name: str, hashes: HashCache) -> Any:
    """Return the content hashes of a resource's files, or its text for an annotation."""
    files = resources.files(name)
    if files:
        return [[path.name, hashes.sha256(path)] for path in files]
    return getattr(resources, name) or None


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

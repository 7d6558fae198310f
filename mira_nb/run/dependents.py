"""Which results a new one makes out of date: those of stages that read a value that it changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mira_nb.errors import ParameterError
from mira_nb.io.resources import Resources
from mira_nb.stages.registry import get_stage, stage_names, upstream
from mira_nb.stages.result import Slot

from .estimate import START_SECONDS
from .slots import stored_slots

Stored = Mapping[str, Mapping[str, Any]]


def renewal(
    name: str,
    done: Sequence[str],
    stored: Stored,
    *,
    changed: Collection[str] = (),
    resources: Resources | None = None,
) -> tuple[tuple[str, ...], float]:
    """Return which finished stages a new result of `name` makes out of date, and the seconds that they took.

    Parameters
    ----------
    name
        The stage that is going to run.
    done
        Stages whose results are up to date.
    stored
        Their stage.json by name, and that of `name` if it has a result.
    changed
        Parameters of `name` that get another value; empty: whatever they are, all its values may change.
    resources
        Resources of the run.
    """
    fresh = _changed_slots(name, stored, changed)
    stale: dict[str, frozenset[Slot] | None] = {name: fresh}
    for other in stage_names():
        if other in done and other != name and _reads_any(other, done, stored, stale, resources or Resources()):
            stale[other] = _slots(stored, other)
    out = tuple(other for other in stale if other != name)
    return out, sum(float(stored.get(other, {}).get("seconds") or 0) + START_SECONDS for other in out)


def _slots(stored: Stored, name: str) -> frozenset[Slot] | None:
    """Return the values of a stage; None where it is not known which they are."""
    return frozenset(stored_slots(stored[name])) if "slots" in stored.get(name, {}) else None


def _changed_slots(name: str, stored: Stored, changed: Collection[str]) -> frozenset[Slot] | None:
    """Return the values of a stage that other values of some of its parameters can change; None for any."""
    slots = _slots(stored, name)
    declared = [item.changes for item in get_stage(name).Params.describe() if item.name in changed]
    if slots is None or not declared or any(item is None for item in declared):
        return slots
    names = {key for item in declared for key in item or ()}
    return frozenset(slot for slot in slots if slot.key in names)


def _reads_any(
    name: str,
    done: Sequence[str],
    stored: Stored,
    stale: Mapping[str, frozenset[Slot] | None],
    resources: Resources,
) -> bool:
    """Return whether a stage reads a value that is not up to date."""
    stage = get_stage(name)
    before = upstream(name, used=done)
    present = frozenset(slot for other in before for slot in _slots(stored, other) or ())
    values = {row["name"]: row["value"] for row in stored.get(name, {}).get("parameters", ())}
    try:
        params = stage.Params.parse(name, values)
    except ParameterError:  # made by another version
        return any(other in stale for other in before)
    for other in before:
        slots = stale.get(other, frozenset())
        if slots is None or any(stage.reads(slot, params, resources, present) for slot in slots):
            return True
    return False

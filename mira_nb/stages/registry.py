"""All stages by name and in order, imported only when used: those of this package, then those of plug-ins.

A plug-in is any installed distribution with an entry point in the group ``mira_nb.stages``::

    [project.entry-points."mira_nb.stages"]
    doublets = "my_package.doublets:DoubletsStage"

Its stage runs after the built-in ones and may need any of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Container
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final

from mira_nb.errors import ParameterError
from mira_nb.version import __version__

from .messages import refusal

if TYPE_CHECKING:
    from .base import Stage

GROUP: Final = "mira_nb.stages"
"""Entry-point group of plug-ins."""

BUILT_IN: Final[dict[str, str]] = {
    "prepare": "mira_nb.stages.prepare.stage:PrepareStage",
    "tuning_rna": "mira_nb.stages.tuning.rna:TuningRnaStage",
    "tuning_atac": "mira_nb.stages.tuning.atac:TuningAtacStage",
    "topics_rna": "mira_nb.stages.topics.rna:TopicsRnaStage",
    "topics_atac": "mira_nb.stages.topics.atac:TopicsAtacStage",
    "joint": "mira_nb.stages.joint.stage:JointStage",
    "enrichment": "mira_nb.stages.enrichment.stage:EnrichmentStage",
    "motifs": "mira_nb.stages.motifs.stage:MotifsStage",
    "trajectory": "mira_nb.stages.trajectory.stage:TrajectoryStage",
    "regulation": "mira_nb.stages.regulation.stage:RegulationStage",
    "drivers": "mira_nb.stages.drivers.stage:DriversStage",
    "comparisons": "mira_nb.stages.comparisons.stage:ComparisonsStage",
}
"""Classes of the built-in stages; the order is that in which they run."""


@cache
def _plug_ins() -> dict[str, EntryPoint]:
    """Return the entry points of plug-ins by name; a name that is taken is refused."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda item: item.name):
        if point.name in BUILT_IN or point.name in found:
            raise refusal(ParameterError, "plug_in_name_taken", origin=_origin(point), name=point.name)
        found[point.name] = point
    return found


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} ({point.value})" if point.dist else point.value


@cache
def get_stage(name: str) -> Stage[Any]:
    """Return the stage called `name`.

    Raises
    ------
    ParameterError
        When there is no such stage, or a plug-in's class cannot be loaded.
    """
    if name in BUILT_IN:
        module, attribute = BUILT_IN[name].split(":")
        stage: Stage[Any] = getattr(importlib.import_module(module), attribute)()
        return stage
    point = _plug_ins().get(name)
    if point is None:
        raise refusal(ParameterError, "stage_unknown", name=name, known=stage_names())
    try:
        plugged: Stage[Any] = point.load()()
    except Exception as error:
        raise refusal(
            ParameterError,
            "plug_in_not_loaded",
            name=name,
            origin=_origin(point),
            kind=type(error).__name__,
            reason=str(error),
        ) from error
    if plugged.name != name:
        raise refusal(ParameterError, "plug_in_other_name", origin=_origin(point), given=plugged.name, name=name)
    return plugged


def stage_version(name: str) -> str:
    """Return the version of the code behind a stage: of this package and, for a plug-in, of its distribution."""
    point = _plug_ins().get(name)
    if point is None or point.dist is None:
        return __version__
    return f"{__version__}, {point.dist.name} {point.dist.version}"


@cache
def stage_names() -> tuple[str, ...]:
    """Return the names of all stages in the order in which they run: the built-in ones, then those of plug-ins.

    Plug-ins come in alphabetical order, but after what they need.
    """
    ordered = list(BUILT_IN)
    waiting = list(_plug_ins())
    while waiting:
        ready = [name for name in waiting if not set(get_stage(name).needs) & set(waiting)]
        if not ready:
            raise refusal(ParameterError, "plug_ins_in_a_circle", waiting=waiting)
        ordered.append(ready[0])
        waiting.remove(ready[0])
    return tuple(ordered)


def upstream(name: str, *, used: Container[str] = ()) -> tuple[str, ...]:
    """Return the stages whose results `name` reads, directly or through others, in order.

    Parameters
    ----------
    name
        The stage.
    used
        Stages that are read only when they are done (``Stage.uses``) and are to count: those of them that `name` itself
        uses, with everything that they need.
    """
    stage = get_stage(name)
    found: set[str] = set()
    waiting = [*stage.needs, *(other for other in stage.uses if other in used)]
    while waiting:
        other = waiting.pop()
        if other not in found:
            found.add(other)
            waiting.extend(get_stage(other).needs)
    return tuple(other for other in stage_names() if other in found)


def stages_until(name: str | None) -> tuple[str, ...]:
    """Return the names of all stages up to and including `name`, in order (all of them for None)."""
    names = stage_names()
    if name is None:
        return names
    if name not in names:
        raise refusal(ParameterError, "until_unknown", name=name, known=names)
    return names[: names.index(name) + 1]

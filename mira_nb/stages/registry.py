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
            raise ParameterError(
                f"the plug-in {_origin(point)} adds a stage {point.name!r}, but there is one of that name",
                expected="a name that no other stage has",
                remedy="rename its entry point, or uninstall one of the packages",
            )
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
        raise ParameterError(f"there is no stage {name!r}", expected=f"one of {', '.join(stage_names())}")
    try:
        plugged: Stage[Any] = point.load()()
    except Exception as error:
        raise ParameterError(
            f"the stage {name} of the plug-in {_origin(point)} cannot be loaded: {type(error).__name__}: {error}",
            remedy="repair or uninstall the plug-in",
        ) from error
    if plugged.name != name:
        raise ParameterError(
            f"the plug-in {_origin(point)} calls its stage {plugged.name!r}", expected=f"{name!r}, as its entry point"
        )
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
            raise ParameterError(
                f"the plug-in stages {', '.join(waiting)} need each other", remedy="uninstall one of them"
            )
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
        raise ParameterError(f"--until {name}: there is no such stage", expected=f"one of {', '.join(names)}")
    return names[: names.index(name) + 1]

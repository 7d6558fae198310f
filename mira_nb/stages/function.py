"""One Python function per stage: signature and docstring from the parameter model, checks, run, keys written."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from mira_nb.errors import ParameterError
from mira_nb.io.resources import Resources

from .messages import refusal

if TYPE_CHECKING:
    from mudata import MuData

    from mira_nb.typing import Progress

    from .base import Compute, Stage
    from .result import Result

StageFunction = Callable[..., "Result"]


@cache
def stage_function(name: str) -> StageFunction:
    """Make the function of one stage.

    Raises
    ------
    ParameterError
        When there is no such stage.
    """
    from .registry import get_stage

    stage = get_stage(name)
    signature = _signature(stage)
    own = set(stage.Params.model_fields)

    def function(*args: Any, **kwargs: Any) -> Result:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}() {error}") from None
        bound.apply_defaults()
        values = dict(bound.arguments)
        params = {key: values.pop(key) for key in own}
        return _run(stage, params=params, **values)

    function.__name__ = function.__qualname__ = name
    function.__module__ = "mira_nb"
    function.__doc__ = _documentation(stage)
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {
        **{key: value.annotation for key, value in signature.parameters.items()},
        "return": signature.return_annotation,
    }
    return function


def _run(
    stage: Stage[Any],
    *,
    mdata: MuData,
    params: dict[str, Any],
    seed: int,
    resources: Resources | None,
    progress: Progress | None,
    compute: Compute | None,
) -> Result:
    """Check everything, compute, write the keys."""
    from mira_nb.io.annotations import check_annotations

    from .base import Context, InProcess, no_progress
    from .checks import check_data, check_upstream
    from .result import apply_slots

    try:
        parsed = stage.Params.parse(stage.name, params)
    except ParameterError as error:
        raise refusal(ParameterError, "parameters_of_function", problem=error.message, stage=stage.name) from None
    resources = resources or Resources()
    if resources.subset is not None:
        raise refusal(ParameterError, "subset_of_function", subset=resources.subset)
    check_data(mdata)
    check_upstream(mdata, stage)
    check_annotations(mdata, resources)
    if stage.missing(resources):
        raise refusal(ParameterError, "files_missing", stage=stage.name, options=stage.resources)
    for name in {name for option in stage.resources for name in option} | set(stage.optional_resources):
        resources.require_files(name)
    context = Context(seed=seed, resources=resources, progress=progress or no_progress, compute=compute or InProcess())
    result: Result = stage.run(mdata, parsed, context)
    apply_slots(mdata, result.slots)
    return result


def _signature(stage: Stage[Any]) -> inspect.Signature:
    """Return ``(mdata, *, <parameters>, seed=0, resources=None, progress=None, compute=None) -> Result``."""
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("mdata", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="MuData")]
    parameters += [
        inspect.Parameter(item.name, kind, default=item.default, annotation=item.annotation)
        for item in stage.Params.describe()
    ]
    for name, default, annotation in (
        ("seed", 0, "int"),
        ("resources", None, "Resources | None"),
        ("progress", None, "Callable[[float, str], None] | None"),
        ("compute", None, "Compute | None"),
    ):
        parameters.append(inspect.Parameter(name, kind, default=default, annotation=annotation))
    return inspect.Signature(parameters, return_annotation="Result")


def _documentation(stage: Stage[Any]) -> str:
    """Return the numpydoc text of a stage's function."""
    from .checks import slot_text

    lines = [stage.purpose, "", "Parameters", "----------", "mdata"]
    lines.append("    Modalities ``rna`` and ``atac`` of the same cells, as from ``mira_nb.read``; changed in place.")
    for item in stage.Params.describe():
        lines.append(f"{item.name} : {item.type_text}, default {item.default!r}")
        lines += textwrap.wrap(
            item.help_with_unit, 110, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
        )
    wanted = sorted({name for option in stage.resources for name in option} | set(stage.optional_resources))
    lines += ["seed : int, default 0", "    Seed of every random number.", "resources : Resources, optional"]
    lines.append(f"    Files and annotations; this stage uses {', '.join(wanted) or 'none'}.")
    lines += ["progress : callable, optional", "    Called with (fraction from 0 to 1, message)."]
    lines += ["compute : Compute, optional", "    Runs independent pieces of work, see ``mira_nb.run.compute``."]
    lines += ["", "Returns", "-------", "Result"]
    lines.append("    Slots, tables, figures, metrics, alerts and methods text.")
    lines += ["", "Raises", "------", "InputError"]
    lines.append("    When `mdata` is not a checked pair, or lacks what earlier functions leave in it.")
    lines += ["ParameterError", "    When a parameter is out of its bounds or a resource is missing."]
    lines += ["", "Notes", "-----"]
    before = ", ".join(f"``mira_nb.{name}``" for name in stage.needs)
    lines.append(f"Call before: {before}." if before else "Needs no other function before.")
    written = ", ".join(f"``{slot_text(slot)}``" for slot in stage.writes)
    lines.append(f"Writes, among others, {written}." if written else "Writes no keys; everything is in the Result.")
    return "\n".join(lines) + "\n"

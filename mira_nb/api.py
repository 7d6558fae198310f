"""One function a stage, for people who work in a notebook of their own.

>>> import mira_nb
>>> mdata = mira_nb.read(rna="rna.h5ad", atac="atac.h5ad")  # doctest: +SKIP
>>> mira_nb.prepare(mdata)  # doctest: +SKIP
>>> mira_nb.topics_rna(mdata, n_topics=10)  # doctest: +SKIP

Each function computes its stage on a MuData, writes the stage's keys into it and returns the stage's
:class:`~mira_nb.stages.result.Result` with tables, figures, metrics and alerts. Signature and documentation of a
function come from the stage's parameter model, so that they cannot differ from the templates, the panels and the
command line.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from mira_nb.io.resources import Resources

from .errors import InputError, ParameterError
from .keys import STAGE_ORDER

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from mira_nb.stages.base import Compute, Stage
    from mira_nb.stages.result import Result
    from mira_nb.typing import Progress

StageFunction = Callable[..., "Result"]

__all__ = ["Resources", "pair", "read", *STAGE_ORDER]


def read(
    *,
    rna: str | Path | None = None,
    atac: str | Path | None = None,
    mudata: str | Path | None = None,
    tenx: str | Path | None = None,
) -> MuData:
    """Read and check two count matrices: two .h5ad files, one .h5mu file or one 10x .h5 file.

    Parameters
    ----------
    rna, atac
        Two .h5ad files, cells x genes and cells x peaks.
    mudata
        One .h5mu file with modalities ``rna`` and ``atac``.
    tenx
        One Cell Ranger ARC ``filtered_feature_bc_matrix.h5``.

    Returns
    -------
    MuData
        Modalities ``rna`` (counts) and ``atac`` (0/1; ``var`` has chrom, start, end) with the same cells in the order
        of the expression file. ``uns["input_findings"]`` lists what was changed or left out.

    Raises
    ------
    InputError
        When the input cannot be used; the message names file, cause and remedy.
    """
    from mira_nb.io.read import read_input
    from mira_nb.io.spec import InputSpec

    given = {"rna": rna, "atac": atac, "mudata": mudata, "tenx": tenx}
    spec = InputSpec(**{name: Path(value) for name, value in given.items() if value is not None})
    for path in spec.files():
        if not path.is_file():
            raise InputError(f"{path} does not exist or is a folder", expected="a readable file")
    return _with_findings(read_input(spec))


def pair(rna: AnnData, atac: AnnData) -> MuData:
    """Check two AnnData objects of the same cells and join them; the given objects are not changed.

    Parameters
    ----------
    rna, atac
        Counts, cells x genes and cells x peaks.

    Returns
    -------
    MuData
        As from :func:`read`.

    Raises
    ------
    InputError
        When they cannot be used together.
    """
    from mira_nb.io.read import check_pair

    return _with_findings(check_pair(rna, atac))


def _with_findings(checked: Any) -> MuData:
    data: MuData = checked.data
    data.uns["input_findings"] = [
        ". ".join(filter(None, (f"{item.level}: {item.title}", item.cause, item.remedy))) for item in checked.findings
    ]
    return data


@cache
def stage_function(name: str) -> StageFunction:
    """Make the function of one stage.

    Raises
    ------
    ParameterError
        When there is no such stage.
    """
    from mira_nb.stages.registry import get_stage

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
    from mira_nb.stages.base import Context, InProcess, no_progress
    from mira_nb.stages.checks import check_data, check_upstream
    from mira_nb.stages.result import apply_slots

    try:
        parsed = stage.Params.parse(stage.name, params)
    except ParameterError as error:
        raise ParameterError(error.message, remedy=f"help(mira_nb.{stage.name}) explains every parameter") from None
    resources = resources or Resources()
    check_data(mdata)
    check_upstream(mdata, stage)
    check_annotations(mdata, resources)
    if stage.missing(resources):
        options = " or ".join(
            f"resources=mira_nb.Resources({', '.join(f'{name}=...' for name in option)})" for option in stage.resources
        )
        raise ParameterError(
            f"stage {stage.name} needs files that were not given",
            expected=options,
        )
    for name in {name for option in stage.resources for name in option} | set(stage.optional_resources):
        resources.require_files(name)
    context = Context(seed=seed, resources=resources, progress=progress or no_progress, compute=compute or InProcess())
    result: Result = stage.run(mdata, parsed, context)
    apply_slots(mdata, result.slots)
    return result


def _signature(stage: Stage[Any]) -> inspect.Signature:
    """``(mdata, *, <parameters of the stage>, seed=0, resources=None, progress=None, compute=None) -> Result``."""
    kind = inspect.Parameter.KEYWORD_ONLY
    defaults = stage.Params()
    parameters = [inspect.Parameter("mdata", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="MuData")]
    parameters += [
        inspect.Parameter(name, kind, default=getattr(defaults, name), annotation=info.annotation)
        for name, info in stage.Params.model_fields.items()
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
    """Numpydoc text of a stage's function."""
    from mira_nb.stages.checks import LEAVES, slot_text

    lines = [stage.purpose, "", "Parameters", "----------", "mdata"]
    lines.append("    Modalities ``rna`` and ``atac`` of the same cells, as from ``mira_nb.read``; changed in place.")
    for name, info in stage.Params.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        unit = f" [{extra['unit']}]" if extra.get("unit") else ""
        lines.append(f"{name} : {type_text(info.annotation)}, default {getattr(stage.Params(), name)!r}")
        lines += textwrap.wrap(
            f"{info.description}{unit}", 110, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
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
    written = ", ".join(f"``{slot_text(slot)}``" for slot in LEAVES[stage.name])
    lines.append(f"Writes, among others, {written}." if written else "Writes no keys; everything is in the Result.")
    return "\n".join(lines) + "\n"


def type_text(annotation: Any) -> str:
    """Readable type: ``int``, ``{'a', 'b'}`` for a Literal, alternatives joined by ``or``."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return "{" + ", ".join(map(repr, arguments)) + "}"
    if annotation is NoneType:
        return "None"
    if get_origin(annotation) in {Union, UnionType}:
        return " or ".join(type_text(item) for item in arguments)
    return str(annotation) if arguments else getattr(annotation, "__name__", str(annotation))

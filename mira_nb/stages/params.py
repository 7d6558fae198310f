"""Parameter models of the stages: one field per parameter, with help, unit and bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from mira_nb.errors import ParameterError
from mira_nb.keys import Source

from .describe import Parameter, describe
from .messages import refusal


class Params(BaseModel):
    """Base of all parameter models: one field per parameter, made with :func:`param`."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def describe(cls) -> tuple[Parameter, ...]:
        """Return name, type, bounds, default, unit and help of every parameter, in order."""
        return describe(cls)

    def rows(self, used: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return every parameter with its value, default, unit, help and the value in use, as plain JSON values.

        Parameters
        ----------
        used
            What was used where it differs from the value given: what ``auto`` became, limits set by the data.
        """
        values = self.model_dump(mode="json")
        defaults = type(self)().model_dump(mode="json")
        used = used or {}
        return [
            {
                "name": item.name,
                "value": values[item.name],
                "default": defaults[item.name],
                "changed": values[item.name] != defaults[item.name],
                "used": used.get(item.name, values[item.name]),
                "unit": item.unit,
                "help": item.help,
            }
            for item in self.describe()
        ]

    @classmethod
    def parse(cls, stage: str, values: Mapping[str, Any]) -> Any:
        """Validate plain values; a mistake becomes one readable :class:`ParameterError`."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            lines = []
            for item in error.errors():
                name = ".".join(str(part) for part in item["loc"]) or "?"
                if item["type"] == "extra_forbidden":
                    lines.append(f"{stage}.{name}: no such parameter; known: {', '.join(cls.model_fields)}")
                else:
                    lines.append(f"{stage}.{name} = {item.get('input')!r}: {item['msg']}")
            raise refusal(ParameterError, "values_refused", problems=lines, stage=stage) from None


def param(
    default: Any,
    help: str,
    *,
    unit: str = "",
    advanced: bool = False,
    choices_from: Source = "",
    changes: Sequence[str] | None = None,
    **bounds: Any,
) -> Any:
    """Declare one parameter: default, help text, unit, bounds (``ge``, ``gt``, ``le``, ``lt``, ``min_length``).

    ``advanced`` folds it away in forms; ``choices_from`` says what the parameter names, for a form to offer it (see
    :data:`mira_nb.keys.Source`); ``changes`` names the keys of
    the stage's values that it can change (None: all of them).
    """
    extra: dict[str, Any] = {"unit": unit, "advanced": advanced, "choices_from": choices_from}
    if changes is not None:
        extra["changes"] = list(changes)
    return Field(default, description=help, json_schema_extra=extra, **bounds)


Model = TypeVar("Model", bound=Params)


def fields_from(settings: type, **defaults: Any) -> Callable[[type[Model]], type[Model]]:
    """Return a class decorator that gives a parameter model the fields of a settings dataclass of the core.

    Types, defaults, help, units and bounds come from the dataclass, so that they are written once. Fields without a
    help text in their metadata are not for users and left out.

    Parameters
    ----------
    settings
        A dataclass whose fields carry ``help``, ``unit``, ``advanced`` and ``bounds`` as metadata, such as
        :class:`mira_nb.core.topics.settings.TopicSettings`.
    **defaults
        Defaults that replace the dataclass's.
    """
    hints = get_type_hints(settings)
    made: dict[str, Any] = {}
    for item in dataclasses.fields(settings):
        about = item.metadata
        if "help" not in about:
            continue
        kind = _bounded(hints[item.name], about["bounds"])
        default = defaults.get(item.name, item.default)
        made[item.name] = (kind, param(default, about["help"], unit=about["unit"], advanced=about["advanced"]))

    def decorate(model: type[Model]) -> type[Model]:
        return create_model(model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **made)

    return decorate


def _bounded(kind: Any, bounds: Mapping[str, Any]) -> Any:
    """Lay bounds on the numbers of a type, not on the words (``"auto"``) beside them."""
    if not bounds:
        return kind
    parts = get_args(kind) or (kind,)
    return Union[tuple(part if get_origin(part) is Literal else Annotated[part, Field(**bounds)] for part in parts)]  # noqa: UP007

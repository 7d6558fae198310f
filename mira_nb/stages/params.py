"""Parameter models of the stages: one field per parameter, with help, unit and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mira_nb.errors import ParameterError

from .describe import Parameter, describe


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
            raise ParameterError(
                "; ".join(lines),
                remedy=f"correct the value; `mira-nb parameters {stage}` lists all parameters of the stage",
            ) from None


def param(
    default: Any, help: str, *, unit: str = "", advanced: bool = False, choices_from: str = "", **bounds: Any
) -> Any:
    """One parameter: default, help text, unit and bounds (``ge``, ``gt``, ``le``, ``lt``, ``min_length``).

    ``advanced`` folds it away in forms; ``choices_from="obs"`` lets a form offer the cell annotations.
    """
    extra: dict[str, Any] = {"unit": unit, "advanced": advanced, "choices_from": choices_from}
    return Field(default, description=help, json_schema_extra=extra, **bounds)

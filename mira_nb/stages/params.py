"""Parameter models of the stages: one field per parameter, with help, unit and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mira_nb.errors import ParameterError


class Params(BaseModel):
    """Base of all parameter models: one field per parameter, made with :func:`param`."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

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
                remedy=f"correct the value; `mira-nb run --help` explains --set {stage}.NAME=VALUE",
            ) from None


def param(
    default: Any, help: str, *, unit: str = "", advanced: bool = False, choices_from: str = "", **bounds: Any
) -> Any:
    """One parameter: default, help text, unit and bounds (``ge``, ``gt``, ``le``, ``lt``, ``min_length``).

    ``advanced`` folds it away in forms; ``choices_from="obs"`` lets a form offer the cell annotations.
    """
    extra: dict[str, Any] = {"unit": unit, "advanced": advanced, "choices_from": choices_from}
    return Field(default, description=help, json_schema_extra=extra, **bounds)

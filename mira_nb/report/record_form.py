"""The form of run.json: which keys it has, and what stands in them. Keys that are not named here may hold anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

Status = Literal["done", "skipped", "failed", "pending"]


class _Form(BaseModel):
    """Strict types; further keys are kept."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Error(_Form):
    """Why a stage failed."""

    type: str = ""
    message: str = ""
    traceback: str = ""


class _File(_Form):
    """Size and content of a file that was written."""

    bytes: int | None = None
    sha256: str = ""


class _Input(_Form):
    """A file that was read."""

    role: str = ""
    name: str = ""
    sha256: str = ""
    bytes: int | None = None
    shape: list[int] | None = None


class _Stage(_Form):
    """One stage."""

    status: Status = "pending"
    key: str | None = None
    title: str | None = ""
    purpose: str | None = ""
    reason: str | None = ""
    outdated: str | None = ""
    seconds: float | None = None
    peak_rss_mb: float | None = None
    parameters: dict[str, Any] | None = None
    alerts: list[dict[str, Any]] | None = None
    error: _Error | None = None
    outputs: dict[str, _File] | None = None
    stage_json: _File | None = None


class _Record(_Form):
    """The whole file."""

    package_version: str = ""
    command: str = ""
    title: str = ""
    seed: int = 0
    versions: dict[str, str] = {}
    stages: dict[str, _Stage] = {}
    resource_paths: dict[str, str | list[str] | None] = {}
    input_spec: dict[str, str | None] = {}
    inputs: list[_Input] | None = None
    findings: list[dict[str, Any]] | None = None
    reading_findings: list[dict[str, Any]] | None = None
    resources: dict[str, Any] | None = None
    platform: dict[str, Any] | None = None
    shape: dict[str, int] | None = None
    written: dict[str, _File] = {}
    written_for: list[Any] | None = None
    report_for: list[Any] | None = None


def wrong_form(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the first place of run.json that has another form, and what is wrong with it; None where all is right.

    Parameters
    ----------
    record
        The content of run.json.
    """
    try:
        _Record.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return ".".join(map(str, first["loc"])), f"{first['msg']}, found {_short(first['input'])}"
    return None


def _short(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 40 else f"{type(value).__name__} {text[:37]}..."

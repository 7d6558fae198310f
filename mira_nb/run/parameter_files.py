"""Files of parameters, ``{stage: {name: value}}`` in YAML: what ``--params`` takes and presets of the panels are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mira_nb.errors import ParameterError

from .files import write_bytes
from .messages import refusal


def read_parameters(file: Path) -> dict[str, dict[str, Any]]:
    """Return parameters by stage and name.

    Raises
    ------
    ParameterError
        The file cannot be read, is no YAML, or has another form.
    """
    import yaml

    try:
        loaded = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise refusal(ParameterError, "params_unreadable", file=file, reason=error.strerror) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise refusal(ParameterError, "params_not_yaml", file=file, reason=str(error)) from None
    loaded = {} if loaded is None else loaded
    if not isinstance(loaded, dict) or not all(isinstance(value, dict) for value in loaded.values()):
        raise refusal(ParameterError, "params_other_form", file=file)
    return {str(stage): dict(values) for stage, values in loaded.items()}


def write_parameters(file: Path, values: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write plain values by stage and name; :func:`read_parameters` reads the same again."""
    import yaml

    plain = {stage: dict(items) for stage, items in values.items()}
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    write_bytes(Path(file), text.encode("utf-8"))
    return Path(file)

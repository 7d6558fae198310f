"""Findings and refusals, as tests see them: by code and values, not by their words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from mira_nb.errors import InputError, MiraError
from mira_nb.io.messages import TOPIC, Finding


def codes(findings: Iterable[Finding], level: str = "") -> list[str]:
    """Names of the findings, of one level where it is given."""
    return [item.code.removeprefix(f"{TOPIC}.") for item in findings if level in {"", item.level}]


def values(findings: Iterable[Finding], code: str) -> Mapping[str, Any]:
    """Values of the only finding of this name."""
    (item,) = [item for item in findings if item.code == f"{TOPIC}.{code}"]
    return item.values


@contextmanager
def refused(
    code: str, kind: type[MiraError] = InputError, /, **expected: Any
) -> Iterator[pytest.ExceptionInfo[MiraError]]:
    """Expect an error with this code and these among its values; a code without a point is one of the input."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.code == (code if "." in code else f"{TOPIC}.{code}")
    assert {name: caught.value.values.get(name) for name in expected} == expected

"""Numbers, durations and sizes as people read them."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

_SUPERSCRIPT: Final = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


def number(value: Any) -> str:
    """Format a number: four figures, commas for thousands, powers of ten for very small and large; text as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "\u2013"
    if isinstance(value, int):
        return _grouped(str(value))
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return "\u2013" if math.isnan(value) else ("\u221e" if value > 0 else "\u2212\u221e")
    size = abs(value)
    if size != 0 and (size < 1e-3 or size >= 1e7):
        mantissa, exponent = f"{value:.2e}".split("e")
        return mantissa.replace("-", "\u2212") + " \u00d7 10" + str(int(exponent)).translate(_SUPERSCRIPT)
    digits = 0 if size >= 1e4 else max(0, 3 - math.floor(math.log10(size))) if size else 0
    text = f"{value:.{digits}f}"
    return _grouped(text.rstrip("0").rstrip(".") if "." in text else text)


def duration(seconds: float | None) -> str:
    """Format seconds as ``3.2 s``, ``4 min 10 s`` or ``2 h 5 min``."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def memory(megabytes: float | None) -> str:
    """Format megabytes as ``310 MB`` or ``2.4 GB``."""
    if megabytes is None:
        return ""
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1024 else f"{megabytes:.0f} MB"


def size(n_bytes: int | None) -> str:
    """Format bytes as ``12 kB`` or ``3.4 MB``."""
    if n_bytes is None:
        return ""
    if n_bytes < 1000:
        return f"{n_bytes} B"
    return f"{n_bytes / 1e3:.0f} kB" if n_bytes < 1e6 else memory(n_bytes / 1024**2)


def parameter(value: Any) -> str:
    """Format a parameter's value as it would be typed."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if value else '""'
    if isinstance(value, list) and len(value) > 12:
        return f"{len(value)} values: " + ", ".join(map(str, value[:10])) + ", \u2026"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else f"{value}"


def used_parameter(value: Any) -> str:
    """Return the value that was used; a computed number to four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else parameter(value)


def _grouped(text: str) -> str:
    sign = "\u2212" if text.startswith("-") else ""
    whole, dot, fraction = text.lstrip("-").partition(".")
    return f"{sign}{int(whole):,}{dot}{fraction}"


def lead(text: str, *, short: int = 200) -> tuple[str, str]:
    """Return what a long text says first and of this run, and the rest; a short text stays whole."""
    if len(text) <= short:
        return text, ""
    first, *others = re.split(r"(?<=\.)\s+", text)
    shown = [first, *(sentence for sentence in others if sentence.startswith(("In this run ", "Here ")))]
    return " ".join(shown), " ".join(sentence for sentence in others if sentence not in shown)

"""Licence notices of the scripts in a report: who wrote them, and under which terms they may be passed on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import yaml

from .environment import FOLDER


@dataclass(frozen=True)
class Notices:
    """Embedded packages (name, version, licence, copyright), and the text of each licence."""

    packages: tuple[dict[str, str], ...]
    texts: dict[str, str]


@cache
def notices() -> Notices:
    """Return the notices, with the versions of what is embedded."""
    import vl_convert

    versions = {
        "vega": vl_convert.get_vega_version(),
        "vega_lite": vl_convert.get_vegalite_versions()[-1],
        "vega_embed": vl_convert.get_vega_embed_version(),
    }
    found = yaml.safe_load((FOLDER / "licences.yaml").read_text(encoding="utf-8"))
    packages = tuple({**item, "version": versions.get(item.get("version", ""), "")} for item in found["packages"])
    return Notices(packages, {name: text.strip() for name, text in found["texts"].items()})

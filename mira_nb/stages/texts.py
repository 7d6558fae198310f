"""Texts of the stages: captions, alerts, key figures and methods, kept as jinja2 templates beside each stage.

``stages/NAME/texts/`` holds ``tables.yaml``, ``figures.yaml``, ``metrics.yaml``, ``alerts.yaml``, ``errors.yaml`` and
``methods.md``.
Code gives values by name; wording is the templates' alone. A name that a template uses and code does not give is an
error, so that no sentence is shown with a hole.

>>> texts = Texts("mira_nb.stages.topics")  # doctest: +SKIP
>>> texts.alert("few_cells", n_cells=312)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mira_nb.sentences import Refusal, fill, parse, read, refuse, squeezed

from .result import Alert, Figure, Metric, Table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Texts:
    """Texts of one stage's package.

    Parameters
    ----------
    package
        The stage's package, ``__package__``; its folder ``texts`` holds the templates.
    """

    package: str

    @property
    def name(self) -> str:
        """Name of the package without its parents, the first part of every alert's code."""
        return self.package.rpartition(".")[2]

    def alert(self, key: str, **values: Any) -> Alert:
        """Return the alert `key` of ``alerts.yaml`` (level, title, cause, remedy), with its code ``NAME.key``."""
        words = self._words("alerts", key, values)
        return Alert(
            level=words["level"],
            title=words["title"],
            cause=words.get("cause", ""),
            remedy=words.get("remedy", ""),
            code=f"{self.name}.{key}",
        )

    def error(self, kind: type[Refusal], key: str, /, **values: Any) -> Refusal:
        """Return the error `key` of ``errors.yaml`` (message, expected, remedy), with its code ``NAME.key``."""
        return refuse(kind, self.package, self.name, key, values)

    def table(self, key: str, frame: pd.DataFrame, *, name: str = "", **values: Any) -> Table:
        """Return the table `key` of ``tables.yaml`` (title, caption, prominence) around `frame`."""
        words = self._words("tables", key, values)
        return Table(name or key, words["title"], words["caption"], frame, prominence=words.get("prominence", "detail"))

    def figure(
        self,
        key: str,
        chart: Any = None,
        *,
        name: str = "",
        packed: Mapping[str, pd.DataFrame] | None = None,
        image: bytes | None = None,
        svg: str = "",
        **values: Any,
    ) -> Figure:
        """Return the figure `key` of ``figures.yaml`` (title, caption, section, alt, prominence) around a picture."""
        words = self._words("figures", key, values)
        return Figure(
            name or key,
            words["title"],
            words["caption"],
            chart=chart,
            packed=packed or {},
            image=image,
            svg=svg,
            alt=words.get("alt", ""),
            section=words.get("section", ""),
            prominence=words.get("prominence", "detail"),
        )

    def metric(self, key: str, value: float | int | str, **values: Any) -> Metric:
        """Return the key figure `key` of ``metrics.yaml`` (name, unit, help, key, good_above, good_below)."""
        words = self._words("metrics", key, values)
        above, below = words.get("good_above"), words.get("good_below")
        return Metric(
            words["name"],
            value,
            unit=words.get("unit", ""),
            help=words.get("help", ""),
            key=words.get("key") == "True",
            good_above=None if above is None else float(above),
            good_below=None if below is None else float(below),
        )

    def methods(self, **values: Any) -> str:
        """Return ``methods.md`` as one paragraph, with its citations as [@key]."""
        return _render(self._read("methods.md"), values)

    def text(self, key: str, **values: Any) -> str:
        """Return the sentence `key` of ``texts.yaml``: what is neither caption nor alert, or a part of several."""
        return _render(parse(self._read("texts.yaml"))[key], values)

    def keys(self, kind: str) -> tuple[str, ...]:
        """Return the names of all entries of ``KIND.yaml``; empty where the stage has none."""
        try:
            return tuple(parse(self._read(f"{kind}.yaml")))
        except FileNotFoundError:
            return ()

    def _words(self, kind: str, key: str, values: Mapping[str, Any]) -> dict[str, Any]:
        entries = parse(self._read(f"{kind}.yaml"))
        return {name: _render(str(text), values) for name, text in entries[key].items()}

    def _read(self, file: str) -> str:
        return read(self.package, file)


def _render(text: str, values: Mapping[str, Any]) -> str:
    return squeezed(fill(text, values))

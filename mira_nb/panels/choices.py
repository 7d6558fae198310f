"""Questions that a result leaves open, each answered with one click: parameters are set, and the stage runs again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
import pandas as pd

from mira_nb.errors import StoreError
from mira_nb.keys import TRAJECTORY
from mira_nb.run.store import RunStore

from . import markup
from .texts import words


@dataclass(frozen=True)
class Choice:
    """One answer.

    Attributes
    ----------
    label
        What its button says.
    text
        What it means, in a sentence.
    values
        Parameters that it sets.
    """

    label: str
    text: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """A question with its answers."""

    title: str
    text: str
    choices: tuple[Choice, ...] = field(default_factory=tuple)


def questions(store: RunStore, stage: str) -> list[Question]:
    """Return what the stored result of a stage leaves open; nothing where all is settled."""
    if stage != TRAJECTORY:
        return []
    try:
        table = store.table(stage, "verdict")
        verdicts = dict(zip(table["subject"], table["verdict"], strict=True))
        found = []
        if verdicts.get("direction") == "not established":
            found.append(_direction(store.table(stage, "orientations")))
        if verdicts.get("lineages") == "not drawn":
            found.append(_lineages())
    except (StoreError, KeyError):  # a result of an older version has no such tables
        return []
    return found


def _direction(orientations: pd.DataFrame) -> Question:
    """Return both proposed starts."""
    text = words("choices")["direction"]
    rows: list[dict[str, Any]] = [
        {str(key): "" if pd.isna(value) else value for key, value in row.items()}
        for row in orientations.to_dict("records")
    ]
    choices = tuple(
        Choice(
            text["label"].format(cell=row["start_cell"]),
            text["choice"].format(
                group=row["group"] or text["nowhere"],
                named_by=row["named_by"].replace("_", " ") or text["nothing"],
                lineages=row["lineages"] or text["none"],
                times=row["branch_times"] or text["none"],
            ),
            {"start_cell": str(row["start_cell"])},
        )
        for row in rows
    )
    return Question(text["title"], text["help"], choices)


def _lineages() -> Question:
    text = words("choices")["lineages"]
    return Question(text["title"], text["help"], (Choice(text["label"], text["choice"], {"draw_unsupported": True}),))


class Choices:
    """The questions of a stage on its panel.

    Parameters
    ----------
    chosen
        Called with the parameters of an answer.

    Attributes
    ----------
    widget
        The questions, empty where nothing is open.
    """

    def __init__(self, chosen: Callable[[Mapping[str, Any]], None]) -> None:
        self._chosen = chosen
        self.buttons: list[Any] = []
        self.widget = widgets.VBox([])

    def show(self, found: list[Question]) -> None:
        """Show questions with a button for each answer."""
        self.buttons = []
        self.widget.children = [self._card(question) for question in found]

    def lock(self, locked: bool) -> None:
        """Set whether the choices are locked, as while something is computed."""
        for button in self.buttons:
            button.disabled = locked

    def _card(self, question: Question) -> Any:
        head = f"<h3>{markup.text(question.title)}</h3><p>{markup.text(question.text)}</p>"
        card = widgets.VBox([widgets.HTML(head), *(self._row(choice) for choice in question.choices)])
        card.add_class("mn-card")
        return card

    def _row(self, choice: Choice) -> Any:
        button = widgets.Button(description=choice.label, tooltip=choice.text)
        button.on_click(lambda _: self._chosen(choice.values))
        self.buttons.append(button)
        row = widgets.HBox([button, widgets.HTML(f'<p class="mn-help">{markup.text(choice.text)}</p>')])
        row.add_class("mn-row")
        return row

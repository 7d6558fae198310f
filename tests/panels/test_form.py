"""Forms: every stage's parameters survive the way into widgets and back; mistakes are named in plain words."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from mira_nb.errors import ParameterError
from mira_nb.explorer.run_names import RunNames
from mira_nb.panels.fields import parse_text
from mira_nb.panels.form import ParamsForm
from mira_nb.run.store import RunStore
from mira_nb.stages.describe import format_value
from mira_nb.stages.params import Params, param
from mira_nb.stages.registry import BUILT_IN, get_stage


class Mixed(Params):
    n_topics: Annotated[int, Field(ge=2, le=100)] | Literal["auto"] = param("auto", "Number of topics.", unit="topics")
    rate: float = param(1e-3, "Rate.", gt=0, lt=1)
    n_cells: int = param(100, "Cells.", ge=1, advanced=True)
    limit: float | None = param(None, "Limit.")
    fast: bool = param(True, "Fast?")
    mode: Literal["slow", "fast"] = param("slow", "Mode.")
    groups: str | None = param(None, "Groups.", choices_from="obs")
    genes: Literal["all"] | list[str] = param("all", "Genes.")
    sizes: list[int] = param([10, 20], "Sizes.")
    title: str = param("", "A title.")

    @model_validator(mode="after")
    def fits(self) -> Mixed:
        if self.n_cells == 13:
            raise ValueError("13 cells bring bad luck")
        return self


class Named(Params):
    sets: dict[str, list[str]] = param({}, "Gene sets.")


def test_named_lists_are_typed_one_a_line() -> None:
    given = {"one": ["A", "B"], "two": ["C"]}
    made = ParamsForm(Named, values={"sets": given}, annotations=[])
    assert made.values() == {"sets": given}
    spec = made.fields["sets"].spec
    assert parse_text(spec, "x: A, B\n\n y:C;D ") == {"x": ["A", "B"], "y": ["C", "D"]}
    assert parse_text(spec, "") == {}
    assert parse_text(spec, "no name here") == "no name here"


def form(**values: Any) -> ParamsForm:
    return ParamsForm(Mixed, values=values, annotations=["cluster", "batch"])


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_stage_survives_the_form(name: str) -> None:
    stage = get_stage(name)
    defaults = stage.Params()
    made = ParamsForm(stage.Params, annotations=["cluster"])
    assert made.mistakes == {}
    assert made.values() == defaults.model_dump(mode="json")
    assert stage.Params.model_validate(made.values()) == defaults
    assert made.changed == []
    assert set(made.fields) == set(stage.Params.model_fields)
    for field in made.fields.values():
        assert field.spec.help in field.note.value.replace("&#x27;", "'").replace("&lt;", "<").replace(
            "&gt;", ">"
        ).replace("&quot;", '"').replace("&amp;", "&")


@pytest.mark.parametrize(
    ("name", "entry", "value"),
    [
        ("n_topics", "auto", "auto"),
        ("n_topics", " AUTO ", "auto"),
        ("n_topics", "12", 12),
        ("n_topics", "1e1", 10),
        ("rate", "1e-4", 1e-4),
        ("rate", "0.5", 0.5),
        ("limit", "", None),
        ("limit", "3", 3.0),
        ("genes", "all", "all"),
        ("genes", "GATA1, SPI1;\nKLF4", ["GATA1", "SPI1", "KLF4"]),
        ("sizes", "5\n6, 7", [5, 6, 7]),
        ("sizes", "", []),
        ("title", " hello ", "hello"),
    ],
)
def test_entries_become_values(name: str, entry: str, value: Any) -> None:
    made = form()
    made.fields[name].entry.value = entry
    assert made.mistakes == {}
    assert made.values()[name] == value


@pytest.mark.parametrize(
    ("name", "entry", "words"),
    [
        ("n_topics", "five", "expected a whole number from 2 to 100 or “auto”"),
        ("n_topics", "1", "must be at least 2"),
        ("n_topics", "101", "must be at most 100"),
        ("n_topics", "2.5", "whole number"),
        ("rate", "0", "must be more than 0"),
        ("rate", "1", "must be less than 1"),
        ("rate", "", "is empty"),
        ("rate", "fast", "number"),
        ("sizes", "1, x", "whole numbers"),
        ("n_cells", "1.5", "whole number"),
    ],
)
def test_mistakes_are_named_beside_the_entry(name: str, entry: str, words: str) -> None:
    made = form()
    made.fields[name].entry.value = entry
    assert list(made.mistakes) == [name]
    assert words in made.mistakes[name]
    assert made.mistakes[name] in made.fields[name].note.value
    assert 'role="alert"' in made.fields[name].note.value
    with pytest.raises(ParameterError, match=name):
        made.values()
    made.fields[name].entry.value = format_value(Mixed.model_fields[name].default)
    assert made.valid
    assert "alert" not in made.fields[name].note.value


def test_a_mistake_over_several_parameters_has_a_place() -> None:
    made = form(n_cells=13)
    assert made.mistakes == {"": "13 cells bring bad luck"}
    assert "13 cells bring bad luck" in made.general.value


def test_hostile_entries_stay_text() -> None:
    made = form()
    made.fields["n_topics"].entry.value = "<img src=x onerror=alert(1)>"
    assert "<img" not in made.fields["n_topics"].note.value


def test_advanced_parameters_are_folded_and_the_rest_is_not() -> None:
    made = form()
    fold = made.fold
    assert fold is not None
    assert made.widget.children[1] is fold.widget
    assert not fold.open
    assert fold.body.layout.display == "none"
    assert fold.body.children[0].children == (made.fields["n_cells"].widget,)
    fold.head.shown = True
    assert fold.body.layout.display != "none"
    assert made.fields["rate"].widget in made.widget.children[0].children


def test_units_and_annotations_are_offered() -> None:
    made = form()
    assert "topics" in made.fields["n_topics"].widget.children[0].children[1].value
    assert [value for _, value in made.fields["groups"].entry.options] == [None, "cluster", "batch"]
    made.fields["groups"].entry.value = "batch"
    assert made.values()["groups"] == "batch"


def test_stored_values_are_shown_and_reset_to_defaults() -> None:
    made = form(n_topics=7, groups="gone", genes=["A", "B"], fast=False, unknown=3)
    assert made.values()["n_topics"] == 7
    assert made.values()["groups"] == "gone"
    assert made.values()["genes"] == ["A", "B"]
    assert sorted(made.changed) == ["fast", "genes", "groups", "n_topics"]
    made.reset()
    assert made.values() == Mixed().model_dump(mode="json")


def test_changes_are_reported_once_each() -> None:
    seen: list[int] = []
    made = ParamsForm(Mixed, on_change=lambda: seen.append(1))
    before = len(seen)
    made.fields["rate"].entry.value = "0.2"
    assert len(seen) == before + 1


@given(
    st.fixed_dictionaries(
        {
            "n_topics": st.one_of(st.just("auto"), st.integers(2, 100)),
            "rate": st.floats(1e-12, 1, exclude_max=True),
            "limit": st.one_of(st.none(), st.integers(-(10**9), 10**9).map(float)),
            "genes": st.one_of(st.just("all"), st.lists(st.from_regex(r"[B-Z][A-Z0-9.-]{0,8}", fullmatch=True))),
            "sizes": st.lists(st.integers(-(10**12), 10**12)),
        }
    )
)
def test_any_value_survives_being_written_and_read(values: dict[str, Any]) -> None:
    specs = {spec.name: spec for spec in Mixed.describe()}
    for name, value in values.items():
        assert parse_text(specs[name], format_value(value)) == value


@pytest.mark.parametrize("stage", BUILT_IN)
def test_every_parameter_has_a_title_of_words(stage: str) -> None:
    specs = get_stage(stage).Params.describe()
    titles = [spec.title for spec in specs]
    assert all(titles), [spec.name for spec in specs if not spec.title]
    assert len({title.casefold() for title in titles}) == len(titles)
    assert not any("_" in title or len(title) > 46 or not title[0].isupper() for title in titles)
    folder = Path(inspect.getfile(get_stage(stage).Params)).parent
    named = yaml.safe_load((folder / "texts" / "parameters.yaml").read_text())
    assert set(named) == {spec.name for spec in specs}


def test_what_was_changed_is_marked_and_counted() -> None:
    form = ParamsForm(get_stage("joint").Params)
    assert form.reset_button.description == "Reset to defaults"
    form.fields["resolution"].entry.value = "2"
    form.fields["n_markers"].entry.value = "3"
    assert "Changed." in form.fields["resolution"].note.value
    assert "Changed." not in form.fields["min_dist"].note.value
    assert form.fold.title == "5 advanced parameters, 1 changed"
    assert form.reset_button.description == "Reset to defaults (2 changed)"
    form.reset_button.click()
    assert form.changed == []
    assert "Changed." not in form.fields["resolution"].note.value


class Naming(Params):
    genes: Literal["all"] | list[str] = param("all", "Genes.", choices_from="genes")
    cell: str | int = param("", "A cell.", choices_from="cells")
    column: str = param("", "A column.", choices_from="numeric obs")


def test_names_of_the_run_are_searched_and_wrong_ones_are_marked(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ParamsForm(Naming, names=RunNames(store.root))
    genes, cell = made.fields["genes"].entry, made.fields["cell"].entry
    assert (genes.several, cell.several) == (True, False)
    assert made.values() == Naming().model_dump(mode="json")
    sent: list[Any] = []
    monkeypatch.setattr(genes, "send", lambda content, buffers=None: sent.append(content))
    genes._asked(genes, {"kind": "search", "text": "g1", "id": 3}, [])
    assert [item["value"] for item in sent[0]["items"]] == ["G1", "G10", "G11"]
    assert sent[0]["id"] == 3

    genes.value = "g1, G99"
    assert made.valid
    assert made.values()["genes"] == ["g1", "G99"]
    assert genes.wrong == ["G99"]
    assert "G99" in made.fields["genes"].note.value
    assert "G9" in made.fields["genes"].note.value.split("near to it", maxsplit=1)[1]
    genes.value = "all"
    assert genes.wrong == []
    assert "mn-doubt" not in made.fields["genes"].note.value
    cell.value = "c99"
    assert "mn-doubt" in made.fields["cell"].note.value
    cell.value = "29"
    assert made.values()["cell"] == 29
    assert "mn-doubt" not in made.fields["cell"].note.value

"""Presets: what was changed is kept under a name, set again with one click, and read by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mira_nb.cli.options import collect_parameters
from mira_nb.errors import ParameterError
from mira_nb.panels.app import Dashboard
from mira_nb.panels.job import JobController
from mira_nb.panels.panel import StagePanel
from mira_nb.panels.preset_bar import PresetBar, preset_folder
from mira_nb.panels.single import SinglePanel
from mira_nb.panels.state import ROOT_VARIABLE, RUN_VARIABLE
from mira_nb.panels.texts import phrase
from mira_nb.run.pipeline import parse_parameters
from mira_nb.run.presets import Presets
from mira_nb.run.store import RunStore
from tests.messages import refused


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the presets of a served root."""
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "root"))
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    return preset_folder()


@pytest.fixture
def page(store: RunStore, jobs: JobController, folder: Path) -> Dashboard:
    return Dashboard(store.root, jobs=jobs)


def opened(page: Dashboard, stage: str) -> tuple[StagePanel, PresetBar]:
    page.stages.selected = stage
    panel = page.panels[stage]
    assert panel.presets is not None
    return panel, panel.presets


def test_a_preset_of_a_stage_is_saved_applied_and_read_by_the_command_line(page: Dashboard, folder: Path) -> None:
    panel, bar = opened(page, "prepare")
    assert panel.form is not None
    assert bar.apply_button.disabled
    panel.form.fields["scale"].entry.value = "2.5"
    bar.name.value = " Strict "
    bar.save_button.click()
    file = folder / "Strict.yaml"
    assert yaml.safe_load(file.read_text()) == {"prepare": {"scale": 2.5}}
    assert parse_parameters(collect_parameters(file, []))["prepare"].model_dump()["scale"] == 2.5
    assert bar.menu.value == "Strict"

    panel.form.set_values({"scale": 7.0, "mode": "fancy"})
    bar.apply_button.click()
    assert panel.form.values() == {"scale": 2.5, "mode": "plain"}
    for label, before, after in (("scale", "7", "2.5"), ("mode", "fancy", "plain")):
        said = phrase("presets", "change", title="Stage prepare", label=label, before=before, after=after)
        assert said in bar.note.value
    bar.apply_button.click()
    assert phrase("presets", "applied", name="Strict", n=0).strip() in bar.note.value


def test_a_preset_of_all_stages_sets_every_form(page: Dashboard, folder: Path) -> None:
    page.propose("topics_rna", {"scale": 3.0})
    _, bar = opened(page, "joint")
    bar.name.value, bar.scope.value = "whole", "run"
    bar.save_button.click()
    kept = Presets(folder).read("whole")
    assert list(kept) == list(page.run.stages)
    assert kept["topics_rna"] == {"scale": 3.0}
    assert kept["prepare"] == {}

    page.propose("topics_rna", {"scale": 1.0})
    page.propose("prepare", {"scale": 9.0})
    bar.apply_button.click()
    assert page.panels["topics_rna"].form.values()["scale"] == 3.0  # type: ignore[union-attr]
    assert page.panels["prepare"].form.values()["scale"] == 1.0  # type: ignore[union-attr]
    assert "Stage topics_rna" in bar.note.value
    assert phrase("presets", "applied", name="whole", n=2).split(";", maxsplit=1)[0] in bar.note.value


def test_what_would_be_lost_is_asked_about(page: Dashboard, folder: Path) -> None:
    panel, bar = opened(page, "prepare")
    Presets(folder).save("one", {"prepare": {"scale": 4.0}})
    bar.refresh()
    assert panel.form is not None
    bar.name.value = "one"
    bar.save_button.click()
    assert Presets(folder).read("one") == {"prepare": {"scale": 4.0}}
    bar.no.click()
    bar.yes.click()  # the question was taken back
    assert Presets(folder).read("one") == {"prepare": {"scale": 4.0}}
    bar.save_button.click()
    bar.yes.click()
    assert Presets(folder).read("one") == {"prepare": {}}

    bar.delete_button.click()
    assert Presets(folder).names() == ["one"]
    assert phrase("presets", "really", name="one") in bar.question.value
    bar.yes.click()
    assert Presets(folder).names() == []
    assert bar.question.value == ""
    assert bar.delete_button.disabled


def test_what_is_not_known_here_is_said_and_left_out(page: Dashboard, folder: Path) -> None:
    panel, bar = opened(page, "prepare")
    Presets(folder).save("foreign", {"prepare": {"scale": 2.0, "old": 1}, "gone": {"x": 1}})
    (folder / "broken.yaml").write_text("- a\n")
    bar.refresh("foreign")
    bar.apply_button.click()
    assert panel.form is not None
    assert panel.form.values()["scale"] == 2.0
    for where in ("prepare.old", "gone"):
        assert phrase("presets", "unknown", where=where) in bar.note.value
    bar.refresh("broken")
    bar.apply_button.click()
    assert "mn-alert-error" in bar.note.value
    assert panel.form.values()["scale"] == 2.0


def test_a_wrong_entry_is_not_kept(page: Dashboard, folder: Path) -> None:
    panel, bar = opened(page, "prepare")
    assert panel.form is not None
    panel.form.fields["scale"].entry.value = "-1"
    bar.name.value = "wrong"
    bar.save_button.click()
    assert "mn-alert-error" in bar.note.value
    assert Presets(folder).names() == []


@pytest.mark.parametrize("name", ["", "../out", "a/b", ".hidden", "x" * 61, "end.", "a\nb"])
def test_names_that_are_no_file_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with refused("run.preset_name", ParameterError):
        Presets(tmp_path).save(name, {})
    assert list(tmp_path.iterdir()) == []


def test_presets_are_listed_by_name(tmp_path: Path) -> None:
    presets = Presets(tmp_path / "none yet")
    assert presets.names() == []
    for name in ("b", "Ähre 2", "A"):
        presets.save(name, {"joint": {"markers": ["Ä", "B"]}})
    assert presets.names() == ["A", "b", "Ähre 2"]
    assert presets.read("Ähre 2") == {"joint": {"markers": ["Ä", "B"]}}
    with refused("run.preset_missing", ParameterError, name="c"):
        presets.read("c")


def test_presets_lie_in_the_served_root_or_with_the_settings_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, run = tmp_path / "root", tmp_path / "root" / "run"
    monkeypatch.setenv(ROOT_VARIABLE, str(root))
    monkeypatch.setenv(RUN_VARIABLE, "")
    assert preset_folder() == root / "presets"
    monkeypatch.setenv(RUN_VARIABLE, str(run))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert not preset_folder().is_relative_to(root)
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path / "elsewhere" / "run"))
    assert preset_folder() == root / "presets"


def test_a_panel_alone_keeps_its_own_stage(store: RunStore, jobs: JobController, folder: Path) -> None:
    bar = SinglePanel("prepare", store.root, jobs=jobs).panel.presets
    assert bar is not None
    assert [value for _, value in bar.scope.options] == ["stage"]

"""One stage's panel in a notebook of one's own."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as widgets
import pytest

import mira_nb.panels
from mira_nb.errors import MiraError
from mira_nb.panels.job import JobController
from mira_nb.panels.single import SinglePanel
from mira_nb.run.store import RunStore
from mira_nb.stages.registry import stage_names


def test_a_click_runs_the_stage_of_the_panel(store: RunStore, jobs: JobController) -> None:
    page = SinglePanel("prepare", store.root, jobs=jobs)
    page.panel.form.fields["scale"].entry.value = "2.5"
    page.panel.run_button.click()
    page.jobs.wait(60)
    page.refresh()
    assert "prepare" in store.finished()
    assert [item["name"] for item in page.panel.figures.items] == ["chart", "picture", "drawing"]
    assert "2.5" in page.panel.summary.value


def test_every_stage_has_a_function(store: RunStore) -> None:
    assert set(stage_names()) <= set(dir(mira_nb.panels))
    shown = mira_nb.panels.prepare(store.root)
    assert isinstance(shown, widgets.VBox)
    with pytest.raises(AttributeError, match="no 'nothing'"):
        _ = mira_nb.panels.nothing


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MiraError, match=r"run\.json"):
        SinglePanel("prepare", tmp_path)

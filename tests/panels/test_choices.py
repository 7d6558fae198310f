"""What a trajectory leaves open is settled with one click."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mira_nb.panels.choices import Choices, questions
from mira_nb.panels.job import JobRequest
from mira_nb.panels.panel import StagePanel
from mira_nb.run.store import RunStore
from mira_nb.stages.registry import get_stage
from mira_nb.stages.trajectory.params import TrajectoryParams
from tests.panels.test_app import texts

BOTH = (
    "orientation,start_cell,group,named_by,lineages,branch_times\n"
    'proposed,c7,stem <b>,"chromatin_lead, entropy_rna","A, B",0.412\n'
    "alternative,12,,entropy_atac,,\n"
)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    (tmp_path / "stages" / "trajectory" / "tables").mkdir(parents=True)
    get_stage.cache_clear()
    return RunStore(tmp_path)


def write(store: RunStore, lineages: str, direction: str) -> None:
    folder = store.stage_dir("trajectory") / "tables"
    rows = f"trajectory,supported,x\nlineages,{lineages},x\ndirection,{direction},x\n"
    (folder / "verdict.csv").write_text(f"subject,verdict,reason\n{rows}")
    (folder / "orientations.csv").write_text(BOTH)


def test_only_what_is_open_is_asked(store: RunStore) -> None:
    assert questions(store, "trajectory") == []  # no result, or one of an older version
    write(store, "drawn", "given")
    assert questions(store, "trajectory") == []
    write(store, "not drawn", "not established")
    direction, lineages = questions(store, "trajectory")
    assert [choice.values for choice in direction.choices] == [{"start_cell": "c7"}, {"start_cell": "12"}]
    assert "chromatin lead, entropy rna. Lineages: A, B; branch times: 0.412" in direction.choices[0].text
    assert [choice.values for choice in lineages.choices] == [{"draw_unsupported": True}]
    assert questions(store, "joint") == []
    for question in (direction, lineages):
        for choice in question.choices:
            TrajectoryParams.parse("trajectory", dict(choice.values))


def test_buttons_are_escaped_and_locked(store: RunStore) -> None:
    write(store, "drawn", "not established")
    chosen: list[Any] = []
    shown = Choices(chosen.append)
    shown.show(questions(store, "trajectory"))
    assert "In stem &lt;b&gt;" in texts(shown.widget)
    shown.lock(True)
    assert all(button.disabled for button in shown.buttons)
    shown.lock(False)
    shown.buttons[1].click()
    assert chosen == [{"start_cell": "12"}]


def test_a_click_sets_the_parameter_and_runs(store: RunStore) -> None:
    from mira_nb.panels.form import ParamsForm

    asked: list[JobRequest] = []
    panel = StagePanel("trajectory", store, start=asked.append)
    panel.form = ParamsForm(TrajectoryParams, values={"n_neighbors": 40})
    panel._choose({"start_cell": "c7"})
    (request,) = asked
    assert request.stage == "trajectory"
    assert request.parameters["trajectory"]["start_cell"] == "c7"
    assert request.parameters["trajectory"]["n_neighbors"] == 40

"""A run folder made by the version before (``mira-nb demo --size small``, up to the trajectory) still opens."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest

from mira_nb.panels.state import read_run as read_state
from mira_nb.report.build import build_report
from mira_nb.report.reader import read_run
from mira_nb.run.store import RunStore
from mira_nb.stages.registry import BUILT_IN

ARCHIVE = Path(__file__).resolve().parents[1] / "fixtures" / "run-0.1.0-before-packages.tar.xz"
LATER = {"tuning_rna", "tuning_atac"}
"""Stages that the version before did not have."""
DONE = [name for name in list(BUILT_IN)[: list(BUILT_IN).index("trajectory") + 1] if name not in LATER]


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("older") / "run"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_stages_and_titles_are_read(older: Path) -> None:
    view = read_run(older)
    assert [stage.name for stage in view.stages] == [name for name in BUILT_IN if name not in LATER]
    assert [stage.name for stage in view.stages if stage.status == "done"] == DONE
    assert {stage.title for stage in view.stages} >= {"Expression topics", "Joint representation", "drivers"}


def test_the_report_is_built_again(older: Path) -> None:
    text = build_report(older).read_text(encoding="utf-8")
    for name in DONE:
        assert f'<section id="{name}"' in text
    assert not re.search(r"\w+\.(vl\.json|png|csv) cannot be shown", text)
    assert "UMAP of the joint representation" in text


def test_values_are_loaded(older: Path) -> None:
    data = RunStore(older).load_data(DONE)
    assert data.obsm["X_joint"].shape[0] == data.n_obs == 300
    assert data.obs["pseudotime"].between(0, 1).all()
    assert len(RunStore(older).table("trajectory", "lineage_tree")) > 1


def test_panels_show_its_states(older: Path) -> None:
    """Resources are gone and the code is another: results are out of date or blocked, not an error."""
    states = read_state(RunStore(older)).stages
    assert set(states) >= set(BUILT_IN)
    assert all(states[name].stored is not None for name in DONE)

"""A stage that another package adds: installed, run, shown in report, panels, check and command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mira_nb.errors import ParameterError
from mira_nb.run.demo import demonstration
from mira_nb.stages import registry
from tests.messages import refused

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "complexity_stage"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which the example is installed."""
    target = tmp_path_factory.mktemp("plug-in")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(target), str(EXAMPLE)], check=True, capture_output=True)
    paths = [str(target), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture(scope="module")
def run_dir(installed: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the small embedded data in which the plug-in's stage is done, by the command line."""
    folder = tmp_path_factory.mktemp("run")
    store = demonstration("topics_rna", folder=folder)
    code = (
        "from mira_nb.io.resources import Resources\n"
        "from mira_nb.run.pipeline import RunRequest, run_pipeline\n"
        "from mira_nb.run.store import RunStore\n"
        "from mira_nb.io.spec import InputSpec\n"
        f"store = RunStore({str(store.root)!r})\n"
        "record = store.read_record()\n"
        "run_pipeline(RunRequest(spec=InputSpec.from_json(record['input_spec']), "
        "resources=Resources.from_json(record['resource_paths']), out=store.root, only='complexity'))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=installed, capture_output=True, text=True)
    return store.root


def printed(code: str, environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True
    ).stdout


def test_order_and_function(installed: dict[str, str]) -> None:
    code = (
        "import mira_nb; from mira_nb.stages.registry import stage_names, stage_version\n"
        "print(stage_names()[-1], mira_nb.complexity.__name__, 'complexity' in dir(mira_nb))\n"
        "print(stage_version('complexity'))"
    )
    first, version = printed(code, installed).splitlines()
    assert first == "complexity complexity True"
    assert version.endswith("mira-nb-complexity 1.0.0")


def test_it_runs_and_stands_in_the_report(run_dir: Path) -> None:
    stage = json.loads((run_dir / "stages" / "complexity" / "stage.json").read_text())
    record = json.loads((run_dir / "run.json").read_text())
    assert list(record["stages"])[-1] == "complexity"
    assert record["stages"]["complexity"]["status"] == "done"
    assert [item["name"] for item in stage["tables"]] == ["groups"]
    assert stage["metrics"][0]["value"] < 0.1
    report = (run_dir / "report.html").read_text()
    assert '<section id="complexity"' in report
    assert "Genes detected against counts" in report


def test_panels_and_check_know_it(run_dir: Path, installed: dict[str, str]) -> None:
    code = (
        "from pathlib import Path; from mira_nb.panels.state import read_run; from mira_nb.run.store import RunStore\n"
        f"state = read_run(RunStore(Path({str(run_dir)!r})))\n"
        "print(list(state.stages)[-1], state.stages['complexity'].status)"
    )
    assert printed(code, installed).split() == ["complexity", "done"]
    data = run_dir.parent / "data"
    shown = subprocess.run(
        [sys.executable, "-m", "mira_nb", "check", "--rna", data / "rna.h5ad", "--atac", data / "atac.h5ad"],
        check=True, env=installed, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "Complexity of the cells" in shown
    listed = subprocess.run(
        [sys.executable, "-m", "mira_nb", "parameters", "complexity"],
        check=True, env=installed, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "complexity.low = 0.7" in listed


PANEL = """
import json
from pathlib import Path
from mira_nb.panels.app import Dashboard
from mira_nb.panels.panel import StagePanel
from mira_nb.panels.state import read_run
from mira_nb.run.store import RunStore
store = RunStore(Path(RUN))
page = Dashboard(store.root)
page.stages.selected = "complexity"
asked = []
panel = StagePanel("complexity", store, start=asked.append)
panel.update(read_run(store), busy=False)
panel.form.fields["low"].entry.value = "0.6"
panel.run_button.click()
panel.form.fields["low"].entry.value = "7"
figure = page.panels["complexity"].figures.answer("figure", "genes_by_counts")
print(json.dumps({
    "listed": page.stages.items,
    "shown": page.panels["complexity"].widget in page.main.children,
    "form": list(panel.form.fields), "refused": list(panel.form.mistakes), "disabled": panel.run_button.disabled,
    "asked": [[request.stage, request.parameters] for request in asked],
    "figures": [item["name"] for item in page.panels["complexity"].figures.items],
    "tables": [item["name"] for item in page.panels["complexity"].tables.items],
    "chart": json.loads(figure.content),
}))
"""


def test_the_dashboard_lists_it_and_its_panel_draws_the_result(run_dir: Path, installed: dict[str, str]) -> None:
    import vl_convert

    seen = json.loads(printed(PANEL.replace("RUN", repr(str(run_dir)), 1), installed))
    names = [item["name"] for item in seen["listed"]]
    assert names[: len(registry.BUILT_IN) + 1] == [*registry.BUILT_IN, "complexity"]
    listed = seen["listed"][names.index("complexity")]
    assert (listed["title"], listed["status"]) == ("Complexity of the cells", "done")
    assert seen["shown"]
    # the form is made from the parameters; the run button starts the stage with them, or waits for a correction
    assert seen["form"] == ["low"]
    assert seen["asked"] == [["complexity", {"complexity": {"low": 0.6}}]]
    assert (seen["refused"], seen["disabled"]) == (["low"], True)
    assert (seen["figures"], seen["tables"]) == (["genes_by_counts"], ["groups"])
    assert vl_convert.vegalite_to_svg(seen["chart"]).count('aria-roledescription="circle"') > 100


class Point:
    """Stands for an entry point."""

    dist = None

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def load(self) -> object:
        raise ImportError("no module named nothing")


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    found: list[Point] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: found)
    for function in (registry._plug_ins, registry.get_stage, registry.stage_names):
        monkeypatch.setattr(registry, function.__name__, function.__wrapped__)
    return found


def test_a_name_that_is_taken_is_refused(points: list[Point]) -> None:
    points.append(Point("joint", "other:Joint"))
    with refused("stages.plug_in_name_taken", ParameterError, origin="other:Joint", name="joint"):
        registry._plug_ins()


def test_a_broken_plug_in_is_named(points: list[Point]) -> None:
    points.append(Point("broken", "nothing:Broken"))
    with refused("stages.plug_in_not_loaded", ParameterError, name="broken", reason="no module named nothing"):
        registry.get_stage("broken")

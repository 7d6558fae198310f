"""The start page without a browser: what is found below a root, the form of a new run, uploads, the run it starts."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mira_nb.errors import ParameterError
from mira_nb.io.subset import Subset, parse_subset
from mira_nb.panels import upload as upload_module
from mira_nb.panels.app import Dashboard
from mira_nb.panels.job import JobController
from mira_nb.panels.library import candidates, free_folder, guess_roles, kept_labels, listing, recent_runs
from mira_nb.panels.new_run import NewRun
from mira_nb.panels.start import Shell, StartPage
from mira_nb.run.store import RunStore
from tests.panels import fakes
from tests.panels.conftest import WORKER
from tests.panels.test_app import texts


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Served root with a pair of count matrices, resources, and no run."""
    folder = tmp_path_factory.mktemp("root")
    fakes.write_pair(folder / "data")
    (folder / "data" / "sets.gmt").write_text("s1\t\tG1\tG2\tG3\n")
    with gzip.open(folder / "data" / "genome.fa.gz", "wt") as stream:
        stream.write(">chr1\n" + "ACGT" * 600 + "\n")
    return folder


@pytest.fixture
def small_stages() -> Iterator[None]:
    """The tiny stages in place of the real ones."""
    fakes.install()
    yield
    fakes.restore()


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.time() + seconds
    while not holds():
        assert time.time() < end
        time.sleep(0.05)


def test_roles_are_guessed_from_names_and_then_from_features(root: Path, tmp_path: Path) -> None:
    runs, files, whole = listing(root)
    assert (runs, whole) == ([], True)
    guessed = {role: [path.name for path in paths] for role, paths in guess_roles(files).items()}
    assert guessed == {
        "rna": ["rna.h5ad"],
        "atac": ["atac.h5ad"],
        "gene_sets": ["sets.gmt"],
        "genome": ["genome.fa.gz"],
    }
    for old, new in (("rna", "x"), ("atac", "y")):
        (tmp_path / f"{new}.h5ad").write_bytes((root / "data" / f"{old}.h5ad").read_bytes())
    by_features = guess_roles(sorted(tmp_path.iterdir()))
    assert {role: paths[0].name for role, paths in by_features.items()} == {"rna": "x.h5ad", "atac": "y.h5ad"}
    assert guess_roles([tmp_path / "a.h5mu"]) == {"mudata": [tmp_path / "a.h5mu"]}
    assert guess_roles([tmp_path / "filtered_feature_bc_matrix.h5"]) == {
        "tenx": [tmp_path / "filtered_feature_bc_matrix.h5"]
    }
    assert guess_roles([tmp_path / "notes.txt"]) == {}
    (tmp_path / "mouse-brain").mkdir()
    assert free_folder(tmp_path, "Mouse  Brain!").name == "mouse-brain-2"
    assert free_folder(tmp_path, "../../etc").parent == tmp_path


def test_a_run_starts_from_nothing_and_is_found_again(root: Path, small_stages: None) -> None:
    opened: list[Path] = []
    new = NewRun(root, started=opened.append, controller=lambda path: JobController(path, command=WORKER))
    assert new.button.disabled
    new.offer(listing(root)[1])
    until(lambda: not new.button.disabled)
    assert "<b>30</b> cells, <b>12</b> genes and <b>20</b> peaks" in new.check.value
    assert "stages can run" in new.check.value
    assert "of memory" in new.cost.value
    assert [value for _, value in new.annotations["groups"].options] == ["", "kind"]
    assert new.start_cell.options[:2] == ("c0", "c1")
    new.start_cell.value = "nobody"
    until(lambda: "nobody" in new.check.value)
    assert new.button.disabled
    new.start_cell.value = "c3"
    new.annotations["groups"].value = "kind"
    until(lambda: not new.button.disabled)
    assert new.start_cell.value == "c3"
    new.title.value = "My <first> run"
    new.button.click()
    folder = opened[0]
    assert folder == root / "my-first-run"

    shell = Shell(root, folder)  # another page, opened while the input is read or later
    until(lambda: not JobController(folder).state().active)
    shell.follow()
    assert isinstance(shell.view, Dashboard)
    shell.close()
    assert JobController(folder).state().status == "done"
    record = RunStore(folder).read_record()
    assert record["title"] == "My <first> run"
    assert record["resources"]["groups"] == "kind"
    assert record["resource_paths"]["start_cell"] == "c3"
    assert {entry["status"] for entry in record["stages"].values()} == {"done"}
    (summary,) = recent_runs(root, listing(root)[0])
    assert (summary.state, summary.facts[0]) == ("finished", "30 cells")
    page = StartPage(root, opened.append)
    assert "My &lt;first&gt; run" in texts(page.widget)
    page.runs.children[0].children[1].click()
    assert opened[-1] == folder


def test_cells_and_clusters_are_chosen_from_what_the_data_hold(root: Path, small_stages: None) -> None:
    opened: list[Path] = []
    (root / "plain.csv").write_text("cell,kind\nc0,a\n")
    (root / "older").mkdir()
    (root / "older" / "labels.tsv").write_text("cluster\tlabel\tn_cells\n0\tB cells, naive\t9\n1\t\t8\n2\tT\t7\n")
    new = NewRun(root, started=opened.append, controller=lambda path: JobController(path, command=WORKER))
    new.offer(listing(root)[1])
    until(lambda: not new.button.disabled)
    assert [label for label, _ in new.roles["labels"].options] == ["(none)", "older/labels.tsv"]
    assert new.roles["labels"].value == ""  # a table of labels is never guessed, nor taken for annotations
    assert "older/labels.tsv" in [label for label, _ in new.roles["obs"].options]
    assert new.roles["obs"].value == ""
    assert [value for _, value in new.subset.column.options] == ["", "kind"]
    assert new.subset.values.layout.display == "none"
    new.subset.column.value = "kind"
    assert new.button.disabled
    assert "Choose which values" in new.check.value
    assert new.subset.values.options == ("a", "b")
    new.subset.values.value = ("b",)
    until(lambda: "15 cells" in new.check.value)  # too few
    assert new.button.disabled
    new.subset.values.value = ("a", "b")
    until(lambda: not new.button.disabled)
    assert new.resources().subset == "kind=a,b"
    new.roles["labels"].value = str(root / "older" / "labels.tsv")
    until(lambda: len(new.subset.column.options) > 2)
    assert [value for _, value in new.subset.column.options] == ["", "kind", "cell_label", "leiden"]
    assert new.resources().subset == "kind=a,b"  # filling the menus anew keeps what was chosen
    new.subset.column.value = "cell_label"
    assert new.subset.values.options == ("B cells, naive", "T")
    new.subset.values.value = ("B cells, naive", "T")
    until(lambda: not new.button.disabled)
    assert parse_subset(str(new.resources().subset)) == Subset("cell_label", ("B cells, naive", "T"))
    new.subset.column.value = "leiden"
    assert new.subset.values.options == ("0", "2", "1")
    new.subset.values.value = ("2",)
    until(lambda: not new.button.disabled)
    new.title.value = "Some cells"
    new.button.click()
    until(lambda: not JobController(opened[0]).state().active)
    record = RunStore(opened[0]).read_record()
    assert record["resources"]["subset"] == "leiden=2"
    assert record["resources"]["labels"][0]["name"] == "labels.tsv"
    new.subset.column.value = ""
    until(lambda: not new.button.disabled)
    assert new.resources().subset is None


def test_choices_that_the_data_no_longer_hold_are_taken_back(root: Path, small_stages: None) -> None:
    (root / "labels.tsv").write_text("cluster\tlabel\n0\tB\n")
    new = NewRun(root, started=lambda _: None)
    new.offer(listing(root)[1])
    until(lambda: not new.button.disabled)
    new.roles["labels"].value = str(root / "labels.tsv")
    until(lambda: not new.button.disabled)
    new.subset.column.value = "cell_label"
    new.subset.values.value = ("B",)
    until(lambda: not new.button.disabled)
    new.roles["labels"].value = ""
    until(lambda: not new.button.disabled)
    assert (new.subset.column.value, new.resources().subset) == ("", None)
    assert not new.report.problems


def test_labels_that_were_made_in_a_run_are_offered(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "explorer"
    folder.mkdir(parents=True)
    assert kept_labels([tmp_path / "run"]) == []
    (folder / "labels.csv").write_text('\ufeff"cluster","label"\n0,B\n')
    assert kept_labels([tmp_path / "run"]) == [folder / "labels.csv"]
    assert candidates("labels", [folder / "labels.csv", tmp_path / "no.csv"]) == [folder / "labels.csv"]


def test_a_run_whose_input_is_refused_says_so(tmp_path: Path, small_stages: None) -> None:
    spec = fakes.write_pair(tmp_path / "data")
    opened: list[Path] = []
    new = NewRun(tmp_path, started=opened.append, controller=lambda path: JobController(path, command=WORKER))
    new.offer(listing(tmp_path)[1])
    until(lambda: not new.button.disabled)
    assert spec.atac is not None
    spec.atac.write_bytes(b"no longer what was checked")
    new.button.click()
    until(lambda: not JobController(opened[0]).state().active)
    shell = Shell(tmp_path, opened[0])
    shell.follow()
    assert "mn-alert-error" in texts(shell.widget)
    shell.back.click()
    assert "failed" in texts(shell.widget)
    shell.close()


def test_uploads_arrive_in_pieces_and_stay_in_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: list[Path] = []
    field = upload_module.Upload(tmp_path, arrived.append)
    piece = {"name": "../../evil/rna.h5ad", "size": 6}
    assert field.take("1", {**piece, "offset": 0}, b"abc") == {"offset": 3}
    with pytest.raises(ParameterError, match="piece"):
        field.take("1", {**piece, "offset": 4}, b"f")
    assert field.take("1", {**piece, "offset": 3}, b"def") == {"done": True, "name": "rna.h5ad"}
    assert arrived == [tmp_path / "uploads" / "rna.h5ad"]
    assert arrived[0].read_bytes() == b"abcdef"
    assert field.take("2", {**piece, "offset": 0}, b"abcdef")["name"] == "rna-2.h5ad"  # nothing is replaced
    field.limit = 5
    with pytest.raises(ParameterError, match="too large"):
        field.take("3", {**piece, "offset": 0}, b"abc")
    with pytest.raises(ParameterError, match="not a name"):
        field.take("4", {"name": ".bashrc", "size": 1, "offset": 0}, b"a")
    with pytest.raises(ParameterError, match="beginning"):
        field.take("5", {"name": "x", "size": 2, "offset": 1}, b"a")
    sent: list[dict[str, object]] = []
    monkeypatch.setattr(field, "send", lambda content, buffers=None: sent.append(content))
    field._handle_custom_msg({"id": "6", "name": "a.gmt", "size": 2, "offset": 0}, [memoryview(b"ab")])
    assert sent == [{"kind": "taken", "id": "6", "done": True, "name": "a.gmt"}]

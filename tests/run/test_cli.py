"""Command line: parsing, messages, exit status."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from mira_nb.cli import app
from mira_nb.cli.options import Given, collect_parameters, takes
from mira_nb.errors import ParameterError
from tests.messages import refused


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mira_nb", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_set_is_parsed_as_yaml_and_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("joint: {resolution: 2.0, n_neighbors: 10}\n")
    got = collect_parameters(file, ["joint.resolution=0.5", "regulation.genes=[A, B]", "topics_rna.n_topics=auto"])
    assert got == {
        "joint": {"resolution": 0.5, "n_neighbors": 10},
        "regulation": {"genes": ["A", "B"]},
        "topics_rna": {"n_topics": "auto"},
    }


@pytest.mark.parametrize("text", ["joint", "joint.resolution", "resolution=1", ".x=1", "joint.=1"])
def test_a_malformed_set_is_refused(text: str) -> None:
    with refused("cli.set_not_understood", ParameterError, text=text):
        collect_parameters(None, [text])


@pytest.mark.parametrize("content", ["- a\n", "joint: 3\n", "a: [1\n"])
def test_a_malformed_parameter_file_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(content)
    code = "params_not_yaml" if "[" in content else "params_other_form"
    with refused(f"run.{code}", ParameterError, file=str(file)):
        collect_parameters(file, [])
    with refused("run.params_unreadable", ParameterError):
        collect_parameters(tmp_path / "none.yaml", [])


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mira_nb import cli; "
        "print([m for m in ('torch','scanpy','anndata','pandas','numpy','altair','numba') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    started = time.perf_counter()
    assert run_cli("--help").returncode == 0
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--out", "x"], ["exactly one of", "--mudata"]),
        (["run", "--out", "x", "--rna", "a.h5ad"], ["--atac"]),
        (["run", "--out", "x", "--rna", "a", "--atac", "b", "--tenx", "c"], ["exactly one of"]),
        (["run", "--rna", "a"], ["--out"]),
        (["nonsense"], ["nonsense"]),
        (["report", "no-such-folder"], ["no-such-folder", "run.json"]),
        (["dashboard", "no-such-folder"], ["no-such-folder is not a folder"]),
        (["run", "--out", "x", "--rna", "none.h5ad", "--atac", "none2.h5ad"], ["none.h5ad"]),
        (["run", "--out", "x", "--rna", "a", "--atac", "b", "--set", "nostage.x=1"], ["nostage"]),
        (["run", "--out", "x", "--rna", "a", "--atac", "b", "--set", "joint.nothing=1"], ["joint.nothing"]),
        (["run", "--out", "x", "--rna", "a", "--atac", "b", "--set", "joint.n_neighbors=no"], ["joint.n_neighbors"]),
        (["run", "--out", "x", "--rna", "a", "--atac", "b", "--until", "never"], ["never", "prepare"]),
        (["run", "--out", "x", "--rna", "a", "--atac", "b", "--compute", "some"], ["some", "tcp://HOST:PORT"]),
        (["demo", "--out", "x", "--compute", "none.yaml"], ["none.yaml", "no such file"]),
    ],
)
def test_mistakes_get_one_message_and_status_two(
    arguments: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(tmp_path / "x") if item == "x" else item for item in arguments]
    done = run_cli(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert done.stdout == ""


def test_version() -> None:
    from mira_nb import __version__

    assert run_cli("--version").stdout.strip() == f"mira-nb {__version__}"


def options_of(command: str) -> list[str]:
    found = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    return [item.name for item in found]


def test_run_and_check_read_an_experiment_by_the_same_options() -> None:
    given = [item.name for item in fields(Given)]
    assert options_of("check") == given
    own = ["params", "sets", "until", "seed", "title", "compute", "batch_file"]
    assert options_of("run") == ["out", *given, *own]


def test_options_in_a_group_reach_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Given] = []

    @takes(Given)
    def command(out: Annotated[Path, typer.Option()], given: Given, seed: Annotated[int, typer.Option()] = 3) -> None:
        seen.append(given)
        assert (out, seed) == (Path("o"), 4)

    small = typer.Typer()
    small.command()(command)
    arguments = [
        "--out",
        "o",
        "--rna",
        "r.h5ad",
        "--atac",
        "a.h5ad",
        "--gene-sets",
        "x",
        "--gene-sets",
        "y",
        "--seed",
        "4",
    ]
    result = CliRunner().invoke(small, [*arguments, "--groups", "state", "--seed", "4"])
    assert result.exit_code == 0, result.output
    (given,) = seen
    assert given == Given(rna=Path("r.h5ad"), atac=Path("a.h5ad"), gene_sets=[Path("x"), Path("y")], groups="state")
    assert given.spec().rna == Path("r.h5ad")
    made = given.resources(lambda *told: None)
    assert (made.gene_sets, made.groups, made.labels) == ((Path("x"), Path("y")), "state", None)

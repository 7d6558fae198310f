"""What a user installs: the wheel holds the templates and notebooks and works away from the repository."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import nbformat
import pytest

import mira_nb
from mira_nb.stages.registry import BUILT_IN

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str, folder: Path, path: Path | None = None) -> str:
    """Run a command in a folder, with only `path` as additional place of modules."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    done = subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel built from the source distribution, so that both are complete."""
    folder = tmp_path_factory.mktemp("dist")
    run("-m", "hatchling", "build", "-t", "sdist", "-d", str(folder), folder=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    run("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), folder=source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    run(
        "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
        "--target", str(target), str(wheel), folder=target,
    )  # fmt: skip
    return target


def test_wheel_holds_everything_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"mira_nb/templates/{stage}.ipynb" for stage in BUILT_IN} <= names
    assert "mira_nb/notebooks/dashboard.ipynb" in names
    assert {"mira_nb/report/decisions.md", "mira_nb/report/columns.yaml"} <= names
    assert "mira_nb/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} <= {
        "mira_nb", f"mira_nb-{mira_nb.__version__}.dist-info", f"mira_nb-{mira_nb.__version__}.data",
    }  # fmt: skip
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".h5ad", ".h5mu"))]


def test_every_module_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "mira_nb").rglob("*.py")}
    assert modules <= names


def test_texts_of_the_stages_are_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    texts = {str(path.relative_to(ROOT)) for path in (ROOT / "mira_nb" / "stages").glob("*/texts/*")}
    assert {Path(name).suffix for name in texts} == {".yaml", ".md"}
    assert texts <= names


def test_installed_package_works_away_from_the_repository(installed: Path, tmp_path: Path) -> None:
    assert "demo" in run("-m", "mira_nb", "--help", folder=tmp_path, path=installed)
    shown = run(
        "-c", "from mira_nb.run.notebooks import template_path; print(template_path('joint'))",
        folder=tmp_path, path=installed,
    )  # fmt: skip
    assert Path(shown.strip()) == installed / "mira_nb" / "templates" / "joint.ipynb"
    alert = "Texts('mira_nb.stages.prepare').alert('never_open_peaks', n_peaks=7)"
    shown = run("-c", f"from mira_nb.stages.texts import Texts; print({alert}.code)", folder=tmp_path, path=installed)
    assert shown.strip() == "prepare.never_open_peaks"


@pytest.mark.slow
def test_a_template_of_the_wheel_runs_by_itself_with_papermill(installed: Path, tmp_path: Path) -> None:
    """With papermill alone: no run folder, one parameter given."""
    template = installed / "mira_nb" / "templates" / "prepare.ipynb"
    output = tmp_path / "out.ipynb"
    run(
        "-m", "papermill", "--no-progress-bar", "-p", "n_pcs", "10", str(template), str(output),
        folder=tmp_path, path=installed,
    )  # fmt: skip
    notebook = nbformat.read(output, as_version=4)
    assert "injected-parameters" in [tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])]
    shown = "\n".join(str(item) for cell in notebook.cells for item in cell.get("outputs", []))
    assert "image/png" in shown
    assert "10 principal components" in shown


def test_lock_fits_the_declared_dependencies() -> None:
    """Every declared dependency is pinned in the lock, by an exact version that the declaration allows."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    def pins(name: str) -> dict[str, str]:
        lines = (ROOT / "requirements" / name).read_text().splitlines()
        pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
        assert all(len(pair) == 2 and re.fullmatch(r"[0-9][A-Za-z0-9.]*", pair[1]) for pair in pairs)
        return {canonicalize_name(package): version for package, version in pairs}

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, test = pins("run.lock"), pins("test.lock")
    assert runtime["torch"] == "2.13.0"
    assert not set(runtime) & set(test)
    extras = [item for group in project["optional-dependencies"].values() for item in group]
    for declared, locked in ((project["dependencies"], runtime), (extras, {**runtime, **test})):
        for requirement in map(Requirement, declared):
            version = locked[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True), f"{requirement} against {version}"


NOT_IMPORTED = {
    "igraph": "loaded by scanpy, whose Leiden it is",
    "leidenalg": "loaded by scanpy where a user calls sc.tl.leiden on a result",
}
"""Declared dependencies that no module imports, each with its reason."""


def imported_modules() -> dict[str, set[str]]:
    """Top-level modules of others that the package imports anywhere, and where."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "mira_nb").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - {"mira_nb"}:
                if name not in sys.stdlib_module_names:
                    found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    from importlib.metadata import packages_distributions

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {canonicalize_name(Requirement(item).name) for item in project["dependencies"]}
    optional = {
        canonicalize_name(Requirement(item).name)
        for extra, items in project["optional-dependencies"].items()
        if extra not in {"test", "lint", "docs"}
        for item in items
    }
    packages = packages_distributions()
    imported: set[str] = set()
    for module, places in imported_modules().items():
        names = {canonicalize_name(name) for name in packages.get(module, [])}
        assert names & (declared | optional), f"{module}, imported in {sorted(places)}, is not declared"
        imported |= names
    assert declared - imported == set(NOT_IMPORTED)
    # the dask extra pulls the scheduler in by name; only its client is imported
    assert optional - imported <= {"dask"}


def test_no_address_of_a_package_index_is_committed() -> None:
    """Where packages come from is the business of the machine, not of the repository."""
    places = ["Makefile", "pyproject.toml", ".ci/run", *(f"requirements/{name}.lock" for name in ("run", "test"))]
    for place in places:
        text = (ROOT / place).read_text()
        assert not re.search(r"--index-url|--extra-index-url|--find-links|--trusted-host|file://|\+cpu", text), place


def test_version_is_the_same_everywhere(wheel: Path) -> None:
    assert wheel.name.startswith(f"mira_nb-{mira_nb.__version__}-")
    assert "## " in (ROOT / "CHANGELOG.md").read_text()

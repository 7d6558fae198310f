from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import pytest

from mira_nb.run.provenance import MODULES, merged_versions
from mira_nb.run.used_packages import ImportRecord, declared


@pytest.mark.parametrize("loaded", ["", "import h5py; import yaml"])
def test_versions_are_those_of_packages_that_were_loaded(loaded: str) -> None:
    code = (
        f"{loaded}\nimport json\nfrom mira_nb.run import provenance\nprint(json.dumps(provenance.package_versions()))"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    found = json.loads(shown)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert ("h5py" in found) == bool(loaded)
    assert not {"torch", "optuna", "scanpy"} & set(found)
    assert all(found[name] == metadata.version(name) for name in found if name in MODULES)


def test_versions_of_several_processes_are_joined() -> None:
    joined = merged_versions(
        [
            {"python": "3.11.4", "torch": "2.13.0"},
            {"python": "3.11.4", "numpy": "2.4.6"},
            {"torch": "2.12.0", "own": "1"},
        ]
    )
    assert joined == {"python": "3.11.4", "numpy": "2.4.6", "torch": "2.13.0, 2.12.0", "own": "1"}
    assert list(joined) == ["python", "numpy", "torch", "own"]


@pytest.fixture
def record() -> Iterator[ImportRecord]:
    found = ImportRecord(MODULES)
    found.install()
    yield found
    found.uninstall()


def _importer(name: str, statement: str) -> Callable[[], None]:
    """A function of a module called `name` that executes an import statement."""
    scope: dict[str, Any] = {"__name__": name}
    exec(f"def function():\n    {statement}", scope)
    return scope["function"]


@pytest.mark.parametrize(
    ("importer", "statement", "before", "after"),
    [
        ("mira_nb.core.any", "import h5py", True, True),
        ("mira_nb.core.any", "from scipy.sparse import csr_matrix", True, True),
        ("mira_nb_complexity.compute", "import h5py", False, True),  # a plug-in is loaded after the fork
        ("anndata._io", "import h5py", False, True),
        ("scipy._lib", "import h5py", False, False),  # asks whether it knows the array
        ("h5py._hl", "import h5py", False, False),
    ],
)
def test_imports_that_show_use(record: ImportRecord, importer: str, statement: str, before: bool, after: bool) -> None:
    module = statement.split()[1].partition(".")[0]
    for record.forked, expected in ((False, before), (True, after)):
        record.seen.clear()
        _importer(importer, statement)()
        assert record.seen == ({module} if expected else set())


def test_packages_bring_those_that_they_need(record: ImportRecord) -> None:
    import anndata  # noqa: F401

    record.seen = {"anndata"}
    assert {"anndata", "h5py", "numpy", "pandas", "scipy"} <= record.used()
    assert not {"torch", "scanpy", "altair"} & record.used()
    assert "leidenalg" in declared("scanpy", extras=True) - declared("scanpy")


def test_what_the_record_notes_ends_with_it() -> None:
    found = ImportRecord(MODULES)
    found.install()
    found.uninstall()
    _importer("mira_nb.core.any", "import h5py")()
    assert found.seen == set()

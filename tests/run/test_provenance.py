from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import pytest

from mira_nb.run.provenance import MODULES, merged_versions


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

"""Demonstrations that several notebooks ask for at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Waiting
from pathlib import Path

import pytest
from filelock import FileLock

from mira_nb.run.demo import demonstration


def test_a_demonstration_is_made_once_and_others_wait_for_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with FileLock(tmp_path / ".lock"):
            later = pool.submit(demonstration, "prepare", folder=tmp_path)
            with pytest.raises(Waiting):
                later.result(timeout=1)
            assert not (tmp_path / "data").exists()
        store = later.result(timeout=120)
    assert Path(store.read_record()["input_spec"]["rna"]) == tmp_path / "data" / "rna.h5ad"
    files = sorted((tmp_path / "data").iterdir())
    times = [path.stat().st_mtime_ns for path in files]
    assert times
    assert demonstration("prepare", folder=tmp_path).root == store.root
    assert [path.stat().st_mtime_ns for path in files] == times

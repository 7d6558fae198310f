"""A tuned run that is killed at random moments ends with the tables of an undisturbed one."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.acceptance import record

N_KILLS = 10
SETTINGS = ("mode=paper", "n_trials=6", "n_folds=2", "n_seeds=1", "max_topics=4")


def command(out: Path) -> list[str]:
    sets = [text for setting in SETTINGS for text in ("--set", f"tuning_rna.{setting}")]
    return [
        sys.executable, "-m", "mira_nb", "demo", "--size", "small", "--out", str(out), "--until", "tuning_rna", *sets,
    ]  # fmt: skip


def tables(out: Path) -> dict[str, bytes]:
    """Tables of the tuning by name; ``timing.csv`` alone holds times."""
    folder = out / "stages" / "tuning_rna"
    return {path.name: path.read_bytes() for path in folder.rglob("*.csv") if path.name != "timing.csv"}


@pytest.mark.e2e
@pytest.mark.acceptance
@pytest.mark.timeout(3600)
def test_a_run_killed_at_random_moments_ends_the_same(tmp_path: Path) -> None:
    started = time.monotonic()
    subprocess.run(command(tmp_path / "undisturbed"), check=True, capture_output=True)
    took = time.monotonic() - started
    wanted = tables(tmp_path / "undisturbed")
    assert "trials.csv" in wanted
    rng = np.random.default_rng(0)
    folders = [tmp_path / "killed-0"]
    killed = 0
    while killed < N_KILLS:
        process = subprocess.Popen(
            command(folders[-1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            assert process.wait(timeout=rng.uniform(0.2, 0.9) * took) == 0
        except subprocess.TimeoutExpired:
            process.kill()  # its kernels end with it
            process.wait()
            killed += 1
        else:  # it ended first: the next kills are those of another run
            folders.append(tmp_path / f"killed-{len(folders)}")
    subprocess.run(command(folders[-1]), check=True, capture_output=True)
    record("killed runs", "kills; runs that ended as an undisturbed one", f"{killed}; {len(folders)}", str(N_KILLS))
    for folder in folders:
        assert tables(folder) == wanted, folder.name

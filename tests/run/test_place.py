"""Where a run is kept: refused in one message, or taken literally."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mira_nb.errors import ParameterError
from mira_nb.run import place
from tests.messages import refused


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a\nb", "control_characters"),
        ("a\x1b[31m", "control_characters"),
        ("a\u202eb", "control_characters"),
        ("a\u2028b", "control_characters"),
        ("bad\udcff", "not_utf8"),
        ("x" * 300, "folder_not_writable"),
        ("~/runs", "tilde"),
        ("/proc/none/x", "folder_not_writable"),
        ("a/" * 2100, "path_too_long"),
    ],
)
def test_places_that_cannot_keep_a_run_are_refused(
    name: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with refused(f"run.{code}", ParameterError) as caught:
        place.check_place(Path(name))
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["~", "~nobody_of_this_name", "~/x"])
def test_a_tilde_names_a_path_that_can_be_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with refused("run.tilde", ParameterError, path=str(tmp_path / name)):
        place.check_place(Path(name))
    place.check_place(tmp_path / name)  # what the message says works


@pytest.mark.parametrize("name", ["{seed}", "{}", "a b", "ä 細", "100%"])
def test_odd_names_are_taken_literally(name: str, tmp_path: Path) -> None:
    place.check_place(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert list((tmp_path / name).iterdir()) == []


def test_inside_a_file_and_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with refused("run.folder_not_writable", ParameterError):
        place.check_place(tmp_path / "file" / "run")
    monkeypatch.setattr(place, "LEAST_BYTES", 1 << 62)
    with refused("run.disk_full", ParameterError):
        place.check_place(tmp_path / "run")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_leave_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with refused("run.folder_not_writable", ParameterError):
        place.check_place(tmp_path / "run")
    tmp_path.chmod(0o755)


def test_numba_keeps_its_cache_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    place.use_writable_numba_cache()
    assert "NUMBA_CACHE_DIR" not in os.environ  # beside the code, as always
    monkeypatch.setattr(place, "_writable", lambda folder: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place.use_writable_numba_cache()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0
    folder.chmod(0o777)  # somebody else could have put something there
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    place.use_writable_numba_cache()
    assert Path(os.environ["NUMBA_CACHE_DIR"]) != folder


SHADOWS = ("random.py", "numpy.py", "pandas.py", "tempfile.py", "click.py", "yaml.py")


def test_files_that_shadow_packages_do_no_harm(tmp_path: Path) -> None:
    for name in SHADOWS:
        (tmp_path / name).write_text("raise SystemExit('shadowed')")
    root = Path(place.__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "mira_nb", "parameters", "joint"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "n_neighbors" in done.stdout


@pytest.mark.parametrize("closed", ["2>&-", "1>&- 2>&-", "0<&-"])
def test_closed_streams_are_survived(closed: str, tmp_path: Path) -> None:
    code = f"{sys.executable} -m mira_nb run --out x --rna a.h5ad {closed}"
    done = subprocess.run(["sh", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_seed_that_is_too_large_and_a_c_locale(tmp_path: Path) -> None:
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for arguments in (["--seed", str(2**32)], ["--rna", "\u00e4\u7d30.h5ad"]):
        done = subprocess.run(
            [sys.executable, "-m", "mira_nb", "run", "--out", "x", "--rna", "a", "--atac", "b", *arguments],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 2
        assert b"Traceback" not in done.stderr

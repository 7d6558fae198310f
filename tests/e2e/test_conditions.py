"""Hostile conditions of machines: one message, the right exit status, no traceback, no hang, nothing lost.

Each is given to the command line as a user's shell would. The data are the embedded ones, and runs end with the first
stage.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import mudata
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.acceptance, pytest.mark.timeout(900)]
SECONDS = 240


def command(*arguments: str | bytes | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``mira-nb``; arguments may be bytes, and a hang is a failure."""
    return subprocess.run(
        [sys.executable, "-m", "mira_nb", *arguments],
        capture_output=True,
        check=False,
        timeout=SECONDS,
        env=os.environ | environment,
    )


@pytest.fixture(scope="module")
def files(small_demo: Any) -> list[str]:
    """Options of a small pair of matrices."""
    return ["--rna", str(small_demo.spec.rna), "--atac", str(small_demo.spec.atac)]


def until_prepare(files: list[str], out: str | bytes | Path) -> list[str | bytes | Path]:
    return ["run", *files, "--until", "prepare", "--out", out]


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what was said on stderr; a traceback anywhere is a failure."""
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert "Traceback" not in text, text[-3000:]
    return done.stderr.decode("utf-8", "replace")


def one_refusal(done: subprocess.CompletedProcess[bytes], *words: str) -> None:
    text = said(done)
    assert done.returncode == 2, text
    assert text.count("mira-nb: ") == 1, text
    for word in words:
        assert word in text


def finished(done: subprocess.CompletedProcess[bytes], out: Path) -> None:
    text = said(done)
    assert done.returncode == 0, text
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["stages"]["prepare"]["status"] == "done"
    assert (out / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "word"),
    [(b"x" * 300, "shorter"), (b"a\nb", "line end"), (b"bad\xff", "UTF-8"), (b"~/run", "begins with ~")],
    ids=["long", "newline", "not UTF-8", "tilde"],
)
def test_a_folder_that_cannot_be(files, tmp_path, monkeypatch, name, word):
    monkeypatch.chdir(tmp_path)
    one_refusal(command(*until_prepare(files, name)), "--out", word)


def test_a_folder_inside_a_file(files, tmp_path):
    (tmp_path / "file").write_text("x")
    one_refusal(command(*until_prepare(files, tmp_path / "file" / "run")), "cannot be written")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(files, tmp_path):
    tmp_path.chmod(0o555)
    one_refusal(command(*until_prepare(files, tmp_path / "run")), "cannot be written")
    tmp_path.chmod(0o755)


@pytest.mark.parametrize("name", ["{seed}", "{}", "a b", "ä 細"])
@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_odd_names_and_locales(files, tmp_path, name, locale):
    finished(command(*until_prepare(files, tmp_path / name), "--title", name, **locale), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("options", [["--seed", str(2**32)], ["--seed", "-1"], ["--title", b"bad\xff"]])
def test_values_that_no_stage_could_hold(files, tmp_path, options):
    done = command(*until_prepare(files, tmp_path / "run"), *options)
    assert done.returncode == 2, said(done)
    assert not (tmp_path / "run" / "stages").exists()


@pytest.mark.parametrize("option", ["--motifs", "--gene-sets", "--tss", "--genome", "--blacklist"])
def test_a_malformed_file_is_found_before_anything_runs(files, tmp_path, option):
    (tmp_path / "bad").write_bytes(b"\x01 no such format\n")
    began = time.monotonic()
    one_refusal(command(*until_prepare(files, tmp_path / "run"), option, tmp_path / "bad"), "bad")
    assert time.monotonic() - began < SECONDS / 2
    assert not (tmp_path / "run" / "stages" / "prepare").exists()


@pytest.mark.skipif(os.name != "posix", reason="limits of the shell")
def test_files_may_not_grow_and_the_next_run_goes_on(files, tmp_path):
    """A limit on the size of files ends writing as a full disk does."""
    words = " ".join(f"'{word}'" for word in until_prepare(files, tmp_path / "run"))
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 300; trap '' XFSZ; exec '{sys.executable}' -m mira_nb {words}"],
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode in {1, 2}
    assert len(said(done)) < 3000
    finished(command(*until_prepare(files, tmp_path / "run")), tmp_path / "run")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_run_that_was_ended_goes_on(files, tmp_path, number):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "mira_nb", *until_prepare(files, out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(8)
    process.send_signal(number)
    output = b"".join(process.communicate(timeout=60))
    assert b"Traceback" not in output
    finished(command(*until_prepare(files, out)), out)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def write(text: str, pattern: str) -> Callable[[Path], None]:
    def damage(out: Path) -> None:
        for path in out.rglob(pattern):
            path.write_text(text)

    return damage


DAMAGES: dict[str, Callable[[Path], None]] = {
    "run.json is a list": write("[]", "run.json"),
    "run.json is null": write("null", "run.json"),
    "hashes are a list": write("[]", "hashes.json"),
    "stage.json is a list": write("[]", "stage.json"),
    "results cut": lambda out: cut(out / "results.h5mu"),
    "slots cut": lambda out: cut(next(out.rglob("slots.h5"))),
}


@pytest.fixture(scope="module")
def ready(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ready") / "run"
    finished(command(*until_prepare(files, out)), out)
    return out


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_mended(files, ready, tmp_path, damage):
    out = tmp_path / "run"
    shutil.copytree(ready, out)
    DAMAGES[damage](out)
    done = command(*until_prepare(files, out))
    text = said(done)
    assert done.returncode in {0, 2}, text
    if done.returncode == 0:
        assert mudata.read_h5mu(out / "results.h5mu").n_obs == 300
    else:
        assert str(out) in text


def test_labels_reach_neither_the_terminal_nor_formulas_raw(small_demo, tmp_path):
    rna = ad.read_h5ad(small_demo.spec.rna)
    rna.obs["odd"] = ["=1+1", "a\x1b[31mb", "@x", "v\x0bt", "y" * 100_000] * 60
    rna.write_h5ad(tmp_path / "rna.h5ad")
    given = ["--rna", str(tmp_path / "rna.h5ad"), "--atac", str(small_demo.spec.atac), "--groups", "odd"]
    done = command("check", *given)
    assert done.returncode == 0, said(done)
    assert b"\x1b[31m" not in done.stdout + done.stderr
    assert len(done.stdout) < 20_000
    finished(command(*until_prepare(given, tmp_path / "run")), tmp_path / "run")
    for table in (tmp_path / "run").rglob("tables/*.csv"):
        assert not any(
            cell.startswith(("=", "@", "+")) for line in table.read_text().splitlines() for cell in line.split(",")
        )

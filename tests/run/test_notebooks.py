"""Kernels of the stages: how they are reached, and that nothing of it stays behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from mira_nb.errors import Cancelled, StageError
from mira_nb.run.notebooks import SOCKET_PATH_LIMIT, execute_template, kernel_config


def test_sockets_lie_in_a_private_folder_that_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path) if len(str(tmp_path)) < 60 else None)
    with kernel_config() as first, kernel_config() as second:
        folders = [Path(config.KernelManager.ip).parent for config in (first, second)]
        assert first.KernelManager.transport == "ipc"
        assert folders[0] != folders[1]  # two kernels at once do not meet
        assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)
    assert not any(folder.exists() for folder in folders)


def test_a_path_too_long_for_a_socket_leaves_the_usual_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * SOCKET_PATH_LIMIT)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with kernel_config() as config:
        assert "transport" not in config.KernelManager


@pytest.mark.parametrize(("asked", "error"), [(True, Cancelled), (False, StageError)])
def test_a_kernel_that_was_ended_on_request_did_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool, error: type[Exception]
) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError

    def die(*_: Any, **__: Any) -> None:
        if asked:
            (tmp_path / "joint.cancel").touch()
        raise DeadKernelError("Kernel died")

    monkeypatch.setattr(papermill, "execute_notebook", die)
    with pytest.raises(error):
        execute_template("joint", tmp_path / "out.ipynb", {}, progress_dir=tmp_path)
    assert not (tmp_path / "joint.cancel").exists()

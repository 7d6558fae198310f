"""Atomic writes and remembered hashes."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from mira_nb.run.files import HashCache, replaced_folder, sha256, write_bytes, write_json


def test_write_bytes_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a" / "x.bin"
    write_bytes(target, b"old")
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert [item.name for item in target.parent.iterdir()] == ["x.bin"]


def test_write_bytes_keeps_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.bin"
    write_bytes(target, b"old")

    def broken(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["x.bin"]


def test_write_json_takes_numpy_and_refuses_nan(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": np.int64(3), "b": np.float32(0.5), "c": (1, 2), "d": Path("p")})
    assert json.loads(path.read_text()) == {"a": 3, "b": 0.5, "c": [1, 2], "d": "p"}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text())["a"] == 3


def test_replaced_folder_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "stage"
    with replaced_folder(target) as work:
        (work / "one").write_text("1")
    broken = replaced_folder(target)
    (broken.__enter__() / "two").write_text("2")
    assert not broken.__exit__(RuntimeError, RuntimeError("broken"), None)
    assert sorted(item.name for item in target.iterdir()) == ["one"]
    with replaced_folder(target) as work:
        (work / "three").write_text("3")
    assert sorted(item.name for item in target.iterdir()) == ["three"]
    assert [item.name for item in tmp_path.iterdir()] == ["stage"]


def test_hashes_equal_hashlib_and_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x"
    file.write_bytes(os.urandom(3_000_000))
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    assert sha256(file) == expected
    assert HashCache(tmp_path / "h.json").sha256(file) == expected

    def unread(_: Path) -> str:
        raise AssertionError("the file was read again")

    monkeypatch.setattr("mira_nb.run.files.sha256", unread)
    assert HashCache(tmp_path / "h.json").sha256(file) == expected
    monkeypatch.undo()
    file.write_bytes(b"other")
    assert HashCache(tmp_path / "h.json").sha256(file) == hashlib.sha256(b"other").hexdigest()

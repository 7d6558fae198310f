"""What is served and how: loopback, our template, nothing that computes or asks outside."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from mira_nb.errors import ParameterError
from mira_nb.panels import serve
from mira_nb.panels.browser_widgets import ASSETS, SHARED, stylesheet
from mira_nb.panels.page import query_string
from mira_nb.panels.server import Guard
from mira_nb.panels.state import ROOT_VARIABLE, RUN_VARIABLE
from mira_nb.run.notebooks import dashboard_notebook

ROOT = Path(__file__).resolve().parents[2]


def test_the_server_listens_on_loopback_only_and_serves_no_files() -> None:
    options = serve.arguments(5000)
    assert "--Voila.ip=127.0.0.1" in options
    assert "--template=mira_nb" in options
    assert "--KernelManager.transport=ipc" in options
    assert any(option.startswith("--VoilaConfiguration.file_allowlist=") for option in options)
    assert "--VoilaExecutor.iopub_timeout=60" in options  # 4 s is too short on a busy machine
    assert "--ZMQChannelsWebsocketConnection.limit_rate=False" in options  # else parts of pages are dropped in silence
    assert "--Voila.ip=0.0.0.0" in serve.arguments(5000, host="0.0.0.0")


def test_the_kernels_find_the_run_the_template_and_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", "/somewhere")
    env = serve.environment(tmp_path)
    assert env[RUN_VARIABLE] == ""  # a folder without a run is one of runs
    assert env[ROOT_VARIABLE] == str(tmp_path.resolve())
    (tmp_path / "run.json").write_text("{}")
    assert serve.environment(tmp_path)[RUN_VARIABLE] == str(tmp_path.resolve())
    assert serve.environment(tmp_path)[ROOT_VARIABLE] == str(tmp_path.resolve().parent)
    assert serve.environment(tmp_path, tmp_path)[ROOT_VARIABLE] == str(tmp_path.resolve())
    assert env["JUPYTER_PATH"].split(os.pathsep)[-1] == "/somewhere"
    found = [Path(folder) / "voila" / "templates" / "mira_nb" for folder in env["JUPYTER_PATH"].split(os.pathsep)]
    assert any((folder / "index.html.j2").exists() for folder in found)
    assert RUN_VARIABLE not in serve.environment(None)


def test_no_folder_and_a_bad_port_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="is not a folder"):
        serve.serve(tmp_path / "missing")
    with pytest.raises(ParameterError, match="is not a folder"):
        serve.serve(tmp_path, root=tmp_path / "missing")
    with pytest.raises(ParameterError, match="not a port"):
        serve.serve(tmp_path, port=70_000)
    with socket.socket() as taken:
        taken.bind((serve.LOOPBACK, 0))
        taken.listen()
        with pytest.raises(ParameterError, match="cannot be used"):
            serve.serve(tmp_path, port=taken.getsockname()[1])
    assert 0 < serve.free_port() < 65536


def test_the_template_and_the_scripts_name_no_server() -> None:
    files = [
        *ASSETS.iterdir(),
        *SHARED.iterdir(),
        *(ROOT / "share" / "jupyter" / "voila" / "templates" / "mira_nb").iterdir(),
    ]
    assert {"deck.js", "common.js", "tables.js", "report.css", "panels.css"} <= {path.name for path in files}
    for path in files:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//cdn|@import", text.replace("http%3A", "http:")), path


def test_the_style_sheet_names_every_status() -> None:
    for status in ("done", "outdated", "running", "failed"):
        assert f".mn-is-{status}" in stylesheet()


def test_the_dashboard_notebook_carries_no_output_and_its_template() -> None:
    notebook = nbformat.read(dashboard_notebook(), as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata["voila"]["template"] == "mira_nb"
    assert all(not cell.outputs for cell in notebook.cells)
    assert len(notebook.cells) == 2


def test_the_query_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOILA_PREHEAT", raising=False)
    monkeypatch.setenv("QUERY_STRING", "run=a")
    assert query_string() == "run=a"
    monkeypatch.delenv("QUERY_STRING")
    assert query_string() == ""


def test_importing_the_panels_imports_nothing_heavy() -> None:
    code = (
        "import sys, mira_nb.panels.app; "
        "print([name for name in ('torch', 'scanpy', 'altair', 'palantir', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_binder_shows_the_demonstration_that_it_computes() -> None:
    folder = ROOT / "binder"
    environment = yaml.safe_load((folder / "environment.yml").read_text())
    assert any(str(item).startswith("pytorch-cpu") for item in environment["dependencies"])
    for name in ("postBuild", "start"):
        assert os.access(folder / name, os.X_OK)
        subprocess.run(["bash", "-n", str(folder / name)], check=True)
    command = [str(folder / "start"), "bash", "-c", f"echo ${RUN_VARIABLE}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(shown) == ROOT / "runs" / "demo"
    assert "mira-nb demo --out runs/demo" in (folder / "postBuild").read_text()


def test_a_reverse_proxy_is_answered_under_the_names_that_are_allowed() -> None:
    headers = HTTPHeaders({"Host": "lab.example.org", "Origin": "https://lab.example.org"})
    line = RequestStartLine("GET", "/?token=t", "HTTP/1.1")
    request = HTTPServerRequest(start_line=line, headers=headers)
    assert "--allow-host" in Guard("t", "cookie").refusal(request, "secret")
    guard = Guard("t", "cookie", ("Lab.example.org",))
    assert guard.refusal(request, "secret") == ""
    headers["Origin"] = "https://evil.example.org"
    assert "another origin" in guard.refusal(request, "secret")


def test_the_dockerfile_serves_what_it_computes_to_its_network_only() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "mira-nb demo --out /runs/demo" in text
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    assert '"--host", "0.0.0.0"' in text

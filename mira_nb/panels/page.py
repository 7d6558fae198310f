"""What ``notebooks/dashboard.ipynb`` shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from mira_nb.errors import MiraError
from mira_nb.stages.registry import stage_names

from . import markup
from .app import Dashboard
from .browser_widgets import stylesheet, vega_bundle
from .start import Shell
from .state import ROOT_VARIABLE, RUN_VARIABLE, choose_run


def open_dashboard(query: str | None = None) -> Any:
    """Make the page: a run, the start page of a folder of runs, or a demonstration.

    The run folder comes from the environment variable MIRA_NB_RUN, or is one below the folder MIRA_NB_ROOT, or beside
    the run, that ``?run=NAME`` names. Without a run, MIRA_NB_ROOT gets a start page; without either, a small
    demonstration on the embedded data set is made. Errors are shown on the page.
    """
    run, root = (Path(text) if (text := os.environ.get(name, "").strip()) else None for name in _VARIABLES)
    try:
        folder, message = choose_run(query, run, root)
        if folder is None and root is None:
            return Dashboard(_demonstration(), message=message, demonstration=True).watch().widget
        return Shell(root, folder, message=message).watch().widget
    except MiraError as error:
        style = f"<style>{stylesheet()}</style>"
        page = widgets.VBox([widgets.HTML(style + markup.error_box({"message": str(error)}))])
        page.add_class("mn-app")
        return page


_VARIABLES = (RUN_VARIABLE, ROOT_VARIABLE)


def _demonstration() -> Path:
    """Return a run folder of the embedded data set in which nothing is computed yet."""
    from mira_nb.run.demo import demonstration

    return demonstration(stage_names()[0]).root


def query_string() -> str:
    """Return the query string of the page that this notebook is shown in.

    A kernel that Voila started in advance waits here until a page asks for it.
    """
    if os.environ.get("VOILA_PREHEAT") == "True":
        from voila.utils import wait_for_request

        vega_bundle()
        wait_for_request()
    return os.environ.get("QUERY_STRING", "")

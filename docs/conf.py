"""Settings of the documentation site: `make docs` builds it offline into docs/_build/html; warnings are errors."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "docs"))

from mira_nb.version import __version__  # noqa: E402

project = "mira_nb"
author = "The mira_nb developers"
copyright = "The mira_nb developers"
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "generated"]
exclude_patterns = ["_build", "examples", "atlas"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}

html_theme = "pydata_sphinx_theme"
html_title = f"mira_nb {version}"
html_static_path = ["_static"]
# the report that `make docs` makes of the small embedded data
html_extra_path = ["_extra"] if (ROOT / "docs" / "_extra").is_dir() else []
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": True,
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
}

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "docs" / "_build" / "notebooks")
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True
# figures come as an interactive chart and as a picture; the site shows the picture
nb_mime_priority_overrides = [("html", "image/png", 0)]
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autosummary_generate = True
napoleon_google_docstring = False
napoleon_use_rtype = False
nitpicky = False

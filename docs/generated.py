"""Pages that are made from the code when the site is built: one per stage, one per function, and the gallery.

They are written below ``docs/reference`` and ``docs/gallery``, which are not kept in the repository.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from mira_nb.report.atlas import read_atlas
from mira_nb.stages.base import Stage
from mira_nb.stages.checks import slot_text
from mira_nb.stages.describe import format_value
from mira_nb.stages.registry import BUILT_IN, get_stage, upstream

DOCS = Path(__file__).resolve().parent


def setup(app: Any) -> dict[str, Any]:
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", lambda _app: [write(DOCS), copy_tutorial(DOCS)])
    return {"parallel_read_safe": True, "version": "1"}


def write(docs: Path) -> list[Path]:
    """Write all pages; returns their paths."""
    pages = {
        "reference/index.md": _reference_index(),
        "stages/index.md": _stage_index(),
        "gallery/index.md": _gallery(),
        "reference/result.md": _class_page("mira_nb.stages.result", ("Result", "Figure", "Table", "Metric", "Alert")),
        "reference/read.md": _function_page("read"),
        "reference/pair.md": _function_page("pair"),
        "reference/embedded_data.md": _function_page("embedded_data"),
        "reference/Resources.md": _class_page("mira_nb.io.resources", ("Resources",)),
    }
    for name in BUILT_IN:
        pages[f"reference/{name}.md"] = _stage_function(name)
        pages[f"stages/{name}.md"] = _stage_page(get_stage(name))
    written = []
    for name, text in pages.items():
        path = docs / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def copy_tutorial(docs: Path) -> None:
    """Place the tutorial among the sources; the site shows it executed."""
    source, target = docs.parent / "notebooks" / "tutorial.ipynb", docs / "tutorial.ipynb"
    if not target.exists() or target.read_bytes() != source.read_bytes():
        target.write_bytes(source.read_bytes())


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;").replace("[@", "\\[@")


def _stage_page(stage: Stage[Any]) -> str:
    rows = "\n".join(
        f"| `{item.name}` | {_cell(format_value(item.default)) or '(empty)'} {item.unit} | {_cell(item.expects)} | "
        f"{_cell(item.help)} |"
        for item in stage.Params.describe()
    )
    resources = " or ".join(
        " with ".join(f"`--{name.replace('_', '-')}`" for name in option) for option in stage.resources
    )
    before = ", ".join(f"[{name}]({name}.md)" for name in upstream(stage.name)) or "nothing"
    used = ", ".join(f"[{name}]({name}.md)" for name in stage.uses)
    written = (
        "\n".join(f"- `{slot_text(slot)}`" for slot in stage.writes) or "- nothing in the MuData; tables and figures"
    )
    return f"""# {stage.name}: {stage.title}

{stage.purpose}

**Needs** {before}{f"; uses {used} when done" if used else ""}. **Resources**: {resources or "none needed"}.

**Look first**: {stage.look}

**Tune**: {stage.tune}

## What it writes

{written}

## Parameters

Set one by `--set {stage.name}.NAME=VALUE`, in the panel, in the notebook's first cell, or as an argument of
[`mira_nb.{stage.name}`](../reference/{stage.name}.md).

| Name | Default | Takes | Meaning |
|---|---|---|---|
{rows}
{_texts(stage)}"""


def _texts(stage: Stage[Any]) -> str:
    """Return the stage's tables and figures by name, with the template of each caption."""
    import yaml

    module = inspect.getmodule(type(stage))
    folder = Path(str(module.__file__)).parent / "texts" if module else Path()
    parts = []
    for kind in ("figures", "tables"):
        file = folder / f"{kind}.yaml"
        if file.exists():
            entries = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            parts.append(f"\n## {kind.capitalize()}\n")
            parts += [f"- `{name}`: {_cell(_plain(entry['title']))}" for name, entry in entries.items()]
    return "\n".join(parts) + "\n"


def _plain(title: str) -> str:
    """Return a title's template as words: what a run fills in stands as an ellipsis."""
    import re

    return re.sub(r"\{[{%].*?[%}]\}", "…", title)


def _stage_index() -> str:
    rows = "\n".join(f"| [{name}]({name}.md) | {_cell(get_stage(name).purpose)} |" for name in BUILT_IN)
    tree = "\n".join(BUILT_IN)
    return f"""# Stages

The stages run in this order; each reads what those before it wrote.

| Stage | What it does |
|---|---|
{rows}

```{{toctree}}
:hidden:

{tree}
```
"""


def _stage_function(name: str) -> str:
    import mira_nb

    function = getattr(mira_nb, name)
    parameters = ", ".join(["mdata", "*", *(item.name for item in get_stage(name).Params.describe())])
    return _function(f"mira_nb.{name}", f"({parameters}, ...)", function)


def _function_page(name: str) -> str:
    import mira_nb

    function = getattr(mira_nb, name)
    signature = str(inspect.signature(function)).replace("'", "")
    return _function(f"mira_nb.{name}", signature, function)


def _function(name: str, signature: str, function: Any) -> str:
    return f"# {name}\n\n```{{eval-rst}}\n.. py:function:: {name}{signature}\n\n{_indented(function)}\n```\n"


def _indented(function: Any) -> str:
    """Return a numpydoc docstring as the reStructuredText body of a directive."""
    from sphinx.ext.napoleon import Config, NumpyDocstring

    text = inspect.cleandoc(function.__doc__ or "")
    lines = str(NumpyDocstring(text, Config(napoleon_use_rtype=False))).splitlines()
    return "\n".join(f"   {line}" if line else "" for line in lines)


def _class_page(module: str, names: tuple[str, ...]) -> str:
    parts = [f"# {' and '.join(names) if len(names) < 3 else 'Results'}\n"]
    parts += [
        f"```{{eval-rst}}\n.. autoclass:: {module}.{name}\n   :members:\n   :exclude-members: __init__\n```\n"
        for name in names
    ]
    return "\n".join(parts)


def _reference_index() -> str:
    names = ["read", "pair", "embedded_data", "Resources", *BUILT_IN, "result"]
    tree = "\n".join(names)
    return f"""# Python functions

`import mira_nb` gives one function per stage and what reads data. Every function of a stage takes a MuData, computes,
writes its keys into the MuData and returns a [Result](result.md).

```{{toctree}}
:maxdepth: 1

{tree}
```
"""


def _gallery() -> str:
    """Return every picture of the atlas once, with the stage and the figure's name."""
    shown: dict[str, str] = {}
    for panel in read_atlas():
        for item in panel.items:
            picture = DOCS / "atlas" / f"{item.stage}-{item.name}.png"
            if picture.exists() and picture.name not in shown:
                shown[picture.name] = (
                    f"## {item.name}\n\nStage [{item.stage}](../stages/{item.stage}.md). {_cell(panel.what)}.\n\n"
                    f"![{item.name} of stage {item.stage}](../atlas/{picture.name})\n"
                )
    body = "\n".join(shown.values())
    return f"""# Gallery

Figures of the report, from the embedded data set. [The atlas](../atlas.md) says which panel of the paper each stands
for.

{body}"""

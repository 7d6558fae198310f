"""Pages that are made from the code when the site is built: one per stage, one per function, and the gallery.

They are written below ``docs/reference`` and ``docs/gallery``, which are not kept in the repository.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from mira_nb.errors import MiraError
from mira_nb.report.atlas import drawn_items, picture_name
from mira_nb.stages.base import Stage
from mira_nb.stages.checks import slot_text
from mira_nb.stages.describe import format_value
from mira_nb.stages.registry import BUILT_IN, get_stage, upstream
from mira_nb.stages.result import Slot
from mira_nb.stubs import FUNCTIONS, signature

DOCS = Path(__file__).resolve().parent


def setup(app: Any) -> dict[str, Any]:
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", lambda _app: [write(DOCS), copy_tutorial(DOCS)])
    return {"parallel_read_safe": True, "version": "1"}


def write(docs: Path) -> list[Path]:
    """Write all pages; returns their paths."""
    written = []
    for name, text in _pages(docs).items():
        path = docs / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _pages(docs: Path) -> dict[str, str]:
    """Return the text of every page by its path below the documentation folder."""
    pages = {
        "reference/index.md": _reference_index(),
        "stages/index.md": _stage_index(),
        "gallery/index.md": _gallery(docs),
        "reference/result.md": _class_page("mira_nb.stages.result", ("Result", "Figure", "Table", "Metric", "Alert")),
        "reference/Resources.md": _class_page("mira_nb.io.resources", ("Resources",)),
    }
    pages |= {f"reference/{name}.md": _function_page(name) for name in (*FUNCTIONS, *BUILT_IN)}
    return pages | {f"stages/{name}.md": _stage_page(get_stage(name)) for name in BUILT_IN}


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
    written = _slots((*stage.writes, *stage.also_writes))
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


def _slots(slots: tuple[Slot, ...]) -> str:
    """Return keys with shape and unit as a table."""
    if not slots:
        return "Nothing in the MuData; tables and figures."
    rows = "\n".join(f"| `{slot_text(slot)}` | {_cell(slot.shape)} | {_cell(slot.unit)} |" for slot in slots)
    return f"| Key | Shape | Values |\n|---|---|---|\n{rows}"


def _texts(stage: Stage[Any]) -> str:
    """Return the stage's tables and figures by name, with the template of each caption."""
    parts = []
    for kind in ("figures", "tables"):
        if entries := _entries(stage, kind):
            parts.append(f"\n## {kind.capitalize()}\n")
            parts += [f"- `{name}`: {_cell(_plain(entry['title']))}" for name, entry in entries.items()]
    return "\n".join(parts) + "\n"


def _entries(stage: Stage[Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the texts of a stage's figures or tables, by name."""
    import yaml

    module = inspect.getmodule(type(stage))
    file = Path(str(module.__file__)).parent / "texts" / f"{kind}.yaml" if module else Path()
    return (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}


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


def _function_page(name: str) -> str:
    import mira_nb

    body = _indented(getattr(mira_nb, name))
    return f"# mira_nb.{name}\n\n```{{eval-rst}}\n.. py:function:: mira_nb.{name}{signature(name)}\n\n{body}\n```\n"


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
    names = [*FUNCTIONS, "Resources", *BUILT_IN, "result"]
    tree = "\n".join(names)
    return f"""# Python functions

`import mira_nb` gives one function per stage and what reads data. Every function of a stage takes a MuData, computes,
writes its keys into the MuData and returns a [Result](result.md).

```{{toctree}}
:maxdepth: 1

{tree}
```
"""


def _gallery(docs: Path) -> str:
    """Return every figure of the atlas by stage: picture, title, and the panels of the paper that it stands for.

    Raises
    ------
    MiraError
        When a picture is missing, which fails the build.
    """
    figures = drawn_items()
    missing = [name for name in map(picture_name, figures) if not (docs / "atlas" / name).is_file()]
    if missing:
        raise MiraError(
            f"{docs / 'atlas'} lacks {', '.join(missing)}",
            expected="a picture of every figure that the atlas names",
            remedy="run `make atlas`",
        )
    parts = []
    for name in BUILT_IN:
        stage = get_stage(name)
        items = [item for item in figures if item.stage == name]
        if items:
            parts.append(f"## {stage.title}\n\nStage [{name}](../stages/{name}.md).\n")
        for item in items:
            title = _plain(_entries(stage, "figures").get(item.name, {}).get("title", item.name))
            panels = ", ".join(panel.label for panel in figures[item])
            parts.append(
                f"### {_cell(title)}\n\nFigure `{item.name}`; the paper's Extended Data {panels}.\n\n"
                f"![{item.name} of stage {name}](../atlas/{picture_name(item)})\n"
            )
    body = "\n".join(parts)
    return f"""# Gallery

All {len(figures)} figures of the report that stand for panels of the paper, from the embedded data set; in the report
most of them are interactive. [The atlas](../atlas.md) says what the paper shows in each panel and how to read it here.

{body}"""

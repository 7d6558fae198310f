"""Draw the atlas of figures for the documentation: ``python -m mira_nb.report.atlas_docs RUN_DIR DOCS_DIR``.

Writes ``DOCS_DIR/atlas.md`` and ``DOCS_DIR/atlas/STAGE-NAME.png``, one for every figure that the atlas names, from a
run folder (that of ``mira-nb demo``). The page shows the first of each panel, the gallery all of them. A picture is at
most :data:`MAX_BYTES` large; clouds of many points are drawn from a sample.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from mira_nb.charts import packed, theme
from mira_nb.errors import InputError

from . import embed
from .atlas import Item, Panel, drawn_items, picture_name, read_atlas
from .reader import RunView, read_run

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES: Final = 60_000
MAX_POINTS: Final = 1500
PICTURE_WIDTH: Final = 960
CHART_WIDTH: Final = 560
MAX_SHOWN: Final = 420
SCALE: Final = 1.6
N_ROWS: Final = 5
MAX_TEXT: Final = 60
COLORS: Final = (128, 64, 32)
POINT_MARKS: Final = {"circle", "point", "square"}

_HEAD: Final = """# Atlas of figures

Every panel of the Extended Data figures and every Extended Data table of the MIRA paper (Lynch et al., *Nature
Methods* 2022), the function that makes its kind, where it stands in the report, and what it looks like on the embedded
data set. Panels that are the same kind of figure on another data set share a picture; the
[gallery](gallery/index.md) has all figures named here. The report of every run ends with the same list, with links to
its own figures.

The embedded data set is simulated: {cells} cells, {genes} genes and {peaks} peaks of a differentiation from one
progenitor to three end states. `make atlas` draws this page again.
"""


def write_docs(run: Path, docs: Path, *, partial: bool = False) -> Path:
    """Write the atlas of a run into a documentation folder; pictures of earlier runs are replaced.

    Parameters
    ----------
    run
        Run folder in which every stage is done.
    docs
        Documentation folder.
    partial
        Accept a run that lacks some figures; their rows say so.

    Returns
    -------
    Path
        ``DOCS_DIR/atlas.md``.

    Raises
    ------
    InputError
        When the run lacks a figure or table that the atlas names, unless `partial`.
    """
    view = read_run(Path(run))
    panels = read_atlas()
    if not partial:
        _require(view, panels)
    folder = Path(docs) / "atlas"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for item in drawn_items(panels):
        if _record(view, item) is not None:
            (Path(docs) / _picture_name(item)).write_bytes(picture(_path(view, item)))
    target = Path(docs) / "atlas.md"
    target.write_text(markdown(view, panels, docs=Path(docs)), encoding="utf-8")
    return target


def _picture_name(item: Item) -> str:
    return f"atlas/{picture_name(item)}"


def _record(view: RunView, item: Item) -> dict[str, Any] | None:
    stage = next(stage for stage in view.stages if stage.name == item.stage)
    return next((dict(entry) for entry in stage.record.get(item.kind) or () if entry["name"] == item.name), None)


def _path(view: RunView, item: Item) -> Path:
    record = _record(view, item) or {}
    return view.root / "stages" / item.stage / str(record.get("file"))


def _require(view: RunView, panels: Sequence[Panel]) -> None:
    lacking = [
        f"{panel.label} ({item.stage}/{item.kind}/{item.name})"
        for panel in panels
        for item in panel.items
        if _record(view, item) is None
    ]
    if lacking:
        raise InputError(
            f"{view.root} lacks {', '.join(lacking)}",
            expected="a run in which every stage is done",
            remedy="give the folder of `mira-nb demo`; correct atlas.toml where a figure has another name now",
        )


# ---------------------------------------------------------------------- text
def markdown(view: RunView, panels: Sequence[Panel], *, docs: Path) -> str:
    """Return the page: one table per figure of the paper, excerpts of the tables at the end.

    `docs` is the folder with the pictures, whose sizes the page states.
    """
    shape = {name: f"{count:,}" for name, count in view.shape.items()}
    parts = [_HEAD.format(**{"cells": "?", "genes": "?", "peaks": "?", **shape})]
    for name, group in groupby(panels, key=lambda panel: panel.figure):
        heading = "Extended Data Tables" if name == "Tables" else f"Extended Data {name}"
        parts.append(
            f"\n## {heading}\n\n| Panel | What the paper shows | Made by | On the embedded data |\n|---|---|---|---|"
        )
        parts += [_row(view, panel, docs) for panel in group]
    tables = dict.fromkeys(panel.items[0] for panel in panels if panel.items[0].kind == "tables")
    parts += [_excerpt(view, item) for item in tables if _record(view, item) is not None]
    return "\n".join(parts).rstrip() + "\n"


def _row(view: RunView, panel: Panel, docs: Path) -> str:
    made = "<br>".join(f"`{name}`" for name in panel.functions)
    item = panel.items[0]
    shown = "; ".join(_where(view, other) for other in panel.items if _record(view, other)) or "not in this run"
    where = f"{made}<br>report: {shown}<br>Python: `mira_nb.{item.stage}(data)`"
    record = _record(view, item)
    if record is None:
        here = f"not in this run<br>{panel.reading}"
    elif item.kind == "figures":
        name = _picture_name(item)
        width = min(MAX_SHOWN, round(embed.png_size((docs / name).read_bytes())[0] / SCALE))
        title = _cell(str(record.get("title") or item.name))
        here = f'<img src="{name}" width="{width}" alt="{title}"><br>{panel.reading}'
    else:
        here = f"[excerpt](#{_heading(item)})<br>{panel.reading}"
    cells = (f'<a id="{panel.anchor}"></a>{panel.label}', panel.what, where, here)
    return "| " + " | ".join(_cell(text, html=True) for text in cells) + " |"


def _where(view: RunView, item: Item) -> str:
    title = str((_record(view, item) or {}).get("title") or item.name)
    stage = next(stage.title for stage in view.stages if stage.name == item.stage)
    return f"{_cell(stage)} › {_cell(title)}"


def _heading(item: Item) -> str:
    return f"table-{item.stage}-{item.name}".replace("_", "-")


def _excerpt(view: RunView, item: Item) -> str:
    """Return rows of a table, those of smallest p value if it has one, long texts cut."""
    path = _path(view, item)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    column = next((name for name in ("log10_pvalue", "pvalue") if name in frame), None)
    if column is not None:
        order = pd.to_numeric(frame[column], errors="coerce").sort_values(kind="stable").index
        frame = frame.loc[order]
    n_rows, frame = len(frame), frame.head(N_ROWS)
    names = [f"`{name}`" for name in frame.columns]
    rows = [names, ["---"] * len(names), *([_cell(_short(text)) for text in row] for row in frame.to_numpy())]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    title = _heading(item).replace("-", " ").capitalize()
    kind = "First" if column is None else "Most significant"
    note = f"{kind} {len(frame)} of {n_rows:,} rows of `stages/{item.stage}/tables/{path.name}`."
    return f"\n### {title}\n\n{note}\n\n{table}"


def _short(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return text if number == int(number) and abs(number) < 1e15 else f"{number:.4g}"


def _cell(text: str, *, html: bool = False) -> str:
    """Return text that cannot end a cell of a Markdown table."""
    out = text if html else text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return out.replace("|", "\\|").replace("\n", " ")


# ---------------------------------------------------------------------- pictures
def picture(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Draw a figure's file as a small PNG."""
    from PIL import Image

    if path.suffix == ".png":
        content = path.read_bytes()
    else:
        text = path.read_text(encoding="utf-8")
        content = _draw_svg(text) if path.suffix == ".svg" else _draw(json.loads(text))
    return shrink(Image.open(io.BytesIO(content)), max_bytes=max_bytes)


def _draw(chart: dict[str, Any]) -> bytes:
    import vl_convert

    spec, datasets = packed.detach(chart)
    clouds = point_clouds(spec)
    frames = {name: packed.unpack(data) for name, data in datasets.items()}
    for name in clouds & set(frames):
        frames[name] = frames[name].iloc[packed.sample_rows(len(frames[name]), MAX_POINTS)]
    drawn = _with_width(packed.inline(spec, frames))
    drawn["config"] = {**drawn.get("config", {}), **theme.config(), "background": "white"}
    drawn.pop("usermeta", None)
    return vl_convert.vegalite_to_png(drawn, scale=SCALE)


def _draw_svg(text: str) -> bytes:
    import vl_convert

    return vl_convert.svg_to_png(text, scale=SCALE)


def point_clouds(spec: Any) -> set[str]:
    """Return the names of the datasets that are drawn as points only: a sample would tear lines and areas."""
    marks: dict[str, set[str]] = {}

    def walk(part: Any, name: str | None) -> None:
        if isinstance(part, list):
            for item in part:
                walk(item, name)
        elif isinstance(part, dict):
            data = part.get("data")
            here = data.get("name", name) if isinstance(data, dict) else name
            mark = part.get("mark")
            if mark is not None and here is not None:
                marks.setdefault(here, set()).add(mark["type"] if isinstance(mark, dict) else str(mark))
            for key, value in part.items():
                if key not in {"data", "datasets", "usermeta"}:
                    walk(value, here)

    walk(spec, None)
    return {name for name, kinds in marks.items() if kinds <= POINT_MARKS}


def _with_width(spec: Any) -> Any:
    """Set the width of charts that are as wide as the page."""
    if isinstance(spec, dict):
        return {
            key: CHART_WIDTH if key == "width" and value == "container" else _with_width(value)
            for key, value in spec.items()
            if key != "datasets"
        } | ({"datasets": spec["datasets"]} if "datasets" in spec else {})
    return [_with_width(item) for item in spec] if isinstance(spec, list) else spec


def shrink(image: Image, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return a PNG of at most `max_bytes`: fewer colours first, then fewer pixels; transparent becomes white."""
    from PIL import Image as pillow

    source = image.convert("RGBA")
    flat = pillow.new("RGB", source.size, "white")
    flat.paste(source, mask=source.getchannel("A"))
    width = min(PICTURE_WIDTH, flat.width)
    while True:
        small = flat.resize((width, max(1, round(flat.height * width / flat.width))), pillow.Resampling.LANCZOS)
        for n_colors in COLORS:
            stream = io.BytesIO()
            small.quantize(n_colors, method=pillow.Quantize.MAXCOVERAGE, dither=pillow.Dither.NONE).save(
                stream, format="PNG", optimize=True
            )
            if stream.tell() <= max_bytes or width <= 64:
                return stream.getvalue()
        width = int(width * 0.88)


def main(arguments: Iterable[str] | None = None) -> int:
    """Run from the command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    partial = "--partial" in given
    folders = [Path(text) for text in given if text != "--partial"]
    if len(folders) != 2:
        print("usage: python -m mira_nb.report.atlas_docs RUN_DIR DOCS_DIR [--partial]", file=sys.stderr)
        return 2
    try:
        print(write_docs(folders[0], folders[1], partial=partial))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

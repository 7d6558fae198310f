"""All figures of a run as SVG, PNG and PDF in one zip, in the colours of its report, for a page or for slides."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args
from xml.etree import ElementTree

from mira_nb.charts import packed, theme
from mira_nb.charts.labels import spread_marks, spread_names
from mira_nb.errors import ParameterError
from mira_nb.report import embed
from mira_nb.report.figures import POINT_LIMIT
from mira_nb.report.findings.facts import Facts
from mira_nb.report.json_files import read_json
from mira_nb.report.names import named_spec, named_text, topic_names
from mira_nb.report.palette import run_palette
from mira_nb.report.reader import RunView, StageView, read_run
from mira_nb.text import spreadsheet_cell

from .messages import message, refusal

Size = Literal["page", "slide"]
SIZES: Final[tuple[Size, ...]] = get_args(Size)

PAGE_WIDTH: Final = 560
"""Width of the plane, in pixels, of a chart that is as wide as its card in the report."""
SLIDE: Final = (1280, 720)
"""Width and height of a slide in pixels."""
LARGER: Final = 1.3
"""How much larger the type of axes, legends and headings is on a slide, before the chart grows to fill it."""
_MARGIN: Final = 36
_TITLE: Final = 32
_TITLE_ROOM: Final = 60
_GROWTH: Final = 2.4
"""How many times a chart grows at most: a single row of boxes stays one."""
_WIDE: Final = "MWmw@%—…"
"""Characters as wide as their type is high."""
_SHARPNESS: Final = {"page": 3.0, "slide": 2.0}
"""Pixels of the PNG per pixel of the SVG."""
_FONT: Final = "Arial, 'Liberation Sans', Helvetica, sans-serif"
"""Type whose widths are known where no browser measures it."""
_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_DATE: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Drawing:
    """A figure of the run as SVG on white; `note` says what it leaves out."""

    name: str
    title: str
    caption: str
    svg: str
    note: str = ""


def write_figures(run: Path, out: Path, *, size: Size = "page") -> list[str]:
    """Write figures_SIZE.zip: STAGE/FIGURE.svg, .png and .pdf of every figure, and index.csv.

    Columns of index.csv: figure (its number in the report), file (without ending), title, caption, note.
    The same run gives the same bytes.

    Parameters
    ----------
    size
        ``page``: as in the report. ``slide``: 1280 x 720 pixels under the figure's title, with larger type.

    Raises
    ------
    InputError, StoreError
        When `run` is not a run folder, or its record is damaged.
    ParameterError
        For an unknown size, or a run without figures.
    """
    import vl_convert

    if size not in SIZES:
        raise refusal(ParameterError, "size_unknown", size=size, known=SIZES)
    notes: list[str] = []
    rows = []
    with zipfile.ZipFile(out / f"figures_{size}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, drawn in drawings(read_run(run, verify=True), notes, size=size):
            sharp = _SHARPNESS[size]
            _add(archive, f"{drawn.name}.svg", drawn.svg.encode())
            _add(archive, f"{drawn.name}.png", vl_convert.svg_to_png(drawn.svg, scale=sharp, ppi=72))
            _add(archive, f"{drawn.name}.pdf", vl_convert.svg_to_pdf(drawn.svg))
            cells = (drawn.name, drawn.title, drawn.caption, drawn.note)
            rows.append([number, *map(spreadsheet_cell, cells)])
        if not rows:
            raise refusal(ParameterError, "no_figures", run=run)
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([["figure", "file", "title", "caption", "note"], *rows])
        _add(archive, "index.csv", text.getvalue().encode())
    return notes


def drawings(run: RunView, notes: list[str], *, size: Size) -> Iterator[tuple[int, Drawing]]:
    """Draw the figures of the finished stages one by one, numbered as in the report; add to `notes` which cannot be."""
    palette = run_palette(Facts(run))
    names = topic_names(run.root)
    number = 0
    for stage in run.stages:
        if stage.status == "failed" and (run.record["stages"].get(stage.name) or {}).get("status") == "done":
            notes.append(message("stage_damaged", stage=stage.title, reason=(stage.error or {}).get("message")))
        for item in stage.record.get("figures") or ():
            number += 1
            title = named_text(str(item.get("title") or item["name"]), names)
            try:
                svg, note = _draw(stage, item, palette.apply, names, size)
            except (OSError, ValueError, KeyError, TypeError) as error:
                notes.append(message("figure_damaged", file=f"stages/{stage.name}/{item['file']}", reason=str(error)))
                continue
            svg = on_slide(svg, title) if size == "slide" else svg
            name = f"{embed.slug(stage.name)}/{embed.slug(str(item['name']))}"
            caption = named_text(str(item.get("caption") or ""), names)
            yield number, Drawing(name, title, caption, svg, note)


def _draw(
    stage: StageView, item: Mapping[str, Any], recolor: Any, names: Mapping[str, str], size: Size
) -> tuple[str, str]:
    """Return a figure as SVG on white, and what it leaves out."""
    path = stage.folder / str(item["file"])
    if path.suffix == ".png":
        return _picture(path.read_bytes()), ""
    if path.suffix == ".svg":
        embed.svg_size(path.read_bytes())
        return _on_white(path.read_text(encoding="utf-8")), ""
    chart = read_json(path)
    if not isinstance(chart, dict):
        raise ValueError("not a Vega-Lite object")
    return draw_chart(chart, recolor=recolor, names=names, size=size)


def draw_chart(chart: Mapping[str, Any], *, recolor: Any, names: Mapping[str, str], size: Size) -> tuple[str, str]:
    """Draw a chart of a run folder as SVG on white; more points than the report shows are sampled, and said."""
    import vl_convert

    spec, datasets = packed.detach(chart)
    frames = {name: packed.unpack(data) for name, data in datasets.items()}
    most = max(map(len, frames.values()), default=0)
    note = message("points_sampled", shown=POINT_LIMIT, total=most) if most > POINT_LIMIT else ""
    drawn = named_spec(recolor(packed.inline(spec, frames, max_rows=POINT_LIMIT)), names)
    drawn.pop("usermeta", None)
    look = _scaled(theme.config(), LARGER) if size == "slide" else theme.config()
    drawn["config"] = _merged(drawn.get("config", {}), {**look, "background": "white", "font": _FONT})
    drawn = _with_width(drawn, _slide_width(drawn) if size == "slide" else PAGE_WIDTH)
    compiled, marks = spread_marks(vl_convert.vegalite_to_vega(drawn))
    svg = _numbered(vl_convert.vega_to_svg(compiled, allowed_base_urls=[]))
    if marks and all(isinstance(compiled.get(side), int | float) for side in ("width", "height")):
        root = ElementTree.fromstring(svg)
        spread_names(root, marks, width=compiled["width"], height=compiled["height"])
        svg = _text(root)
    return svg, note


def _numbered(svg: str) -> str:
    """Count clips and gradients from 0: Vega goes on counting from the drawings before."""
    places: dict[str, str] = {}

    def renamed(found: re.Match[str]) -> str:
        return places.setdefault(found[0], f"{found[1]}{len(places)}")

    return re.sub(r"\b(clip|gradient_)\d+\b", renamed, svg)


def on_slide(svg: str, title: str) -> str:
    """Return a drawing as large as a slide holds it, in its middle, under its title."""
    root = ElementTree.fromstring(svg)
    width, height = _box(root)
    room = (SLIDE[0] - 2 * _MARGIN, SLIDE[1] - 2 * _MARGIN - _TITLE_ROOM)
    factor = min(room[0] / width, room[1] / height, _GROWTH)
    across, along = factor * width, factor * height
    root.attrib.update(
        {
            "viewBox": root.get("viewBox", f"0 0 {width:g} {height:g}"),
            "x": f"{(SLIDE[0] - across) / 2:.2f}",
            "y": f"{_MARGIN + _TITLE_ROOM + (room[1] - along) / 2:.2f}",
            "width": f"{across:.2f}",
            "height": f"{along:.2f}",
        }
    )
    out = _blank(*SLIDE)
    widths = (1.0 if letter in _WIDE or ord(letter) > 0x2E80 else 0.8 if letter.isupper() else 0.62 for letter in title)
    letters = min(_TITLE, room[0] / max(sum(widths), 1))
    place = {"x": f"{_MARGIN}", "y": f"{_MARGIN + _TITLE}", "font-size": f"{letters:.1f}", "font-weight": "600"}
    heading = ElementTree.SubElement(out, f"{{{_SVG}}}text", {**place, "font-family": _FONT, "fill": "#22262a"})
    heading.text = title
    out.append(root)
    return _text(out)


def _picture(content: bytes) -> str:
    """Return a PNG as SVG on white; at 130 dots per inch, as pictures are drawn, it has its size in the report."""
    width, height = embed.png_size(content)
    root = _blank(width, height)
    place = {"width": str(width), "height": str(height), f"{{{_XLINK}}}href": embed.picture_uri(content)}
    ElementTree.SubElement(root, f"{{{_SVG}}}image", place)
    return _text(root)


def _on_white(svg: str) -> str:
    root = ElementTree.fromstring(svg)
    root.insert(0, ElementTree.Element(f"{{{_SVG}}}rect", {"width": "100%", "height": "100%", "fill": "white"}))
    return _text(root)


def _blank(width: int, height: int) -> ElementTree.Element:
    size = {"width": str(width), "height": str(height)}
    root = ElementTree.Element(f"{{{_SVG}}}svg", {**size, "viewBox": f"0 0 {width} {height}"})
    ElementTree.SubElement(root, f"{{{_SVG}}}rect", {**size, "fill": "white"})
    return root


def _box(root: ElementTree.Element) -> tuple[float, float]:
    """Return width and height of a drawing in its own units."""
    corners = [float(part) for part in re.split(r"[\s,]+", root.get("viewBox", "").strip()) if part]
    if len(corners) == 4:
        return corners[2], corners[3]
    return float(root.get("width", "0").removesuffix("px")), float(root.get("height", "0").removesuffix("px"))


def _text(root: ElementTree.Element) -> str:
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _scaled(look: dict[str, Any], factor: float) -> dict[str, Any]:
    """Return a configuration with larger type; labels may be as many characters long as before."""
    out: dict[str, Any] = {}
    for key, value in look.items():
        if isinstance(value, dict):
            out[key] = _scaled(value, factor)
        else:
            typed = key.endswith(("FontSize", "fontSize", "Limit")) and key != "symbolLimit"
            out[key] = round(value * factor, 1) if typed and isinstance(value, int | float) else value
    return out


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with what `over` says, part by part, as the report's page does."""
    out = dict(base)
    for key, value in over.items():
        known = out.get(key)
        out[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return out


def _with_width(node: Any, width: int) -> Any:
    """Set a width for charts that are as wide as the page."""
    if isinstance(node, list):
        return [_with_width(part, width) for part in node]
    if not isinstance(node, dict):
        return node
    skipped = {"datasets", "values"}
    out = {key: part if key in skipped else _with_width(part, width) for key, part in node.items()}
    return {**out, "width": width} if out.get("width") == "container" else out


def _slide_width(spec: Mapping[str, Any]) -> int:
    """Return the width with which a chart of its height fills a slide."""
    height = spec.get("height")
    return round(min(max(1.6 * height, 420), 900)) if isinstance(height, int | float) else PAGE_WIDTH


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)

"""Figures for the page: Vega-Lite with packed rows, or a picture; sampled where there are too many points."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from mira_nb.charts import packed

from . import embed
from .json_files import read_json
from .names import named_spec
from .texts import phrase

POINT_LIMIT: Final = 50_000
"""More points than this are sampled for the interactive view; the full set is drawn as a picture beside it."""


HALF_WIDTH: Final = 420
"""Charts up to this width, in pixels, stand two in a row."""

ROWS_IN_PLACE: Final = 2_000
"""Rows of a chart that take more characters than this leave its specification for the page's archive."""


@dataclass
class Archive:
    """Data of all figures and tables, each kept once however many figures use it."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, text: str) -> str:
        """Store a text under a name made from its content, and return the name."""
        name = "b-" + hashlib.sha256(text.encode("utf-8")).hexdigest()[:20]
        self.texts[name] = text
        return name


@dataclass(frozen=True)
class FigureView:
    """One figure of the page: a chart (``spec``), a picture (``image``), both, or an error."""

    spec: dict[str, Any] | None = None
    image: str = ""
    image_size: tuple[int, int] = (0, 0)
    image_kind: Literal["png", "svg"] = "png"
    note: str = ""
    error: str = ""
    small: bool = False
    height: int = 320
    linked: dict[str, Any] | None = None
    has_data: bool = False


def read_figure(
    path: Path,
    archive: Archive,
    *,
    point_limit: int = POINT_LIMIT,
    recolor: Callable[[Any], Any] | None = None,
    names: Mapping[str, str] | None = None,
) -> FigureView:
    """Read a figure's file; a damaged file becomes an error shown in the figure's place.

    ``recolor`` puts the colours of the run into a chart's specification, ``names`` those of its topics.
    """
    try:
        if path.suffix == ".svg":
            content = path.read_bytes()
            size = embed.svg_size(content)
            return FigureView(image=embed.picture_uri(content, "svg+xml"), image_size=size, image_kind="svg")
        if path.suffix == ".png":
            content = path.read_bytes()
            size = embed.png_size(content)
            return FigureView(image=embed.picture_uri(content), image_size=size, small=size[0] <= 380)
        chart = read_json(path)
        if not isinstance(chart, dict):
            raise ValueError("not a Vega-Lite object")
        return chart_view(chart, archive, point_limit=point_limit, recolor=recolor, names=names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return FigureView(error=f"{path.name} cannot be shown: {type(error).__name__}: {error}")


def chart_view(
    chart: Mapping[str, Any],
    archive: Archive,
    *,
    point_limit: int = POINT_LIMIT,
    recolor: Callable[[Any], Any] | None = None,
    names: Mapping[str, str] | None = None,
) -> FigureView:
    """Return a chart for the page: its rows go into the archive, too many points are sampled."""
    spec, datasets = packed.detach(chart)
    if recolor is not None:
        spec = recolor(spec)
    spec, datasets = named_spec(spec, names or {}), named_spec(datasets, names or {})
    spec = _without_data_in_usermeta(spec)
    meta = spec.get("usermeta", {}).get(packed.META, {})
    note, image, size = "", "", (0, 0)
    for name, dataset in datasets.items():
        if dataset["n"] > point_limit:
            note = phrase("sample_beside_picture", shown=point_limit, total=dataset["n"])
            content = _full_raster(dataset, meta.get("raster"))
            if content:
                image, size = embed.picture_uri(content), embed.png_size(content)
            else:
                note = phrase("sample", shown=point_limit, total=dataset["n"])
            datasets[name] = _sampled(dataset, point_limit)
    linked_data = {
        name: {"n": data["n"], "columns": [with_reference(c, archive) for c in data["columns"]]}
        for name, data in datasets.items()
    }
    n_inline = _n_inline(spec)
    spec, rows = _without_rows(spec, archive)
    payload = {"spec": spec, "rows": rows, "packed": linked_data, "canvas": bool(datasets) or n_inline > 1500}
    width, height = _width(spec), _height(spec)
    return FigureView(
        spec=payload,
        image=image,
        image_size=size,
        note=note,
        small=width is not None and width <= HALF_WIDTH,
        height=height,
        linked=meta.get("linked"),
        has_data=bool(datasets) or n_inline > 0,
    )


def _without_data_in_usermeta(spec: dict[str, Any]) -> dict[str, Any]:
    # vega-embed applies embedOptions found in usermeta: a chart must not set the page's options
    meta = spec.get("usermeta")
    if not isinstance(meta, dict):
        return {key: value for key, value in spec.items() if key != "usermeta"}
    return {**spec, "usermeta": {packed.META: meta.get(packed.META, {})}}


def _without_rows(spec: dict[str, Any], archive: Archive) -> tuple[dict[str, Any], dict[str, str]]:
    """Move large named datasets of a specification into the archive; return the rest and where each of them went."""
    kept, moved = {}, {}
    for name, rows in spec.get("datasets", {}).items():
        text = embed.plain_json(rows)
        if isinstance(rows, list) and len(text) > ROWS_IN_PLACE:
            moved[name] = archive.add(text)
        else:
            kept[name] = rows
    return ({**spec, "datasets": kept} if moved else spec), moved


def with_reference(column: Mapping[str, Any], archive: Archive) -> dict[str, Any]:
    """Move the data of a packed column into the archive; ``ref`` is their name there."""
    out = dict(column)
    if "data" in out:
        out["ref"] = archive.add(out.pop("data"))
    return out


def _sampled(dataset: Mapping[str, Any], limit: int) -> dict[str, Any]:
    frame = packed.unpack(dataset)
    kinds = {column["name"]: column["kind"] for column in dataset["columns"] if column["kind"][0] in "uf"}
    return packed.pack(frame.iloc[packed.sample_rows(len(frame), limit)], kinds=kinds)


def _full_raster(dataset: Mapping[str, Any], hint: Mapping[str, Any] | None) -> bytes:
    """Draw all points as a picture, where the chart names the columns of its plane."""
    if not hint:
        return b""
    from mira_nb.charts.raster import Panel, draw_panels

    frame = packed.unpack(dataset)
    color = str(hint["color"])
    x, y = frame[hint["x"]].to_numpy(dtype=float), frame[hint["y"]].to_numpy(dtype=float)
    panel = Panel(x=x, y=y, values=frame[color], title=color)
    return draw_panels([[panel]], panel_inches=5.2)


def _n_inline(spec: Any) -> int:
    """Count the rows of data written into the chart itself."""
    if isinstance(spec, dict):
        total = sum(len(rows) for rows in spec.get("datasets", {}).values() if isinstance(rows, list))
        for key, value in spec.items():
            if key == "data" and isinstance(value, dict) and isinstance(value.get("values"), list):
                total += len(value["values"])
            elif key not in {"datasets", "usermeta", "values"}:
                total += _n_inline(value)
        return total
    return sum(map(_n_inline, spec)) if isinstance(spec, list) else 0


def _width(spec: Mapping[str, Any]) -> int | None:
    if any(key in spec for key in ("hconcat", "vconcat", "concat", "facet", "repeat")):
        return None
    width = spec.get("width")
    return int(width) if isinstance(width, int | float) else None


def _height(spec: Mapping[str, Any]) -> int:
    """Return the height that the chart will take, so that its room is reserved before it is drawn."""
    if "vconcat" in spec:
        return sum(_height(part) for part in spec["vconcat"])
    if "hconcat" in spec:
        return max((_height(part) for part in spec["hconcat"]), default=320)
    height = spec.get("height")
    return int(height) + 60 if isinstance(height, int | float) else 340

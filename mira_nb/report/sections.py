"""What the template shows of each stage: figures and tables numbered through the report, metrics, parameters, files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from . import embed, wording
from .colors import Palette
from .figures import Archive, read_figure
from .findings.limits import outside
from .names import named_text, topic_names
from .reader import RunView, StageView
from .tables import read_table
from .texts import phrase

LEVELS = ("error", "warning", "info", "success")
SERIOUS = ("error", "warning")
LONG_CAPTION = 100
INPUT = "input.finding"
"""Code of the findings of the input check, which carry none of their own."""
IDLE = "No action needed"
"""How the remedy of a note begins that asks for nothing; such notes stay in the section of their stage."""


@dataclass
class Builder:
    """Walk the stages once; collect what the page's scripts need, and number figures, tables and ids.

    ``blocks`` are the specifications of charts, ``archive`` the rows of charts and tables.
    """

    run: RunView
    blocks: list[Markup] = field(default_factory=list)
    archive: Archive = field(default_factory=Archive)
    palette: Palette = field(default_factory=Palette)
    n_figures: int = 0
    n_tables: int = 0
    ids: set[str] = field(
        default_factory=lambda: {
            *("results", "result-map", "result-tree", "result-topics", "alerts", "key-figures"),
            *("methods", "departures", "atlas", "provenance", "top", "main", "explore", "topic-pages"),
        }
    )

    @cached_property
    def names(self) -> dict[str, str]:
        """Names that the user gave to topics."""
        return topic_names(self.run.root)

    def stages(self) -> list[dict[str, Any]]:
        """Return one dict per stage for the template."""
        return [self._stage(stage) for stage in self.run.stages]

    def anchors(self, stages: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
        """Return the element id of every stage (with an empty name), figure and table."""
        out = {}
        for stage in stages:
            out[stage["name"], ""] = stage["id"]
            for item in [
                *stage["tables"],
                *(figure for group in stage["figure_groups"] for figure in group["figures"]),
            ]:
                out[stage["name"], item["name"]] = item["id"]
        return out

    def identifier(self, *parts: str) -> str:
        """Return a new element id, stable for the same folder: ``stage-figure``."""
        wanted = "-".join(embed.slug(part) for part in parts)
        out, count = wanted, 1
        while out in self.ids:
            count += 1
            out = f"{wanted}-{count}"
        self.ids.add(out)
        return out

    def _stage(self, stage: StageView) -> dict[str, Any]:
        identifier = self.identifier(stage.name)
        record = stage.record
        groups = self._figure_groups(stage)
        details = [
            {**group, "figures": _paired([figure for figure in group["figures"] if not figure["main"]])}
            for group in groups
            if not all(figure["main"] for figure in group["figures"])
        ]
        main_figures = [figure for group in groups for figure in group["figures"] if figure["main"]]
        if len(details):
            # the main figures of a stage that folds the others stand two in a row, the first alone if they are odd
            for figure in main_figures[len(main_figures) % 2 :]:
                figure["small"] = True
        main_figures = _paired(main_figures)
        tables = [self._table(stage, item) for item in record.get("tables") or ()]
        parameters = [_parameter(row) for row in record.get("parameters") or ()]
        links = [{"id": figure["id"], "title": figure["title"]} for group in groups for figure in group["figures"]]
        links += [{"id": table["id"], "title": table["title"]} for table in tables]
        return {
            "id": identifier,
            "name": stage.name,
            "title": stage.title,
            "status": stage.status,
            "purpose": stage.purpose,
            "reason": stage.reason.rstrip("."),
            "error": _error(stage.error),
            "has_older": stage.status == "failed" and (stage.folder / "stage.json").exists(),
            "time": wording.duration(stage.seconds),
            "memory": wording.memory(stage.peak_rss_mb),
            "key": str(record.get("key") or "")[:16],
            "alerts": _alerts(stage, identifier),
            "notes": [alert for alert in _alerts(stage, identifier) if alert["level"] not in SERIOUS],
            "n_serious": sum(alert["level"] in SERIOUS for alert in _alerts(stage, identifier)),
            "metrics": [metric(item) for item in record.get("metrics") or () if not item.get("key")],
            "key_metrics": [
                {**metric(item), "stage": stage.title, "stage_id": identifier}
                for item in record.get("metrics") or ()
                if item.get("key")
            ],
            "figure_groups": groups,
            "main_figures": main_figures,
            "detail_groups": details,
            "n_details": sum(len(group["figures"]) for group in details),
            "tables": tables,
            "main_tables": [table for table in tables if table["main"]],
            "detail_tables": [table for table in tables if not table["main"]],
            "parameters": parameters,
            "n_changed": sum(row["changed"] for row in parameters),
            "files": [_file(stage, item) for item in record.get("files") or ()],
            "links": links,
        }

    def _figure_groups(self, stage: StageView) -> list[dict[str, Any]]:
        """Group the figures under the heading they ask for, in their order."""
        groups: list[dict[str, Any]] = []
        for item in stage.record.get("figures") or ():
            title = str(item.get("section") or "")
            known = next((group for group in groups if group["title"] == title), None)
            if known is None:
                known = {"title": title, "items": []}
                groups.append(known)
            known["items"].append(item)
        return [
            {
                "title": group["title"],
                "figures": _captioned_once([self._figure(stage, item) for item in group["items"]]),
            }
            for group in groups
        ]

    def _figure(self, stage: StageView, item: Mapping[str, Any]) -> dict[str, Any]:
        self.n_figures += 1
        identifier = self.identifier(stage.name, str(item["name"]))
        names = self.names
        path = stage.folder / str(item["file"])
        view = read_figure(path, self.archive, recolor=self.palette.apply, names=names)
        if view.spec is not None:
            self.blocks.append(embed.json_block(f"spec-{identifier}", view.spec))
        title = named_text(str(item.get("title") or item["name"]), names)
        caption = named_text(str(item.get("caption") or ""), names)
        if names and view.image and not view.spec and "topic" in f"{title} {caption}":
            caption += " " + phrase("topics_in_picture", names=[f"{key}: {name}" for key, name in names.items()])
        return {
            "id": identifier,
            "name": str(item["name"]),
            "number": self.n_figures,
            "title": title,
            "caption": caption,
            "alt": named_text(str(item.get("alt") or title), names),
            "main": item.get("prominence", "main") == "main",
            "small": view.small,
            "view": view,
        }

    def _table(self, stage: StageView, item: Mapping[str, Any]) -> dict[str, Any]:
        self.n_tables += 1
        identifier = self.identifier(stage.name, str(item["name"]))
        caption, about = wording.lead(named_text(str(item.get("caption") or ""), self.names))
        out = {
            "id": identifier,
            "name": str(item["name"]),
            "number": self.n_tables,
            "title": named_text(str(item.get("title") or item["name"]), self.names),
            "caption": caption,
            "about": about,
            "file": f"stages/{stage.name}/{item['file']}",
            "href": quote(f"stages/{stage.name}/{item['file']}"),
            "main": item.get("prominence", "main") == "main",
            "note": "",
            "size": "",
            "error": "",
        }
        path = stage.folder / str(item["file"])
        try:
            view = read_table(path, names=self.names)
        except (OSError, ValueError) as error:
            out["error"] = f"This table cannot be shown: {error}"
            return out
        self.archive.texts[f"data-{identifier}-view"] = embed.plain_json(view.payload)
        if view.note:
            out["size"] = wording.size(path.stat().st_size)
            out["note"] = f"{view.note} {phrase('table_too_large', size=out['size'])}"
        return out


def _captioned_once(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace a long caption that an earlier figure of the group has by a reference to it."""
    first: dict[str, int] = {}
    for figure in figures:
        number = first.setdefault(figure["caption"], figure["number"])
        if number != figure["number"] and len(figure["caption"]) > LONG_CAPTION:
            figure["caption"] = phrase("caption_as", number=number)
    return figures


def _paired(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Place small figures two per row; the last of an odd number of neighbours gets the row for itself."""
    start = 0
    for position in range(len(figures) + 1):
        if position == len(figures) or not figures[position]["small"]:
            if (position - start) % 2:
                figures[position - 1]["small"] = False
            start = position + 1
    return figures


def metric(item: Mapping[str, Any]) -> dict[str, str]:
    """Return a key figure with its value formatted."""
    return {
        "name": str(item.get("name") or ""),
        "value": wording.number(item.get("value")),
        "unit": str(item.get("unit") or ""),
        "help": str(item.get("help") or ""),
    }


def all_alerts(run: RunView, stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every alert of the run, most severe first, failed stages and findings of the input check included."""
    findings = run.record.get("findings") or ()
    found = [_alert({"code": INPUT, **item}, "Input check", "provenance") for item in findings]
    for stage in stages:
        if stage["status"] == "failed":
            error = stage["error"]
            lines = error["message"].strip().splitlines() or [error["type"]]
            failed = {
                "level": "error",
                "title": phrase("stage_failed", title=stage["title"]),
                "cause": lines[0],
                "remedy": " ".join(lines[1:]).removeprefix("What to do: "),
                "code": "run.stage_failed",
            }
            found.append(_alert(failed, stage["title"], stage["id"]))
        elif stage["status"] == "skipped" and stage["reason"]:
            skipped = {
                "level": "info",
                "title": phrase("stage_skipped", title=stage["title"]),
                "remedy": stage["reason"],
                "code": "run.stage_skipped",
            }
            found.append(_alert(skipped, stage["title"], stage["id"]))
        found += [alert for alert in stage["alerts"] if not alert["remedy"].startswith(IDLE)]
    return _merged(sorted(found, key=lambda alert: LEVELS.index(alert["level"])))


def _merged(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merge alerts of several stages with one title; what they say differently is said stage by stage."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for alert in alerts:
        groups.setdefault((alert["level"], alert["title"]), []).append(alert)
    return [
        {
            **same[0],
            "cause": _of_each(same, "cause"),
            "remedy": _of_each(same, "remedy"),
            "stages": [{"id": alert["stage_id"], "title": alert["stage"]} for alert in same],
        }
        for same in groups.values()
    ]


def _of_each(alerts: list[dict[str, Any]], part: str) -> str:
    """Return a part of some alerts: once if it is the same in all, else with the stages' titles."""
    if len({alert[part] for alert in alerts}) == 1:
        return str(alerts[0][part])
    return " ".join(f"{alert['stage']}: {alert[part]}" for alert in alerts if alert[part])


def _alerts(stage: StageView, identifier: str) -> list[dict[str, Any]]:
    """Return the alerts of a stage, and one per key figure that misses its stated range and has none yet."""
    out = [_alert(item, stage.title, identifier) for item in stage.alerts]
    for item in stage.record.get("metrics") or ():
        text = outside(item)
        said = any(alert["level"] in SERIOUS and _names_value(alert, item.get("value")) for alert in out)
        if text and not said:
            missed = {
                "level": "warning",
                "title": text,
                "cause": str(item.get("help") or ""),
                "code": "report.value_out_of_range",
            }
            out.append(_alert(missed, stage.title, identifier))
    return out


def _names_value(alert: Mapping[str, Any], value: Any) -> bool:
    """Return whether an alert names a value as a number of its own or as a percentage."""
    forms = [wording.number(value)]
    if isinstance(value, float):
        forms.append(f"{value:.0%}")
    either = "|".join(map(re.escape, forms))
    return re.search(rf"(?<![\d.,])(?:{either})(?![\d%]|[.,]\d)", f"{alert['title']} {alert['cause']}") is not None


def _alert(item: Mapping[str, Any], stage: str, identifier: str) -> dict[str, Any]:
    level = item.get("level")
    return {
        "level": level if level in LEVELS else "info",
        "title": str(item.get("title") or ""),
        "cause": str(item.get("cause") or ""),
        "remedy": str(item.get("remedy") or ""),
        "code": str(item.get("code") or ""),
        "stage": stage,
        "stage_id": identifier,
    }


def _error(error: Mapping[str, Any] | None) -> dict[str, str]:
    values = error or {}
    return {
        "type": str(values.get("type") or "Error"),
        "message": str(values.get("message") or "no message was left"),
        "traceback": str(values.get("traceback") or ""),
    }


def _parameter(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": str(row.get("name")),
        "value": wording.parameter(row.get("value")),
        "used": wording.used_parameter(row.get("used", row.get("value"))),
        "default": wording.parameter(row.get("default")),
        "changed": bool(row.get("changed")),
        "unit": str(row.get("unit") or ""),
        "help": str(row.get("help") or ""),
    }


def _file(stage: StageView, item: Mapping[str, Any]) -> dict[str, Any]:
    path = f"stages/{stage.name}/{item.get('path')}"
    return {
        "path": path,
        "href": quote(path),
        "size": wording.size(item.get("bytes")),
        "description": str(item.get("description") or ""),
    }

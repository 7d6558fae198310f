"""Build report.html from a run folder: one file, no network, written in one rename."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from mira_nb.charts import theme
from mira_nb.charts.labels import LAYOUT

from . import embed, wording
from .atlas import atlas_rows
from .environment import FOLDER, page_environment
from .explore.page import FILE, Explorer, prepare
from .findings.collect import Findings, collect
from .findings.facts import Facts
from .findings.page import first_screen
from .glossary import terms
from .licences import notices
from .methods import Methods, build_methods
from .palette import run_palette
from .reader import RunView, read_run
from .sections import Builder, all_alerts
from .texts import phrase

SCRIPTS: Final = (
    "common.js", "packed.js", "page.js", "tables.js", "linked.js", "interact.js", "address.js", "charts.js", "folds.js",
    "values.js", "pens.js", "views.js", "zip.js", "genes.js", "coverage.js", "locus.js", "explore.js", "glossary.js",
    "main.js",
)  # fmt: skip
PROSE: Final = 400_000
"""Bytes that texts and plain tables of a page may take beside its data and scripts."""


def build_report(run: Path) -> Path:
    """Write ``report.html``, ``findings.json`` and ``.md``, ``methods.md`` and ``references.bib`` into a run folder.

    Where genes or motifs do not fit into the report, ``values.mnv`` holds them all.

    Parameters
    ----------
    run
        Run folder; nothing but its files is read.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    InputError
        When `run` is not a run folder.
    StoreError
        When its run.json is damaged. A damaged stage, table or figure is shown as such instead.
    """
    view = read_run(Path(run), verify=True)
    methods = build_methods(view)
    target = view.root / "report.html"
    html, findings, explorer = render(view, methods)
    _write(target, html)
    _write_values(view.root / FILE, explorer.file)
    _write(view.root / "findings.json", findings.json())
    _write(view.root / "findings.md", findings.markdown(_title(view)))
    _write(view.root / "methods.md", methods.markdown)
    _write(view.root / "references.bib", methods.bibtex)
    return target


def render(run: RunView, methods: Methods) -> tuple[str, Findings, Explorer]:
    """Return the report as HTML, the findings that it begins with, and what its explorer holds."""
    palette = run_palette(Facts(run))
    builder = Builder(run, palette=palette)
    stages = builder.stages()
    facts = Facts(run, builder.anchors(stages))
    findings = collect(facts)
    results = first_screen(facts, findings, palette, builder.archive, builder.blocks)
    preparation = prepare(facts, palette, builder.archive)
    alerts = all_alerts(run, stages) + _citation_alerts(methods)
    policy = embed.Policy()
    style = policy.style((FOLDER / "assets" / "report.css").read_text(encoding="utf-8"))
    scripts = _scripts(policy, with_charts=any("spec-" in str(block)[:60] for block in builder.blocks))
    record_text = json.dumps(run.record, indent=1, ensure_ascii=False)
    blocks = [
        embed.json_block("chart-themes", {"light": theme.config(), "dark": theme.config(dark=True), "spread": LAYOUT}),
        embed.json_block("texts", _texts(methods, record_text)),
        embed.json_block("glossary", [term.record() for term in terms()]),
        *builder.blocks,
        embed.archive_block("archive", builder.archive.texts),
    ]
    explorer = preparation.finish(PROSE + sum(map(len, [style, *scripts, *blocks])))
    html = _environment().get_template("report.html.j2").render(
        run=run,
        results=results,
        title=_title(run),
        created=str(run.record.get("updated") or run.record.get("created") or "")[:16].replace("T", " "),
        counts=_counts(facts),
        stages=stages,
        alerts=[alert for alert in alerts if alert["level"] in {"error", "warning"}],
        notes=[alert for alert in alerts if alert["level"] not in {"error", "warning"}],
        n_serious=sum(alert["level"] in {"error", "warning"} for alert in alerts),
        key_metrics=[item for stage in stages for item in stage["key_metrics"]],
        methods=methods,
        atlas=atlas_rows(stages),
        folder=run.root.resolve().name,
        files=_files(run.record),
        versions=list((run.record.get("versions") or {}).items()),
        platform=" · ".join(str(value) for value in (run.record.get("platform") or {}).values()),
        record_text=record_text,
        csp=policy.content(),
        style=style,
        scripts=scripts,
        glossary=terms(),
        notices=notices(),
        explorer=explorer,
        explorer_file=FILE,
        blocks=[*blocks, *explorer.blocks],
    )  # fmt: skip
    return html, findings, explorer


def _counts(facts: Facts) -> list[tuple[str, str]]:
    """Return cells, genes and peaks of the input, and how many of the cells a run with a subset analyses."""
    counts = {name: wording.number(value) for name, value in facts.run.shape.items()}
    analysed = facts.metric("joint", "Cells analysed")
    return [
        (
            phrase("cells_analysed", n_cells=wording.number(int(analysed))) if name == "cells" and analysed else name,
            value,
        )
        for name, value in counts.items()
    ]


@cache
def chart_bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that needs no network."""
    import vl_convert

    snippet = "window.vegaEmbed = vegaEmbed;"
    return f'(() => {{"use strict";\n{vl_convert.javascript_bundle(snippet)}\n}})();'


def _scripts(policy: embed.Policy, *, with_charts: bool) -> list[Markup]:
    own = "\n".join((FOLDER / "assets" / name).read_text(encoding="utf-8") for name in SCRIPTS)
    out = [policy.script(chart_bundle())] if with_charts else []
    out.append(policy.script(f'(() => {{"use strict";\n{own}\n}})();'))
    return out


def _environment() -> jinja2.Environment:
    environment = page_environment()
    environment.globals.update(inline=embed.inline, markdown=embed.markdown)
    environment.filters["tojson_text"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment


def _title(run: RunView) -> str:
    """Return the name of the data set: the run folder's, which the user chose."""
    return str(run.record.get("title") or run.root.resolve().name)


def _texts(methods: Methods, record_text: str) -> dict[str, dict[str, str]]:
    return {
        "methods": {"name": "methods.md", "text": methods.markdown, "type": "text/markdown"},
        "references": {"name": "references.bib", "text": methods.bibtex, "type": "text/plain"},
        "record": {"name": "run.json", "text": record_text, "type": "application/json"},
    }


def _files(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """List input and resource files; annotations given by name stand in the same list."""
    out = [
        {
            "role": str(item.get("role") or ""),
            "name": str(item.get("name") or ""),
            "shape": " × ".join(wording.number(n) for n in item.get("shape") or ()),
            "size": wording.size(item.get("bytes")),
            "sha256": str(item.get("sha256") or ""),
        }
        for item in record.get("inputs") or ()
    ]
    for role, items in (record.get("resources") or {}).items():
        for item in items if isinstance(items, list) else [{"name": items}]:
            fields = item if isinstance(item, dict) else {"name": item}
            out.append(
                {
                    "role": str(role),
                    "name": str(fields.get("name") or ""),
                    "shape": "",
                    "size": wording.size(fields.get("bytes")),
                    "sha256": str(fields.get("sha256") or ""),
                }
            )
    return out


def _citation_alerts(methods: Methods) -> list[dict[str, Any]]:
    if not methods.unknown:
        return []
    return [
        {
            "level": "warning",
            "title": phrase("citation_title"),
            "cause": ", ".join(methods.unknown),
            "remedy": phrase("citation_remedy"),
            "code": "report.unknown_citation",
            "stages": [{"id": "methods", "title": "Methods"}],
        }
    ]


def _write_values(path: Path, content: bytes) -> None:
    """Write the file of values that the page does not hold; remove that of an earlier page that did not hold all."""
    if content:
        _write(path, content)
    else:
        path.unlink(missing_ok=True)


def _write(path: Path, content: str | bytes) -> None:
    """Write a file atomically: after a kill either the old or the new one is there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content if isinstance(content, bytes) else content.encode("utf-8"))
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

"""HTML of the panels. Everything that comes from data, files or errors is escaped here."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mira_nb.run.check import CheckReport

from .job import JobState
from .library import RunSummary
from .state import LABELS, RunState, StageState
from .texts import phrase, words

_LEVEL_WORDS = {"error": "Problem", "warning": "Warning", "info": "Note", "success": "Good"}


def text(value: Any) -> str:
    """Escape a value."""
    return html.escape(str(value))


def duration(seconds: float) -> str:
    """Format seconds for reading."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def number(value: Any) -> str:
    """Format a key figure: thousands separated, four significant digits of a fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def alert(level: str, title: str, cause: str = "", remedy: str = "") -> str:
    """Return one alert: finding, cause, remedy."""
    word = _LEVEL_WORDS.get(level, "Note")
    parts = [f"<b>{word}: {text(title)}</b>"]
    parts += [f"<p>{text(item)}</p>" for item in (cause, remedy) if item]
    role = ' role="alert"' if level == "error" else ""
    return f'<div class="mn-alert mn-alert-{text(level)}"{role}>{"".join(parts)}</div>'


def alerts(items: Iterable[Mapping[str, Any]]) -> str:
    """Return all alerts, most severe first."""
    order = ["error", "warning", "info", "success"]
    ranked = sorted(items, key=lambda item: order.index(item["level"]) if item["level"] in order else len(order))
    return "".join(
        alert(*(str(item.get(name, "")) for name in ("level", "title", "cause", "remedy"))) for item in ranked
    )


def metrics(items: Sequence[Mapping[str, Any]]) -> str:
    """Return key figures as a strip, those marked as key first."""
    ranked = sorted(items, key=lambda item: not item.get("key"))
    cells = [
        f'<div><dt>{text(item["name"])}</dt><dd><span class="mn-value">{number(item["value"])} '
        f'<small>{text(item.get("unit", ""))}</small></span><div class="mn-help">{text(item.get("help", ""))}</div>'
        "</dd></div>"
        for item in ranked
    ]
    return f'<dl class="mn-metrics">{"".join(cells)}</dl>' if cells else ""


def error_box(error: Mapping[str, str]) -> str:
    """Return an error in one line, with its traceback folded."""
    lines = str(error.get("message", "")).strip().splitlines() or ["it failed without a message"]
    rest = " ".join(line.strip() for line in lines[1:])
    out = alert("error", lines[0], rest)
    trace = str(error.get("traceback", "")).strip()
    if trace:
        out += f'<details><summary>Traceback</summary><pre class="mn-log" tabindex="0">{text(trace)}</pre></details>'
    return out


def badge(state: StageState) -> str:
    """Return the status of a stage in words."""
    return f'<span class="mn-badge mn-is-{state.status}">{LABELS[state.status]}</span>'


def stage_head(state: StageState, purpose: str, look: str) -> str:
    """Return title, status and purpose of a stage."""
    facts = ""
    if state.stored is not None:
        seconds = duration(float(state.stored.get("seconds", 0)))
        facts = f'<span class="mn-help">took {seconds}, {float(state.stored.get("peak_rss_mb", 0)):,.0f} MB</span>'
    hint = f'<p class="mn-help"><b>What to look at:</b> {text(look)}</p>' if look else ""
    return (
        f'<div class="mn-stage-head"><h2>{text(state.title)}</h2>{badge(state)}{facts}</div>'
        f'<p class="mn-purpose">{text(purpose)}</p>{hint}'
    )


def header(run: RunState, *, demonstration: bool) -> str:
    """Return the title of the page and the facts of the data set."""
    names = ", ".join(str(item["name"]) for item in run.record.get("inputs", ())) or "input not recorded"
    facts = [f"<li><b>{value:,}</b> {text(name)}</li>" for name, value in run.shape.items()]
    facts.append(f"<li>from {text(names)}</li>")
    facts.append(f"<li>seed <b>{text(run.record.get('seed', 0))}</b></li>")
    facts.append(f"<li>mira_nb <b>{text(run.record.get('package_version', ''))}</b></li>")
    name = run.record.get("title") or run.root.resolve().name
    title = phrase("check", "title", name=words("check")["demonstration"] if demonstration else name)
    return f'<h1>{text(title)}</h1><ul class="mn-facts">{"".join(facts)}</ul>'


def input_check(run: RunState) -> str:
    """Return the findings of the input check, and the stages that wait for a file."""
    said = words("check")
    parts = [alerts(run.record.get("findings", ()))]
    given = [f"<li>{text(name.replace('_', ' '))}: {text(_names(value))}</li>" for name, value in _resources(run)]
    blocked = [
        f"<li>{text(state.title)}: {text(state.reason)}</li>"
        for state in run.stages.values()
        if state.status in {"blocked", "unavailable"}
    ]
    parts.append(f"<h3>{said['given']}</h3><ul>{''.join(given)}</ul>" if given else "")
    parts.append(f"<h3>{said['blocked']}</h3><ul>{''.join(blocked)}</ul>" if blocked else "")
    return "".join(parts) or f'<p class="mn-help">{said["well"]}</p>'


def check_report(found: CheckReport) -> str:
    """Return an input check: counts of what is kept and dropped, findings, resources, and which stages can run."""
    cells, genes, peaks = found.shape
    dropped = [{"n": n, "what": reason.replace("_", " ")} for reason, n in found.dropped.items() if n]
    kept = phrase("check", "kept", n_cells=cells, n_genes=genes, n_peaks=peaks)
    left_out = text(phrase("check", "left_out", dropped=dropped))
    parts = [f"<h3>{words('check')['heading']}</h3><p>{kept} {left_out}</p>"]
    findings = [finding for status in found.resources for finding in status.findings]
    parts += [alert(item.level, item.title, item.cause, item.remedy) for item in (*found.findings, *findings)]
    parts += [alert("error", problem) for problem in found.problems]
    summaries = [f"<li>{text(status.summary)}</li>" for status in found.resources if status.usable]
    parts.append(f"<ul>{''.join(summaries)}</ul>" if summaries else "")
    ready = [text(stage.title) for stage in found.stages if stage.state == "can run"]
    parts.append(f"<p>{phrase('check', 'ready', titles=ready, n=len(found.stages))}</p>")
    lacking = [f"<li>{text(stage.title)}: give {text(stage.missing)}</li>" for stage in found.stages if stage.missing]
    parts.append(f"<p>{words('check')['others']}</p><ul>{''.join(lacking)}</ul>" if lacking else "")
    return "".join(parts)


def run_card(run: RunSummary) -> str:
    """Return one run of the start page: title, state, key figures."""
    facts = "".join(f"<li>{text(fact)}</li>" for fact in run.facts)
    kind = {"running": "running", "finished": "done", "failed": "failed"}.get(run.state, "ready")
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.updated))
    return (
        f'<div class="mn-run"><div class="mn-stage-head"><h3>{text(run.title)}</h3>'
        f'<span class="mn-badge mn-is-{kind}">{text(run.state)}</span></div>'
        f'<p class="mn-help">{text(run.name)}, {when}: {text(run.detail)}</p><ul class="mn-facts">{facts}</ul></div>'
    )


def _resources(run: RunState) -> list[tuple[str, Any]]:
    return list(run.record.get("resources", {}).items())


def _names(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item["name"]) for item in value)
    return str(value)


def job_line(job: JobState, titles: Mapping[str, str]) -> str:
    """Return the state of the running or latest job, with a progress bar while it runs."""
    asked = titles.get(job.stage, job.stage) or "The analysis"
    title = text(titles.get(job.current, job.current) if job.current else asked)
    if job.active:
        return _job_running(job, title, asked)
    if job.status == "done":
        finished = f"{text(asked)} finished in {duration(job.elapsed)}."
        return f'<div class="mn-alert mn-alert-success" role="status">{finished}</div>'
    if job.status == "cancelled":
        return alert("info", f"{asked} was stopped on request", "Earlier results are kept.")
    if job.status in {"failed", "lost"}:
        return error_box(job.error)
    return ""


def _job_running(job: JobState, title: str, asked: str) -> str:
    """Return the bar of a whole job with what it does now; `title` is HTML."""
    left = f"about {duration(job.remaining)} left" if job.remaining >= 0 else words("stage")["time_unknown"]
    key = job.status if job.status in {"starting", "stopping"} else job.phase if job.current else f"{job.phase}_run"
    goal = f" (on the way to {text(asked)})" if job.upto and job.stage and job.current not in {"", job.stage} else ""
    named = f"{text(words('stage')['doing'][key])}{f': {title}' if job.current else ''}{goal}"
    steps = f"stage {job.step} of {job.steps}, " if job.steps > 1 and job.step else ""
    return (
        f'<div class="mn-job"><div class="mn-job-line"><b>{named}</b>'
        f"<span>{job.overall:.0%}, {steps}{duration(job.elapsed)} so far, {left}</span></div>"
        f'<progress max="1" value="{job.overall:.3f}" aria-label="Progress of the job"></progress>'
        f'<div class="mn-help">{text(job.message)}</div></div>'
    )

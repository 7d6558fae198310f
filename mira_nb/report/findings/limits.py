"""What limits the experiment: figures outside their stated range, stages that failed or were skipped, warnings."""

from __future__ import annotations

from typing import Any, Final

from mira_nb.report.texts import phrase

from .facts import Facts, number, part
from .model import Answer

ASSAY: Final = {"rna": "expression", "atac": "accessibility"}


def limits(facts: Facts) -> Answer:
    """Collect the limits, most severe first; the same sentence never twice."""
    failed, skipped, missed, warned = [], [], [], []
    proof = ("", "")
    for stage in facts.run.stages:
        if stage.status == "failed":
            failed.append(phrase("limit_failed", title=stage.title))
        elif stage.status == "skipped":
            skipped.append(phrase("limit_skipped", title=stage.title, reason=stage.reason.rstrip(".")))
        elif stage.status == "pending":
            skipped.append(phrase("limit_pending", title=stage.title))
        found = [
            outside(item, ASSAY.get(stage.name.rpartition("_")[2], "")) for item in stage.record.get("metrics") or ()
        ]
        found = [text for text in found if text]
        missed += found
        warned += [str(alert.get("title")) for alert in stage.alerts if alert.get("level") in {"warning", "error"}]
        if (found or stage.status == "failed") and not proof[0]:
            proof = (stage.name, "")
    items = list(dict.fromkeys([*failed, *missed, *warned, *skipped]))
    link = proof if proof[0] else ("alerts", "")
    if not items:
        return Answer("good", "none", {}, 0, "limits", proof=link)
    return Answer("bad" if failed else "caution", "found", {"items": items}, len(items), "limits", proof=link)


def outside(item: dict[str, Any], assay: str = "") -> str:
    """Return by how much a key figure misses its stated range; nothing where it keeps it or has none.

    `assay` names the assay of a stage that there is for each of them.
    """
    value = item.get("value")
    counted = part(value)
    amount = counted[0] / counted[1] if counted and counted[1] else number(value)
    least, most = number(item.get("good_above")), number(item.get("good_below"))
    if amount is None:
        return ""
    name = f"{item['name']} ({assay})" if assay else item["name"]
    shown = str(value) if counted or not isinstance(value, float) else f"{value:,.4g}"
    if least is not None and amount < least:
        return f"{name} {shown}, below {_bound(least, counted)}"
    if most is not None and amount > most:
        return f"{name} {shown}, above {_bound(most, counted)}"
    return ""


def _bound(bound: float, counted: Any) -> str:
    return f"{bound * counted[1]:,.4g}" if counted else f"{bound:,.4g}"

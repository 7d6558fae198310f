"""Slots, tables, metrics, alerts, timing and methods text of the tuning stages."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from mira_nb.core.tuning.learning_curve import CELLS_PER_TOPIC, LEAST_CELLS, SHORTFALL, fewest_cells
from mira_nb.core.tuning.result import Tuning
from mira_nb.core.tuning.rule import EQUIVALENT, LEAST_GAIN, LEAST_GAIN_OF_FITS
from mira_nb.core.tuning.stability import DEAD, DUPLICATE, FOUND
from mira_nb.keys import TUNING
from mira_nb.stages.result import Alert, ExportFile, Metric, Slot, Table
from mira_nb.stages.texts import Texts

from .compute import NOT_SEARCHED, TuningOutput

TEXTS = Texts(__package__)


def slots(output: TuningOutput) -> dict[Slot, Any]:
    """Return the choice, and the proportions that the stability refers to, for the stage of the topic model."""
    tuning = output.tuning
    value: dict[str, Any] = {
        "n_topics": tuning.n_topics,
        "mode": tuning.mode,
        "settings": json.dumps(dict(tuning.settings)),
        "baselines": json.dumps(tuning.baselines.to_dict("list")),
    }
    if tuning.stability is not None:
        value |= {
            "cells": tuning.cells,
            "topics": tuning.stability.topics,
            "topics_low": tuning.stability.low,
            "topics_high": tuning.stability.high,
            "refits": tuning.stability.refits,
            "stability": tuning.stability.table["stability"].to_numpy(float),
            "found_in": tuning.stability.table["found_in"].to_numpy(int),
        }
    return {Slot(output.modality, "uns", TUNING): value}


def tables(output: TuningOutput) -> list[Table]:
    """Return trials, choice, the curve over the number of topics, and stability."""
    tuning = output.tuning
    out = [
        TEXTS.table("choice", choice_frame(output), mode=tuning.mode),
        TEXTS.table("trials", tuning.trials, mode=tuning.mode),
    ]
    if len(tuning.curve):
        out.append(TEXTS.table("curve", tuning.curve))
    if len(tuning.fitted) > 1:
        out.append(TEXTS.table("fitted", tuning.fitted))
    if tuning.stability is not None:
        out.append(TEXTS.table("stability", tuning.stability.table, found=FOUND, duplicate=DUPLICATE, dead=DEAD))
    curve = tuning.learning_curve
    if curve is not None:
        out += [
            TEXTS.table("learning_curve", curve.table),
            TEXTS.table("learning_curve_summary", curve.summary, n_kept_out=curve.n_kept_out),
        ]
    return out


def choice_frame(output: TuningOutput) -> pd.DataFrame:
    """Return what was chosen and from what: setting, value, from, note."""
    tuning = output.tuning
    tried = _tried(tuning)
    rows: list[tuple[str, Any, str, str]] = [
        ("n_topics", tuning.n_topics, f"{min(tried)} to {max(tried)}" if tried else "size rule", tuning.mode)
    ]
    rows += [(name, value, _values(tuning.trials, name), "") for name, value in tuning.settings.items()]
    if tried:
        # without a comparison there is nothing that another rule would have chosen
        rows += [
            ("n_topics of the lowest loss", tuning.best_n_topics, "", ""),
            ("n_topics by one standard error", tuning.one_standard_error, "", ""),
            ("n_topics by the size rule", tuning.size_rule, "", ""),
        ]
    shown = [(name, f"{value:g}", source, note) for name, value, source, note in rows]
    return pd.DataFrame(shown, columns=["setting", "value", "from", "note"])


def _values(trials: pd.DataFrame, name: str) -> str:
    if name not in trials:
        return ""
    values = sorted({float(value) for value in trials[name].dropna()})
    listed = f"{values[0]:g} to {values[-1]:g}" if len(values) > 6 else ", ".join(f"{value:g}" for value in values)
    return listed if values else ""


def metrics(output: TuningOutput) -> list[Metric]:
    """Return the key figures: the choice, from what, by how much."""
    tuning = output.tuning
    tried = _tried(tuning)
    out = [
        TEXTS.metric(
            "n_topics", tuning.n_topics, modality=output.modality, mode=tuning.mode, n_tried=len(tried),
            size_rule=tuning.size_rule, low=min(tried, default=0),
            high=max(tried, default=0),
        )
    ]  # fmt: skip
    if tuning.runner_up is not None:
        out.append(
            TEXTS.metric(
                "margin", round(tuning.runner_up_gap, 5), modality=output.modality, runner_up=tuning.runner_up,
                n_topics=tuning.n_topics,
            )
        )  # fmt: skip
    if tried:
        out.append(TEXTS.metric("loss", round(float(_row(tuning)["loss"]), 4)))
        out.append(TEXTS.metric("gain", round(float(_row(tuning)["gain"]), 4)))
    if len(tuning.trials):
        out.append(TEXTS.metric("n_trials", len(tuning.trials)))
    if tuning.stability is not None:
        out.append(TEXTS.metric("stability", round(float(tuning.stability.table["stability"].min()), 3), found=FOUND))
    if tuning.learning_curve is not None:
        half = round(float(tuning.learning_curve.at(0.5)["correlation"]), 3)
        out.append(TEXTS.metric("half_of_cells", half, sentence=output.more_cells))
    return out


def _tried(tuning: Tuning) -> list[int]:
    """Return the numbers of topics that were compared, by factorisations or by fits."""
    tables = [frame for frame in (tuning.curve, tuning.fitted) if len(frame)]
    return sorted({int(number) for frame in tables for number in frame["n_topics"]})


def _row(tuning: Tuning) -> pd.Series:
    """Return the row of the choice: of the fits where there are any, as they are of the model itself."""
    frame = tuning.fitted if len(tuning.fitted) else tuning.curve
    return frame[frame["n_topics"] == tuning.n_topics].iloc[0]


def alerts(output: TuningOutput) -> list[Alert]:
    """Return what the reader must know of the choice: how it was made, its bounds, topics that are not stable."""
    tuning, params = output.tuning, output.params
    if tuning.mode == "none":
        return [TEXTS.alert("size_rule", n_topics=tuning.n_topics)]
    out = []
    if tuning.mode == "quick":
        out.append(
            TEXTS.alert(
                "quick", not_searched=NOT_SEARCHED, n_cells=len(tuning.cells), n_all=output.n_cells,
                n_features=tuning.n_features, n_modelled=output.n_modelled,
            )
        )  # fmt: skip
    if tuning.n_topics >= params.max_topics:
        out.append(TEXTS.alert("at_bound", n_topics=tuning.n_topics, bound="max_topics", more="raise"))
    elif tuning.n_topics <= params.min_topics and params.min_topics > 2:
        out.append(TEXTS.alert("at_bound", n_topics=tuning.n_topics, bound="min_topics", more="lower"))
    if params.n_trials != "auto" and len(tuning.trials) >= params.n_trials and tuning.mode == "quick":
        out.append(TEXTS.alert("trials_used_up", n_trials=params.n_trials))
    return out + _stability_alerts(output) + _learning_alerts(output)


def _stability_alerts(output: TuningOutput) -> list[Alert]:
    stability, out = output.tuning.stability, []
    if stability is None:
        return []
    table = stability.table
    single = stability.flagged("single")
    if single:
        out.append(TEXTS.alert("single_topics", topics=single, n_seeds=int(table["n_seeds"].iloc[0]), found=FOUND))
    copies = table[table["flag"] == "duplicate"]
    if len(copies):
        pairs = sorted({tuple(sorted(pair)) for pair in zip(copies["topic"], copies["duplicate_of"], strict=True)})
        out.append(TEXTS.alert("duplicate_topics", pairs=[f"{a} and {b}" for a, b in pairs], duplicate=DUPLICATE))
    dead = stability.flagged("dead")
    if dead:
        out.append(TEXTS.alert("dead_topics", topics=dead, dead=DEAD))
    return out


def _learning_alerts(output: TuningOutput) -> list[Alert]:
    """Return that half of the cells would give other topics, or that the cells are too few to tell."""
    tuning = output.tuning
    curve = tuning.learning_curve
    if curve is not None:
        if curve.shortfall() <= SHORTFALL:
            return []
        return [TEXTS.alert("more_cells", sentence=output.more_cells)]
    if not output.params.learning_curve or tuning.stability is None:
        return []
    return [
        TEXTS.alert(
            "no_learning_curve", n_cells=len(tuning.cells), fewest=fewest_cells(tuning.n_topics), least=LEAST_CELLS,
            per_topic=CELLS_PER_TOPIC, n_topics=tuning.n_topics,
        )
    ]  # fmt: skip


def timing(output: TuningOutput) -> ExportFile:
    """Return seconds by trial and phase, apart from the tables: they differ between equal runs."""
    rows = [{"part": name, "seconds": round(value, 3)} for name, value in output.tuning.seconds.items()]
    text = pd.DataFrame(rows, columns=["part", "seconds"]).to_csv(index=False)
    return ExportFile("timing.csv", text.encode(), TEXTS.text("timing"))


def methods(output: TuningOutput) -> str:
    """Return the methods paragraph of the tuning that was made."""
    tuning, params = output.tuning, output.params
    settings = {name: f"{value:g}" if isinstance(value, float) else value for name, value in tuning.settings.items()}
    return TEXTS.methods(
        modality=output.modality,
        mode=tuning.mode,
        n_topics=tuning.n_topics,
        pseudocounts=settings.get("initial_pseudocounts", ""),
        shrinkage_power=settings.get("shrinkage_power", ""),
        start_power=settings.get("start_power", "") if output.modality == "rna" else "",
        n_cells=len(tuning.cells),
        n_features=tuning.n_features,
        min_topics=params.min_topics,
        max_topics=params.max_topics,
        n_trials=len(tuning.trials),
        n_pruned=int((tuning.trials["state"] == "pruned").sum()),
        n_folds=params.n_folds,
        n_seeds=0 if tuning.stability is None else int(np.max(tuning.stability.table["n_seeds"])),
        least_gain=LEAST_GAIN,
        least_gain_of_fits=LEAST_GAIN_OF_FITS["expression" if output.modality == "rna" else "accessibility"],
        n_fitted=len(tuning.fitted),
        equivalent=EQUIVALENT,
        found=FOUND,
        sentence=output.more_cells,
    )

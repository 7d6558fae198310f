"""Figures of the tuning stages."""

from __future__ import annotations

from mira_nb.stages.result import Figure
from mira_nb.stages.texts import Texts

from .compute import TuningOutput

TEXTS = Texts(__package__)

PARAMETERS = ("n_topics", "initial_pseudocounts", "adam_epsilon", "dropout", "batch_size", "n_epochs")


def figures(output: TuningOutput) -> list[Figure]:
    """Draw the curve over the number of topics, the trials in order, parameters, and stability."""
    from mira_nb.charts import tuning as charts

    tuning = output.tuning
    out: list[Figure] = []
    if len(tuning.curve):
        out.append(
            TEXTS.figure(
                "curve",
                charts.loss_curve(tuning.curve, chosen=tuning.n_topics, one_standard_error=tuning.one_standard_error),
                mode=tuning.mode,
                chosen=tuning.n_topics,
                one_standard_error=tuning.one_standard_error,
                best=tuning.best_n_topics,
            )
        )
    if len(tuning.fitted) > 1:
        chart = charts.loss_curve(tuning.fitted, chosen=tuning.n_topics)
        out.append(TEXTS.figure("fitted", chart, chosen=tuning.n_topics, n_fitted=len(tuning.fitted)))
    if len(tuning.trials):
        n_pruned = int((tuning.trials["state"] == "pruned").sum())
        chart = charts.trial_history(tuning.trials)
        out.append(TEXTS.figure("history", chart, n_trials=len(tuning.trials), n_pruned=n_pruned, mode=tuning.mode))
    if tuning.importances:
        out.append(TEXTS.figure("importances", charts.importances(tuning.importances)))
    varied = [name for name in PARAMETERS if tuning.trials[name].nunique() > 1]
    if tuning.mode == "paper" and len(varied) > 1:
        out.append(TEXTS.figure("parallel", charts.parallel_coordinates(tuning.trials, varied)))
    if tuning.stability is not None and len(tuning.stability.matched):
        chart = charts.stability_strip(tuning.stability.table, tuning.stability.matched)
        out.append(
            TEXTS.figure(
                "stability",
                chart,
                n_seeds=len(tuning.stability.matched),
                modality=output.modality,
                with_curve=output.params.learning_curve,
            )
        )
    curve = tuning.learning_curve
    if curve is not None:
        chart = charts.learning_curve(curve.table, curve.summary)
        out.append(TEXTS.figure("learning_curve", chart, sentence=output.more_cells, n_kept_out=curve.n_kept_out))
    return out

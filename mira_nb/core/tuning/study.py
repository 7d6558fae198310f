"""The study in Optuna: search space, suggestions in fixed batches, journal in a file, importances."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from mira_nb.core.topics.settings import TopicSettings

from .shared import Claims, JournalLock

BATCH = 4
"""Trials per batch: all are suggested from the results of the batches before, whoever finishes first (chosen)."""

STARTUP = 8
"""Random trials before the Parzen estimator (chosen: two batches)."""

MIN_IMPORTANCE_TRIALS = 8
"""Finished trials below which importances would say nothing (chosen)."""


class TuningStudy:
    """An Optuna study whose suggestions depend on trial numbers and finished batches alone.

    Parameters
    ----------
    name
        Name within the journal.
    folder
        Where ``journal.log`` is kept, or None to keep nothing.
    bounds
        Smallest and largest number of topics.
    n_cells
        Training cells, which limit the batch size.
    seed
        Seed of the suggestions, together with the number of the trial.

    Attributes
    ----------
    claims
        What this process computes; several may work on the study at the same time.
    """

    def __init__(self, name: str, folder: Path | None, bounds: tuple[int, int], n_cells: int, seed: int) -> None:
        import optuna

        self.seed = seed
        self.claims = Claims(None if folder is None else folder / f"locks-{name}")
        with _quiet(), self.claims.alone():
            self.study = optuna.create_study(
                storage=_storage(folder), study_name=name, direction="minimize", load_if_exists=True,
                sampler=self._sampler(0),
            )  # fmt: skip
        uniform, whole = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
        sizes = [size for size in (32, 64, 128, 256) if size <= max(32, n_cells // 4)]
        self.space: dict[str, Any] = {
            "n_topics": whole(*bounds, log=True),
            "pseudocounts_per_topic": uniform(0.25, 8.0, log=True),
            "adam_epsilon": uniform(1e-8, 1e-2, log=True),
            "dropout": uniform(0.01, 0.4),
            "batch_size": optuna.distributions.CategoricalDistribution(sizes),
            "n_epochs": whole(10, 60, step=5),
        }

    def _sampler(self, number: int) -> Any:
        """Return a new sampler for one trial, so that a resumed study suggests what an undisturbed one would."""
        from optuna.samplers import TPESampler

        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        return TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=False)

    def trials(self) -> list[Any]:
        """Return all trials by number (``optuna.trial.FrozenTrial``)."""
        return sorted(self.study.get_trials(deepcopy=False), key=lambda trial: trial.number)

    def batch(self, number: int, size: int) -> list[Any]:
        """Return the trials of a batch, suggesting those that are not there yet."""
        first = number * BATCH
        with _quiet(), self.claims.alone():
            trials = self.trials()
            for missing in range(len(trials), first + size):
                self._suggest(missing, trials[:first])
        return self.trials()[first : first + size]

    def _suggest(self, number: int, before: Sequence[Any]) -> None:
        """Add a trial, suggested from those of the batches before, to the journal in one line."""
        import optuna

        # beside the study: a process that is killed between two parameters would leave half a trial there
        beside = optuna.create_study(direction="minimize", sampler=self._sampler(number))
        beside.add_trials(before)
        params = beside.ask(self.space).params
        self.study.add_trial(
            optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, params=params, distributions=self.space)
        )

    def finish(self, trial: Any, losses: Sequence[float], value: float, *, pruned: bool, n_steps: int) -> None:
        """Store the result of a trial: its folds as intermediate values, the penalised mean as its value.

        Nothing happens to a trial that has its value: another process made the same.
        """
        import optuna

        with _quiet(), self.claims.alone():
            trial = self.trials()[trial.number]
            if trial.state.is_finished():
                return
            open_trial = optuna.trial.Trial(self.study, trial._trial_id)
            for fold, loss in enumerate(losses, 1):
                if fold not in trial.intermediate_values:
                    open_trial.report(loss, fold)
            open_trial.set_user_attr("fold_losses", list(losses))
            open_trial.set_user_attr("pruned", pruned)
            open_trial.set_user_attr("n_steps", n_steps)
            self.study.tell(trial.number, value)

    def kept(self, name: str) -> Any:
        """Return a fact stored beside the trials, or None."""
        return self.study.user_attrs.get(name)

    def keep(self, name: str, value: Any) -> None:
        """Store a fact (a JSON value) beside the trials."""
        self.study.set_user_attr(name, value)

    def importances(self) -> dict[str, float]:
        """Return the fraction of the loss's variance by parameter (functional ANOVA); empty for few trials."""
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        done = [trial for trial in self.trials() if trial.value is not None]
        if len(done) < MIN_IMPORTANCE_TRIALS or np.ptp([trial.value for trial in done]) < 1e-9:
            return {}
        with _quiet():
            found = get_param_importances(self.study, evaluator=FanovaImportanceEvaluator(seed=self.seed))
        return {name: float(value) for name, value in found.items()}


def settings_of(params: Mapping[str, Any], base: TopicSettings) -> TopicSettings:
    """Return the settings of a trial; J is the number of topics times the pseudocounts per topic."""
    values = dict(params)
    per_topic = float(values.pop("pseudocounts_per_topic"))
    return replace(base, **values, initial_pseudocounts=per_topic * values["n_topics"])


def study_name(counts: sparse.csr_matrix, *facts: Any) -> str:
    """Return a name that differs where counts or facts differ, so that a journal is not continued by mistake."""
    digest = hashlib.sha256(repr((counts.shape, *facts)).encode())
    for part in (counts.indptr, counts.indices, counts.data):
        digest.update(np.ascontiguousarray(part).tobytes())
    return f"tuning-{digest.hexdigest()[:16]}"


def _storage(folder: Path | None) -> Any:
    if folder is None:
        return None
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / "journal.log"
    lock: Any = JournalLock(journal)
    return JournalStorage(JournalFileBackend(str(journal), lock))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's log of trials and its notes on experimental arguments to itself, and restore."""
    import warnings

    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)

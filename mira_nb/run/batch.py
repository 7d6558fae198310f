"""Many runs from one file: settings that all share, and what each run has of its own.

DIR/NAME             run folder of each run
DIR/runs.csv         run, status (done|failed), failed stages, message, folder
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml

from mira_nb.errors import MiraError, ParameterError
from mira_nb.io.catalogue import local_file
from mira_nb.io.resources import Resources
from mira_nb.io.spec import InputSpec
from mira_nb.stages.registry import stages_until

from .files import write_bytes
from .messages import refusal
from .notebooks import ProgressSink
from .pipeline import RunOutcome, RunRequest, parse_parameters, run_pipeline
from .store import plain_cells

SHARED: Final = "all"
RUNS: Final = "runs"
PARAMETERS: Final = "params"
_FIELDS: Final = {item.name: str(item.type) for model in (InputSpec, Resources) for item in fields(model)}
_PATHS: Final = {name for name, kind in _FIELDS.items() if "Path" in kind}
_LISTS: Final = {name for name, kind in _FIELDS.items() if kind.startswith("tuple")}
_RUN: Final = ("title", "seed", "until")
SETTINGS: Final = (*_FIELDS, *_RUN, PARAMETERS)
"""What a run can be given; the names are those of the command line's options."""
Settings = dict[str, Any]


@dataclass(frozen=True)
class BatchOutcome:
    """What became of one run of a batch.

    Attributes
    ----------
    name, folder
        Its name in the file, and its run folder.
    outcome
        What the run did; None where it did not come to its end.
    message
        Why not.
    """

    name: str
    folder: Path
    outcome: RunOutcome | None
    message: str = ""

    @property
    def failed(self) -> bool:
        """Whether the run, or one of its stages, failed."""
        return self.outcome is None or bool(self.outcome.failed)


def read_batch(file: Path, defaults: Mapping[str, Any] | None = None) -> dict[str, Settings]:
    """Read and check a file of runs.

    Parameters
    ----------
    file
        The YAML file; its relative paths start from its own folder.
    defaults
        Settings below those of the file.

    Returns
    -------
    dict
        Name of each run -> its complete settings: `defaults`, then those for all, then its own.

    Raises
    ------
    ParameterError
        The file cannot be read or has another form; a name, stage or parameter is not known; a value is not valid.
    """
    loaded = _load(file)
    unknown = sorted(set(map(str, loaded)) - {SHARED, RUNS})
    if unknown:
        raise refusal(ParameterError, "batch_keys_unknown", file=file, unknown=unknown)
    named = loaded.get(RUNS)
    if not isinstance(named, dict) or not named:
        raise refusal(ParameterError, "batch_names_no_run", file=file, key=RUNS)
    shared = _merged(dict(defaults or {}), _settings(file, SHARED, loaded.get(SHARED)))
    out: dict[str, Settings] = {}
    for key, own in named.items():
        name = str(key)
        if not re.fullmatch(r"\w[\w.\-]*", name) or name.lower() in {known.lower() for known in out}:
            raise refusal(ParameterError, "batch_run_name", file=file, name=name)
        out[name] = _merged(shared, _settings(file, f"{RUNS}.{name}", own))
        try:
            parse_parameters(out[name].get(PARAMETERS, {}))
            stages_until(out[name].get("until"))
        except ParameterError as error:
            raise refusal(
                ParameterError, "batch_run_refused", file=file, key=RUNS, name=name, reason=str(error)
            ) from None
    return out


class _Loader(yaml.SafeLoader):
    """YAML in which no key stands twice: the first of two would be lost without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"{', '.join(sorted(twice))} stands twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _load(file: Path) -> dict[Any, Any]:
    try:
        loaded = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # a subclass of the safe loader
    except OSError as error:
        raise refusal(ParameterError, "batch_unreadable", file=file, reason=error.strerror) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise refusal(ParameterError, "batch_not_yaml", file=file, reason=str(error)) from None
    if not isinstance(loaded, dict):
        raise refusal(ParameterError, "batch_other_form", file=file)
    return loaded


def _settings(file: Path, place: str, given: Any) -> Settings:
    """Return the settings of one place of the file: known names, checked kinds, paths from the file's folder."""
    given = {} if given is None else given
    if not isinstance(given, dict):
        raise refusal(ParameterError, "batch_value_form", file=file, place=place, given=given)
    values = {str(name).replace("-", "_"): value for name, value in given.items()}
    unknown = sorted(set(values) - set(SETTINGS))
    if unknown:
        raise refusal(ParameterError, "batch_setting_unknown", file=file, place=place, unknown=unknown, known=SETTINGS)
    for name, value in values.items():
        values[name] = _value(file, f"{place}.{name}", name, value)
    return values


def _value(file: Path, place: str, name: str, value: Any) -> Any:
    if value is None and name != PARAMETERS:
        return None  # takes back what is set for all
    if name == PARAMETERS:
        value = {} if value is None else value
        if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
            raise refusal(ParameterError, "batch_params_form", file=file, place=place, value=value)
        return {str(stage): dict(item) for stage, item in value.items()}
    if name == "seed":
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
            raise refusal(ParameterError, "batch_seed", file=file, place=place, value=value)
        return value
    items = value if name in _LISTS and isinstance(value, list) else [value]
    if any(isinstance(item, dict | list | bool) for item in items):
        raise refusal(ParameterError, "batch_text", file=file, place=place, value=value)
    texts = [str(item) for item in items]
    if name in _PATHS:
        texts = [text if _catalogue(text) else str(file.parent / Path(text).expanduser()) for text in texts]
    return texts if name in _LISTS else texts[0]


def _catalogue(text: str) -> bool:
    return text.partition(":")[0] in {"jaspar", "ucsc"}


def _merged(below: Settings, above: Settings) -> Settings:
    """Return settings of which those above win; parameters are merged one by one."""
    stages = {**below.get(PARAMETERS, {}), **above.get(PARAMETERS, {})}
    parameters = {
        stage: {**below.get(PARAMETERS, {}).get(stage, {}), **above.get(PARAMETERS, {}).get(stage, {})}
        for stage in stages
    }
    # a run with an input of its own does not keep the other form of input that all share
    forms = ({"rna", "atac"}, {"mudata"}, {"tenx"})
    own = [form for form in forms if form & set(above)]
    dropped = set().union(*(form for form in forms if form not in own)) if own else set()
    kept = {name: value for name, value in below.items() if name not in dropped}
    return {**kept, **above, PARAMETERS: parameters}


def batch_request(settings: Mapping[str, Any], out: Path) -> RunRequest:
    """Return the run that settings describe; resources of the catalogue are downloaded."""
    given = {name: value for name, value in settings.items() if value is not None}
    resources = Resources.from_json(given)
    return RunRequest(
        spec=InputSpec.from_json(given),
        resources=replace(
            resources,
            genome=resources.genome and local_file(resources.genome, "genome"),
            motifs=resources.motifs and local_file(resources.motifs, "motifs"),
        ),
        out=out,
        parameters=given.get(PARAMETERS, {}),
        until=given.get("until"),
        seed=given.get("seed", 0),
        title=given.get("title", ""),
    )


def run_batch(
    runs: Mapping[str, Settings],
    out: Path,
    *,
    compute: str | None = None,
    say: Callable[[str], None] = lambda _: None,
    sink: ProgressSink | None = None,
) -> Iterator[BatchOutcome]:
    """Run one after the other; one that fails leaves the others alone.

    A stage whose key equals that of a run before it, the input, its parameters and all before it being the same, is
    taken over from there.
    """
    donors: list[Path] = []
    for name, settings in runs.items():
        say(name)
        folder = out / name
        try:
            request = replace(batch_request(settings, folder), compute=compute, donors=tuple(donors))
            found = BatchOutcome(name, folder, run_pipeline(request, sink=sink))
        except MiraError as error:
            found = BatchOutcome(name, folder, None, str(error))
        except Exception as error:  # whatever it is, the other runs go on, and the end says it
            found = BatchOutcome(name, folder, None, f"{type(error).__name__}: {error}")
        if found.outcome is not None:
            donors.append(folder)
        yield found


def write_outcomes(outcomes: Sequence[BatchOutcome], out: Path) -> Path:
    """Write runs.csv and return its path."""
    rows = [
        {
            "run": item.name,
            "status": "failed" if item.failed else "done",
            "failed_stages": " ".join(item.outcome.failed) if item.outcome else "",
            "message": item.message.partition("\n")[0],
            "folder": item.folder.name,
        }
        for item in outcomes
    ]
    path = out / "runs.csv"
    write_bytes(path, plain_cells(pd.DataFrame(rows)).to_csv(index=False).encode("utf-8"))
    return path

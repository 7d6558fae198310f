"""What a stage is: parameters in, checked data in, a :class:`Result` out.

A stage knows AnnData and the charts; it knows nothing of notebooks, widgets, run folders or the report. Everything
a stage leaves behind is in its Result: values for the MuData (slots), tables, figures, metrics, alerts and the
sentences for the methods section.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Protocol, TypeAlias, TypeVar

from mudata import MuData

from mira_nb.io.resources import Resources
from mira_nb.keys import CELL_LABEL, LEIDEN, LINEAGE_STATE
from mira_nb.typing import Progress

from .params import Params
from .result import Result, Slot

AllParams: TypeAlias = Mapping[str, Params]
"""Validated parameters of every stage, by its name."""


class Compute(Protocol):
    """Runs independent pieces of work; see ``mira_nb.run.compute``."""

    n_workers: int

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Apply a picklable function to every item; results come in the order of the items.

        The function is sent to a worker once, items one by one when a worker is free: data that all items need belong
        to the function (``functools.partial``).
        """
        ...


class InProcess:
    """The default: one item after the other in this process."""

    n_workers = 1

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Apply a function to every item."""
        return map(function, items)


def no_progress(fraction: float, message: str) -> None:
    """Ignore progress (the default)."""


@dataclass(frozen=True)
class Context:
    """What a stage may use besides data and parameters."""

    seed: int = 0
    resources: Resources = field(default_factory=Resources)
    progress: Progress = no_progress
    n_threads: int = 2
    compute: Compute = field(default_factory=InProcess)
    work_dir: Path | None = None
    """Folder in which a stage may keep what lets it go on after it was stopped; None: nothing is kept."""
    own_data: bool = False
    """The data were loaded for this stage alone: it may drop a matrix that it has read, to save memory."""


@dataclass(frozen=True)
class Memory:
    """Memory of a stage: MB with a small input, and bytes per stored value and per cell and gene beyond it."""

    base_mb: float
    per_value: float
    per_cell_and_gene: float = 0.0


P = TypeVar("P", bound=Params)

CLUSTER_KEYS: Final = frozenset({LEIDEN, CELL_LABEL})
"""Keys of the clusters and of the names given to them, which change more often than what they are made from."""
STATES: Final = Slot("joint", "obs", LINEAGE_STATE)


class Stage(ABC, Generic[P]):
    """One step of the analysis; its class attributes say all there is to say of it.

    Attributes
    ----------
    name, title
        Key of the run folder; name for readers.
    purpose
        What it yields, one sentence.
    Params
        Its parameter model.
    needs, uses
        Stages that must be done; stages whose results are read when they are done.
    resources
        Alternatives of resource names, any one of which lets the stage run, e.g. ``(("motif_hits",), ("genome",
        "motifs"))``; empty: nothing needed.
    optional_resources
        Resources that change the result when given.
    writes
        Keys by which it is seen that the stage was run on a MuData, each with its shape and unit.
    also_writes
        Keys that it writes besides, for scanpy or in some runs only, with shape and unit.
    reads_layers
        Whether it reads layers of earlier stages, the largest values there are; where not, none is loaded.
    memory
        What it needs at its peak; the default is that of a stage that copies neither matrix.
    look, tune
        What to look at first when the result is there; which parameters to change, and when.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    purpose: ClassVar[str]
    Params: ClassVar[type[Params]]
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    resources: ClassVar[tuple[tuple[str, ...], ...]] = ()
    optional_resources: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[Slot, ...]] = ()
    also_writes: ClassVar[tuple[Slot, ...]] = ()
    reads_layers: ClassVar[bool] = True
    memory: ClassVar[Memory] = Memory(660, 13)
    look: ClassVar[str] = ""
    tune: ClassVar[str] = ""

    @abstractmethod
    def run(self, data: MuData, params: P, context: Context) -> Result:
        """Compute; must not change `data`."""

    def reads(self, slot: Slot, params: P, resources: Resources, present: Container[Slot]) -> bool:
        """Return whether the stage reads a value of an earlier stage.

        Values that it does not read are not loaded, and a change of theirs leaves its result up to date: other clusters
        of the same joint representation do not outdate the gene sets of topics.

        Parameters
        ----------
        slot
            The value.
        params, resources
            Those of the run; a column that they name is always read.
        present
            All values of the earlier stages.
        """
        if slot.element == "layers" and not self.reads_layers:
            return False
        if slot.key not in CLUSTER_KEYS:
            return True
        named = {resources.groups, resources.batch, *_texts(params.model_dump(mode="json").values())}
        if slot.key in named or self.reads_clusters(params, resources, present):
            return True
        return slot.key == CELL_LABEL and resources.labels is not None and "labels" in self.optional_resources

    def reads_clusters(self, params: P, resources: Resources, present: Container[Slot]) -> bool:
        """Return whether the clusters of the joint representation can change the result."""
        return True

    def missing(self, resources: Resources) -> str:
        """Return which resource to give ('' when the stage can run)."""
        if not self.resources or any(all(map(resources.has, option)) for option in self.resources):
            return ""
        options = (" with ".join("--" + name.replace("_", "-") for name in option) for option in self.resources)
        return " or ".join(options)

    def used_resources(self, resources: Resources) -> tuple[str, ...]:
        """Return the names of all resources that can change the result, given which are there."""
        return tuple({name for option in self.resources for name in option} | set(self.optional_resources))

    def skip_reason(self, parameters: AllParams) -> str:
        """Return why the parameters of the run's stages make this one needless ('' when it is to run).

        Parameters
        ----------
        parameters
            Validated parameters of every stage, by its name.
        """
        return ""


def no_better_groups(resources: Resources, present: Container[Slot]) -> bool:
    """Return whether clusters are the only groups of cells there are: no annotation given, no states of a tree."""
    return not resources.groups and resources.labels is None and STATES not in present


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """Yield the texts among values, those inside lists too."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            yield from _texts(value)

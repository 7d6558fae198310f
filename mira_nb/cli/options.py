"""Options that several commands share, and what they make: the input and the resources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from mira_nb.errors import ParameterError

from .messages import refusal

if TYPE_CHECKING:
    from mira_nb.io.resources import Resources
    from mira_nb.io.spec import InputSpec

Rna = Annotated[
    Path | None,
    typer.Option("--rna", help="Gene counts, .h5ad, .zarr, 10x .h5 or folder (with --atac).", metavar="FILE"),
]
Atac = Annotated[
    Path | None,
    typer.Option("--atac", help="Peak counts, .h5ad, .zarr, 10x .h5 or folder (with --rna).", metavar="FILE"),
]
Mudata = Annotated[Path | None, typer.Option("--mudata", help="Both in one .h5mu or .zarr.", metavar="FILE")]
Tenx = Annotated[
    Path | None,
    typer.Option("--tenx", help="10x filtered_feature_bc_matrix.h5, or folder of matrix.mtx.", metavar="FILE"),
]
Obs = Annotated[
    Path | None,
    typer.Option(
        "--obs", help="Table of cell annotations, any delimiter: barcodes, or samples of aggr.", metavar="TABLE"
    ),
]
Tss = Annotated[Path | None, typer.Option("--tss", help="Transcription start sites: BED, TSV, GTF.", metavar="FILE")]
Genome = Annotated[
    Path | None, typer.Option("--genome", help="Genome, .fa or .fa.gz; or ucsc:mm10, downloaded once.", metavar="FILE")
]
Motifs = Annotated[
    Path | None,
    typer.Option("--motifs", help="JASPAR, MEME or TRANSFAC; or jaspar:vertebrates, downloaded once.", metavar="FILE"),
]
GeneSets = Annotated[list[Path] | None, typer.Option("--gene-sets", help="GMT file; repeatable.", metavar="FILE")]
MotifHits = Annotated[
    Path | None,
    typer.Option(
        "--motif-hits",
        help="Hits instead of a scan, .h5ad or table: peaks x factors; or sites: BED, fimo.tsv.",
        metavar="FILE",
    ),
]
Blacklist = Annotated[
    Path | None,
    typer.Option("--blacklist", help="BED of artefact regions; check counts the peaks in them.", metavar="FILE"),
]
FragmentFile = Annotated[
    Path | None,
    typer.Option("--fragments", help="fragments.tsv.gz: quality of the cells, recount of peaks.", metavar="FILE"),
]
Groups = Annotated[str | None, typer.Option("--groups", help="Cell annotation to compare.", metavar="COLUMN")]
StartCell = Annotated[str | None, typer.Option("--start-cell", help="Where it begins.", metavar="NAME")]
Batch = Annotated[
    str | None, typer.Option("--batch", help="Cell annotation: batch, animal or donor.", metavar="COLUMN")
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", help="Names of clusters: a table with columns cluster, label.", metavar="TABLE"),
]
Subset = Annotated[
    str | None,
    typer.Option("--subset", help="Cells to analyse; topics are learned from all.", metavar="COLUMN=VALUE,..."),
]
Sets = Annotated[list[str] | None, typer.Option("--set", help="One parameter; repeatable.", metavar="STAGE.NAME=VALUE")]
ParamsFile = Annotated[
    Path | None,
    typer.Option("--params", help="YAML, or a preset of the dashboard: {stage: {name: value}}.", metavar="FILE"),
]
Until = Annotated[str | None, typer.Option("--until", help="Last stage to run.", metavar="STAGE")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of every random number.", min=0, max=2**32 - 1)]
Title = Annotated[str, typer.Option("--title", help="Head of the report; default: the folder's name.", metavar="TEXT")]
Compute = Annotated[
    str | None,
    typer.Option(
        "--compute",
        help="Where independent work is done: a number of processes, tcp://HOST:PORT of a Dask scheduler, or a "
        "dask-jobqueue file; default: a process per core.",
        metavar="WHERE",
    ),
]
BatchFile = Annotated[
    Path | None,
    typer.Option(
        "--batch-file",
        help="YAML of many runs, each into a folder below --out; the other options hold for all.",
        metavar="FILE.yaml",
    ),
]
Discard = Annotated[
    bool, typer.Option("--discard", help="Restore even if there is no room to keep the present state, which is lost.")
]
Layer = Annotated[
    str | None,
    typer.Option("--layer", help="Matrix of counts: X, raw or a layer; default: the best documented.", metavar="NAME"),
]
PairBy = Annotated[
    str | None,
    typer.Option(
        "--pair-by", help="Pair cells by names, order, suffix, prefix or an obs column of barcodes.", metavar="RULE"
    ),
]


def input_spec(
    rna: Path | None,
    atac: Path | None,
    mudata: Path | None,
    tenx: Path | None,
    layer: str | None = None,
    pair_by: str | None = None,
    obs: Path | None = None,
) -> InputSpec:
    """Return the input that was named, or refuse half of one or two."""
    from mira_nb.io.spec import InputSpec

    given = [bool(rna or atac), bool(mudata), bool(tenx)]
    if sum(given) != 1 or bool(rna) != bool(atac):
        raise refusal(ParameterError, "input_incomplete")
    return InputSpec(rna=rna, atac=atac, mudata=mudata, tenx=tenx, layer=layer, pair_by=pair_by, obs=obs)


@dataclass(frozen=True)
class Given:
    """Options of the commands that read an experiment: its input files, resources and annotations."""

    rna: Rna = None
    atac: Atac = None
    mudata: Mudata = None
    tenx: Tenx = None
    obs: Obs = None
    layer: Layer = None
    pair_by: PairBy = None
    tss: Tss = None
    genome: Genome = None
    motifs: Motifs = None
    gene_sets: GeneSets = None
    motif_hits: MotifHits = None
    blacklist: Blacklist = None
    fragments: FragmentFile = None
    groups: Groups = None
    start_cell: StartCell = None
    batch: Batch = None
    labels: Labels = None
    subset: Subset = None

    def spec(self) -> InputSpec:
        """Return the input that was named, or refuse half of one or two."""
        return input_spec(self.rna, self.atac, self.mudata, self.tenx, self.layer, self.pair_by, self.obs)

    def resources(self, progress: Callable[[str, float, str, float], None]) -> Resources:
        """Return the resources that were named; those of the catalogue are downloaded."""
        from mira_nb.io.catalogue import local_file
        from mira_nb.io.resources import Resources

        def say(fraction: float, message: str) -> None:
            progress("download", fraction, message, -1)

        return Resources(
            tss=self.tss,
            genome=self.genome and local_file(self.genome, "genome", progress=say),
            motifs=self.motifs and local_file(self.motifs, "motifs", progress=say),
            gene_sets=tuple(self.gene_sets or ()),
            motif_hits=self.motif_hits,
            blacklist=self.blacklist,
            fragments=self.fragments,
            groups=self.groups,
            start_cell=self.start_cell,
            batch=self.batch,
            labels=self.labels,
            subset=self.subset,
        )


def takes(group: type[Given]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn the parameter ``given`` of a command into options, one per field of `group`, in its place.

    typer makes options of a signature, so that those of several commands would have to be written in each of them.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        options = get_type_hints(group, include_extras=True)
        parameters: list[Parameter] = []
        for item in signature(command).parameters.values():
            if item.name == "given":
                parameters += [
                    Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=options[field.name])
                    for field in fields(group)
                ]
            else:
                parameters.append(item.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[item.name]))

        def wrapped(**values: Any) -> None:
            command(given=group(**{field.name: values.pop(field.name) for field in fields(group)}), **values)

        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        wrapped.__annotations__ = {item.name: item.annotation for item in parameters}
        wrapped.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        return wrapped

    return decorate


def collect_parameters(file: Path | None, sets: list[str]) -> dict[str, dict[str, Any]]:
    """Return parameters by stage from a YAML file and from ``STAGE.NAME=VALUE`` texts, the latter winning.

    Raises
    ------
    ParameterError
        For an unreadable file or a text of another form.
    """
    import yaml

    values: dict[str, dict[str, Any]] = {}
    if file is not None:
        from mira_nb.run.parameter_files import read_parameters

        values = read_parameters(file)
    for text in sets:
        target, sign, raw = text.partition("=")
        stage, dot, name = target.strip().partition(".")
        if not (sign and dot and stage and name):
            raise refusal(ParameterError, "set_not_understood", text=text)
        try:
            values.setdefault(stage, {})[name] = yaml.safe_load(raw)
        except yaml.YAMLError:
            values.setdefault(stage, {})[name] = raw
    return values

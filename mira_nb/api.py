"""One function per stage, for people who work in a notebook of their own.

>>> import mira_nb
>>> mdata = mira_nb.read(rna="rna.h5ad", atac="atac.h5ad")  # doctest: +SKIP
>>> mira_nb.prepare(mdata)  # doctest: +SKIP
>>> mira_nb.topics_rna(mdata, n_topics=10)  # doctest: +SKIP

Each function computes its stage on a MuData, writes the stage's keys into it and returns the stage's
:class:`~mira_nb.stages.result.Result` with tables, figures, metrics and alerts. Signature and documentation of a
function come from the stage's parameter model, so that they cannot differ from the templates, the panels and the
command line.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mira_nb.io.resources import Resources

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from mira_nb.stages.shared.model import Model

__all__ = ["Resources", "embedded_data", "load_model", "pair", "read"]


def read(
    *,
    rna: str | Path | None = None,
    atac: str | Path | None = None,
    mudata: str | Path | None = None,
    tenx: str | Path | None = None,
    obs: str | Path | None = None,
    layer: str | None = None,
    pair_by: str | None = None,
) -> MuData:
    """Read and check two count matrices: two files of one assay each, one .h5mu file or one 10x matrix.

    Parameters
    ----------
    rna, atac
        Two .h5ad files, Zarr stores or 10x matrices, cells x genes and cells x peaks.
    mudata
        One .h5mu file with an expression and an accessibility modality.
    tenx
        Cell Ranger ARC's ``filtered_feature_bc_matrix.h5`` or folder of that name.
    obs
        Table of cell annotations with a column of cell names, or one row per sample of cellranger aggr.
    layer
        Matrix that holds the counts: ``X``, ``raw`` or a layer's name; None: the best documented one.
    pair_by
        How cells are paired: ``names``, ``order``, ``suffix``, ``prefix`` or a column of obs; None: by names.

    Returns
    -------
    MuData
        Modalities ``rna`` (counts) and ``atac`` (0/1; ``var`` has chrom, start, end) with the same cells in the order
        of the expression file. ``uns["input_findings"]`` lists what was changed or left out.

    Raises
    ------
    InputError
        When the input cannot be used; the message names file, cause and remedy.
    """
    from mira_nb.io.read import read_input
    from mira_nb.io.spec import InputSpec

    given = {"rna": rna, "atac": atac, "mudata": mudata, "tenx": tenx, "obs": obs}
    paths = {name: Path(value) for name, value in given.items() if value is not None}
    spec = InputSpec(**paths, layer=layer, pair_by=pair_by)  # type: ignore[arg-type]
    return _with_findings(read_input(spec))


def pair(rna: AnnData, atac: AnnData) -> MuData:
    """Check two AnnData objects of the same cells and join them; the given objects are not changed.

    Parameters
    ----------
    rna, atac
        Counts, cells x genes and cells x peaks.

    Returns
    -------
    MuData
        As from :func:`read`.

    Raises
    ------
    InputError
        When they cannot be used together.
    """
    from mira_nb.io.read import check_pair

    return _with_findings(check_pair(rna, atac))


def embedded_data(
    *,
    size: Literal["default", "small"] = "small",
    seed: int = 0,
    folder: str | Path | None = None,
    sampling: Literal["even", "late", "bursts"] = "even",
) -> tuple[MuData, Resources]:
    """Make the embedded, simulated data set: a differentiation from one progenitor to three end states.

    Parameters
    ----------
    size
        ``small``: 300 cells; ``default``: 1,200 cells x 900 genes x 7,000 peaks.
    seed
        Seed of the simulation.
    folder
        Where to write counts, resources and the truth; None: a temporary folder.
    sampling
        How cells are spread over time and lineages: ``even``; ``late``, mostly near the ends; ``bursts``, half of them
        around two times and lineages of 50, 30 and 20 %.

    Returns
    -------
    mdata, resources
        The checked pair, and gene sets, start sites, genome, motifs, annotations and start cell.
    """
    from mira_nb.datasets.write import write_demo

    place = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="mira_nb-")) / "data"
    demo = write_demo(place, size=size, seed=seed, sampling=sampling)
    return read(rna=demo.spec.rna, atac=demo.spec.atac), demo.resources


def load_model(run: str | Path, modality: Literal["rna", "atac"]) -> Model:
    """Load the topic model of a finished run, for topics of new cells.

    >>> model = mira_nb.load_model("RUN", "rna")  # doctest: +SKIP
    >>> topics = model.transform(adata)  # doctest: +SKIP

    Parameters
    ----------
    run
        The run folder (``--out`` of ``mira-nb run``).
    modality
        ``rna`` or ``atac``.

    Returns
    -------
    Model
        ``model.transform(adata)`` gives topics, cells x topics; ``model.match(adata)`` the features found and missing.

    Raises
    ------
    InputError
        There is no run in the folder, it has no topics of this modality, or there is no such modality.
    """
    from mira_nb.run.models import load_model as load

    return load(run, modality)


def _with_findings(checked: Any) -> MuData:
    data: MuData = checked.data
    data.uns["input_findings"] = [
        ". ".join(filter(None, (f"{item.level}: {item.title}", item.cause, item.remedy))) for item in checked.findings
    ]
    return data


def __getattr__(name: str) -> Any:
    """Return the function of a stage."""
    from mira_nb.stages.function import stage_function
    from mira_nb.stages.registry import stage_names

    if not name.startswith("_") and name in stage_names():
        return stage_function(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

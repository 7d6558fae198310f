"""The embedded data set: simulated counts, their resources and their truth, written as files a user would have."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.errors import ParameterError
from mira_nb.io.resources import Resources
from mira_nb.io.spec import InputSpec

from .simulate import Simulation, SimulationParams, simulate
from .simulate_cells import FIRST_SPLIT, LINEAGES, SECOND_SPLIT, Sampling, cell_table
from .simulate_counts import RP_COLUMNS
from .simulate_genome import fasta_bytes

Size = Literal["small", "default"]
SIZES: Final[dict[str, dict[str, Any]]] = {
    "small": {
        "n_cells": 300,
        "n_genes": 200,
        "n_peaks": 1_200,
        "depth": 2_000.0,
        "open_fraction": 0.25,
        "contrast": 3.0,
    },
    "default": {},
}
_DECOY_SETS: Final = 25


@dataclass(frozen=True)
class Demo:
    """A written data set.

    Attributes
    ----------
    folder
        Where everything lies.
    spec
        The count files, ready for :func:`mira_nb.io.read.read_input`.
    resources
        TSS, genome, motifs, gene sets, annotation and start cell.
    motif_hits
        The planted sites as precomputed hits (alternative to genome and motifs).
    truth, truth_json
        Arrays and names of what was planted.
    """

    folder: Path
    spec: InputSpec
    resources: Resources
    motif_hits: Path
    truth: Path
    truth_json: Path


def write_demo(
    folder: Path,
    *,
    size: Size = "default",
    seed: int = 0,
    n_batches: int = 1,
    trajectory: bool = True,
    sampling: Sampling = "even",
) -> Demo:
    """Simulate and write the embedded data set.

    Parameters
    ----------
    folder
        Made when missing; files of the same names are replaced.
    size
        ``default``: 1,200 cells x 900 genes x 7,000 peaks; ``small``: 300 x 200 x 1,200, for tests.
    seed
        The same seed gives the same bytes.
    n_batches
        More than one adds batch effects and the annotation ``batch``.
    trajectory
        False: one cell type, a negative control.
    sampling
        How cells are spread over time and lineages, see :class:`~mira_nb.datasets.simulate.SimulationParams`.

    Returns
    -------
    Demo
        Input and resources ready to use; the truth is in ``truth.npz`` and ``truth.json``.
    """
    if size not in SIZES:
        raise ParameterError(f"size {size!r} is unknown", expected=" or ".join(SIZES), remedy="choose one of these.")
    params = SimulationParams(**SIZES[size], seed=seed, n_batches=n_batches, trajectory=trajectory, sampling=sampling)
    return write_simulation(simulate(params), Path(folder))


def write_simulation(simulation: Simulation, folder: Path) -> Demo:
    """Write a simulated data set as files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = Demo(
        folder=folder,
        spec=InputSpec(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad"),
        resources=Resources(
            tss=folder / "tss.tsv",
            genome=folder / "genome.fa.gz",
            motifs=folder / "motifs.jaspar",
            gene_sets=(folder / "programmes.gmt",),
            groups="cell_type" if simulation.params.trajectory else None,
            start_cell=str(simulation.cells.names[0]),
            batch="batch" if simulation.params.n_batches > 1 else None,
        ),
        motif_hits=folder / "motif_hits.h5ad",
        truth=folder / "truth.npz",
        truth_json=folder / "truth.json",
    )
    _write_counts(simulation, folder)
    genes = simulation.genome.genes
    genes[["chrom", "start", "end", "strand", "gene_symbol"]].to_csv(folder / "tss.tsv", sep="\t", index=False)
    _write_gzip(folder / "genome.fa.gz", fasta_bytes(simulation.genome, simulation.sequences))
    (folder / "motifs.jaspar").write_text(jaspar_text(simulation), encoding="utf-8")
    (folder / "programmes.gmt").write_text(gene_sets_text(simulation), encoding="utf-8")
    _write_truth(simulation, files)
    return files


def peak_names(simulation: Simulation) -> list[str]:
    """Return names like chr1:100-500."""
    peaks = simulation.genome.peaks
    return [f"{c}:{s}-{e}" for c, s, e in zip(peaks["chrom"], peaks["start"], peaks["end"], strict=True)]


def jaspar_text(simulation: Simulation) -> str:
    """Return all matrices in JASPAR format."""
    lines = []
    for factor in simulation.factors:
        lines.append(f">{factor.id}\t{factor.name}")
        for base, row in zip("ACGT", factor.counts, strict=True):
            lines.append(f"{base}  [ {' '.join(f'{value:4d}' for value in row)} ]")
    return "\n".join(lines) + "\n"


def gene_sets_text(simulation: Simulation) -> str:
    """Return gene sets as GMT: one per topic (most of its genes and a few others), and decoys of random genes."""
    rng = np.random.default_rng(np.random.SeedSequence([simulation.params.seed, 1]))
    symbols = simulation.genome.genes["gene_symbol"].to_numpy()
    lines = []
    for number, topic in enumerate(simulation.cells.topics):
        own = np.flatnonzero(simulation.genes.topic == number)
        kept = own[rng.random(len(own)) < 0.8]
        noise = rng.choice(len(symbols), max(1, len(kept) // 10), replace=False)
        members = np.unique(np.concatenate([kept, noise]))
        lines.append("\t".join([f"Programme {topic}", "planted", *symbols[members]]))
    for number in range(_DECOY_SETS):
        members = rng.choice(len(symbols), int(rng.integers(10, min(60, len(symbols) // 3))), replace=False)
        lines.append("\t".join([f"Unrelated process {number + 1}", "random", *symbols[np.sort(members)]]))
    return "\n".join(lines) + "\n"


def truth_tables(simulation: Simulation) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the truth as arrays (for ``truth.npz``) and as names (for ``truth.json``)."""
    cells, genes, peaks, sites = simulation.cells, simulation.genes, simulation.peaks, simulation.sites
    symbols = simulation.genome.genes["gene_symbol"].to_numpy()
    arrays = {
        "theta_rna": cells.theta_rna.astype(np.float32),
        "theta_atac": cells.theta_atac.astype(np.float32),
        "beta_atac": peaks.beta.astype(np.float32),
        "rna_fold": genes.fold.astype(np.float32),
        "rho_rna": simulation.rho.astype(np.float32),
        "depth_rna": simulation.depth_rna.astype(np.float32),
        "depth_atac": simulation.depth_atac.astype(np.float32),
        "pseudotime": cells.pseudotime,
        "lineage": cells.lineage,
        "batch": cells.batch,
        "dispersion": genes.dispersion,
        "rp_params": simulation.rp_parameters,
        "gene_topic": genes.topic,
        "peak_topic": peaks.topic,
        "site_factor": sites.factor,
        "site_peak": sites.peak,
        "site_offset": sites.offset,
        "site_strand": sites.strand,
    }
    branching = simulation.params.trajectory
    driven = np.isin(genes.kind, ("LITE", "NITE")) & branching
    planted = [factor for factor in simulation.factors if factor.kind == "planted" and branching]
    named = {
        "topics": list(cells.topics),
        "K": len(cells.topics),
        "lineages": list(LINEAGES) if branching else [],
        "lineage_topics": [cells.topics.index(name) for name in LINEAGES] if branching else [],
        "branch_times": {"A|B,C": FIRST_SPLIT, "B|C": SECOND_SPLIT} if branching else {},
        "root_cell": str(cells.names[0]),
        "late_cells": {name: str(cells.names[1 + k]) for k, name in enumerate(LINEAGES)} if branching else {},
        "lite_genes": symbols[(genes.kind == "LITE") & driven & np.isfinite(simulation.rp_parameters[:, 0])].tolist(),
        "nite_genes": symbols[(genes.kind == "NITE") & driven].tolist(),
        "rp_genes": _regulation_genes(simulation) if branching else [],
        "rp_columns": list(RP_COLUMNS),
        "gene_target": {symbols[row]: cells.topics[genes.topic[row]] for row in np.flatnonzero(driven)},
        "planted_factors": {factor.name: factor.lineage for factor in planted},
        "decoy_factors": [factor.name for factor in simulation.factors if factor.kind == "promoter-decoy"],
        "planted_sets": [f"Programme {topic}" for topic in cells.topics] if branching else [],
        "states": [str(state) for state in cells.state],
        "params": {**vars(simulation.params)},
        "realised": {
            "open_fraction": float(simulation.accessibility.nnz / np.prod(simulation.accessibility.shape)),
            "rna_counts_per_cell": float(simulation.expression.sum() / simulation.expression.shape[0]),
            "peaks_with_topic": float((peaks.topic >= 0).mean()),
        },
    }
    return arrays, named


def _regulation_genes(simulation: Simulation) -> list[str]:
    """Return per lineage the eight best-expressed LITE and NITE genes."""
    genes, topics = simulation.genes, simulation.cells.topics
    mean = np.asarray(simulation.expression.mean(axis=0)).ravel()
    symbols = simulation.genome.genes["gene_symbol"].to_numpy()
    out: list[str] = []
    for kind in ("LITE", "NITE"):
        for lineage in LINEAGES:
            fits = (genes.kind == kind) & (genes.topic == topics.index(lineage))
            rows = np.flatnonzero(fits & np.isfinite(simulation.rp_parameters[:, -1]))
            out += symbols[rows[np.argsort(-mean[rows], kind="stable")][:8]].tolist()
    return out


def _write_counts(simulation: Simulation, folder: Path) -> None:
    from anndata import AnnData

    obs = cell_table(simulation.cells, n_batches=simulation.params.n_batches)
    genes, peaks = simulation.genome.genes, simulation.genome.peaks
    rna = AnnData(simulation.expression, obs=obs.copy(), var=pd.DataFrame(index=pd.Index(genes["gene_symbol"])))
    rna.var.index.name = None
    atac_var = peaks[["chrom", "start", "end"]].set_axis(pd.Index(peak_names(simulation)))
    atac = AnnData(simulation.accessibility, obs=obs.copy(), var=atac_var)
    rna.write_h5ad(folder / "rna.h5ad", compression="gzip")
    atac.write_h5ad(folder / "atac.h5ad", compression="gzip")

    sites = simulation.sites
    shape = (len(peaks), len(simulation.factors))
    values = np.ones(len(sites.peak), dtype=np.float32)
    hits = sparse.csr_matrix((values, (sites.peak, sites.factor)), shape=shape)
    factor_table = pd.DataFrame(
        {"id": [factor.id for factor in simulation.factors], "name": [factor.name for factor in simulation.factors]},
        index=pd.Index([factor.id for factor in simulation.factors]),
    )
    peak_table = pd.DataFrame(index=atac_var.index)
    AnnData(hits, obs=peak_table, var=factor_table).write_h5ad(folder / "motif_hits.h5ad", compression="gzip")


def _write_truth(simulation: Simulation, files: Demo) -> None:
    arrays, named = truth_tables(simulation)
    np.savez_compressed(files.truth, allow_pickle=False, **arrays)
    files.truth_json.write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")
    genes = simulation.genome.genes
    table = genes[["gene_symbol", "chrom", "tss", "strand"]].assign(
        kind=simulation.genes.kind,
        topic=[simulation.cells.topics[k] if k >= 0 else "" for k in simulation.genes.topic],
    )
    table.to_csv(files.folder / "truth_genes.tsv", sep="\t", index=False)
    factors = pd.DataFrame(
        {
            "id": [factor.id for factor in simulation.factors],
            "name": [factor.name for factor in simulation.factors],
            "planted": [factor.kind == "planted" for factor in simulation.factors],
            "lineage": [factor.lineage for factor in simulation.factors],
            "kind": [factor.kind for factor in simulation.factors],
        }
    )
    factors.to_csv(files.folder / "truth_factors.tsv", sep="\t", index=False)


def _write_gzip(path: Path, content: bytes) -> None:
    """Compress by gzip without time stamp or name, so that equal content gives equal bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0, compresslevel=6) as handle:
        handle.write(content)
    path.write_bytes(buffer.getvalue())


__all__ = ["SIZES", "Demo", "Size", "write_demo", "write_simulation"]

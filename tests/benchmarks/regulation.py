"""LITE, NITE and in-silico deletion on a simulated set: maximum, truth, speed, and linear cost.

    python -m tests.benchmarks.regulation FOLDER [--topics 7] [--genes 50] [--threads 2]

FOLDER holds ``rna.h5ad, atac.h5ad, tss.tsv, factor_hits.npz, factors.tsv, truth.json, truth.npz`` of a simulated set
(2,000 cells). Topic models are fitted first; what is printed is measured on them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import optimize, sparse

from mira_nb.core.regulation import kernels
from mira_nb.core.regulation.deletion import delete_factors, driver_test
from mira_nb.core.regulation.explained import constant_log_likelihood, unexplained_share
from mira_nb.core.regulation.fit import RegulationFit, fit_regulation
from mira_nb.core.regulation.geometry import PeakSets, gene_peaks
from mira_nb.core.regulation.model import Cells, PeakRates, Priors, expression_normalizer
from mira_nb.core.regulation.null_distribution import fit_null
from mira_nb.core.regulation.scores import NullDraw, nite_score, simulate_null, take_genes
from mira_nb.core.regulation.search import FitOptions, make_gene
from mira_nb.core.topics.fit import fit_topic_model
from mira_nb.core.topics.settings import TopicSettings
from mira_nb.io.tss import read_tss


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive scores above a negative."""
    ranks = pd.Series(score).rank().to_numpy()
    n = positive.sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (~positive).sum()))


def scipy_best(cells: Cells, sets: PeakSets, g: int, *, starts: int, seed: int) -> float:
    """Highest LITE log posterior that scipy's L-BFGS-B finds from random starts."""
    rates = PeakRates(cells.decoder, cells.topics, cells.peak_normalizer)
    index, distance, region = sets.of(g)
    counts = cells.counts[:, [g]].toarray().ravel()
    gene = make_gene(rates.block(index), distance, region, counts)
    prior = Priors().packed(theta_fixed=False)
    work = np.empty((kernels.N_WORK, cells.n_cells))
    inputs = gene.inputs(cells.offset, np.zeros((0, cells.n_cells)), prior)
    rng = np.random.default_rng([seed, g])

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        slopes = np.empty(7)
        value = kernels.objective(x, inputs, work, slopes)[0]
        return value, slopes

    there = gene.movable[2:5]
    bounds = [(-4, 9), (-4, 9), *[(0, None) if t else (0, 0) for t in there], (None, None), (-5, 6)]
    level = math.log(counts.sum() / np.exp(cells.offset).sum())
    best = math.inf
    for _ in range(starts):
        x = [*rng.normal(math.log(15), 1.2, 2), *(rng.uniform(0.1, 0.8, 3) * there), level, rng.normal(1, 0.5)]
        best = min(best, float(optimize.minimize(loss, x, jac=True, method="L-BFGS-B", bounds=bounds).fun))
    return -best - float(np.sum([math.lgamma(y + 1) for y in counts]))


def load(
    folder: Path, n_topics: int, threads: int
) -> tuple[dict[str, Any], Cells, list[str], pd.DataFrame, pd.DataFrame]:
    """Fit both topic models and bring the planted LITE and NITE genes together."""
    rna, atac = ad.read_h5ad(folder / "rna.h5ad"), ad.read_h5ad(folder / "atac.h5ad")
    truth = json.loads((folder / "truth.json").read_text())
    models = [
        fit_topic_model(
            data.X.tocsr(), modality=kind, settings=TopicSettings(n_topics=n_topics), seed=0, n_threads=threads
        )
        for data, kind in ((rna, "expression"), (atac, "accessibility"))
    ]
    genes = truth["lite_genes"] + truth["nite_genes"]
    position = rna.var_names.get_indexer(genes)
    truth["n_open"] = np.asarray(atac.X.sum(axis=1)).ravel()
    truth["decay_kb"] = np.load(folder / "truth.npz")["rp_params"][position][:, :2]
    cells = Cells.build(
        rna.X.tocsc()[:, position],
        log_depth=np.log(models[0].read_depth),
        log_normalizer=expression_normalizer(models[0].decoder, models[0].topics),
        topics=models[1].topics,
        decoder=models[1].decoder,
    )
    peaks = pd.DataFrame({"chrom": atac.var["chr"].astype(str), "start": atac.var["start"], "end": atac.var["end"]})
    return truth, cells, genes, peaks.reset_index(drop=True), read_tss(folder / "tss.tsv").frame


def report_truth(truth: dict[str, Any], genes: list[str], fit: RegulationFit, label: str) -> None:
    """Print the AUC of the NITE score and how decay distances agree, all genes and the 48 of the comparison."""
    nite, chosen = np.isin(genes, truth["nite_genes"]), np.isin(genes, truth["rp_genes"])
    score = nite_score(fit.gene_statistic, fit.n_expressing)
    planted = truth["decay_kb"]
    error, error_mean = (np.abs(np.log2(kb / planted)) for kb in (fit.lite.decay_kb, fit.decay_mean_kb))
    held = np.where(np.isfinite(error), (fit.decay_low_kb <= planted) & (planted <= fit.decay_high_kb), np.nan)
    for name, part in (("all", np.ones(len(genes), bool)), ("48", chosen)):
        print(
            f"{label}, {name} genes: AUC {auc(score[part], nite[part]):.3f}, median abs log2 error of decay distances "
            f"{np.nanmedian(error_mean[part]):.3f}, of their MAP {np.nanmedian(error[part]):.3f} (of always "
            f"15 kb {np.nanmedian(np.abs(np.log2(15 / planted[part]))):.3f}), "
            f"in the interval {np.nanmean(held[part]):.3f}"
        )


def report_null(
    truth: dict[str, Any], cells: Cells, genes: list[str], sets: PeakSets, fit: RegulationFit, threads: int
) -> None:
    """Print how many planted LITE and NITE genes have p < 0.05, with accessibility as exact and as estimated."""
    nite = np.isin(genes, truth["nite_genes"])
    constant = constant_log_likelihood(cells.counts, cells.offset, fit.lite.theta)
    share = unexplained_share(constant, fit.lite.log_likelihood, fit.nite.log_likelihood)
    for name, depth in (("exact", None), ("estimated", truth["n_open"])):
        clock = time.perf_counter()
        simulated = simulate_null(
            fit,
            cells,
            sets,
            draw=NullDraw(
                np.random.default_rng(0),
                n_open=depth,
                among=None if depth is None else ~(share > np.nanmedian(share)),
            ),
            n_threads=threads,
        )
        null = fit_null(simulated.statistic, n_topics=cells.topics.shape[1])
        called = null.pvalue(fit.gene_statistic) < 0.05
        print(
            f"null with accessibility as {name} ({time.perf_counter() - clock:.0f} s): p < 0.05 for "
            f"{called[~nite].mean():.3f} of LITE and {called[nite].mean():.3f} of NITE genes, "
            f"{null.null_rate:.3f} of simulated genes (chi-square {null.chi2_rate:.3f}); unexplained share by error "
            f"alone {np.nanquantile(simulated.unexplained, 0.95):.3f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--topics", type=int, default=7)
    parser.add_argument("--genes", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    truth, cells, genes, peaks, tss = load(args.folder, args.topics, args.threads)
    sets = gene_peaks(peaks, tss, genes)
    few = take_genes(sets, np.arange(2))
    fit_regulation(replace(cells, counts=cells.counts[:, :2]), few)  # compile
    clock, cpu = time.perf_counter(), time.process_time()
    fit = fit_regulation(cells, sets, n_threads=args.threads)
    wall, cpu = (time.perf_counter() - clock) / len(genes), (time.process_time() - cpu) / len(genes)
    print(f"LITE + NITE: {wall * 1e3:.1f} ms per gene ({cpu * 1e3:.1f} ms of CPU), {args.threads} threads")
    report_truth(truth, genes, fit, "masked promoters")
    free = gene_peaks(peaks, tss, genes, other_promoters="keep")
    report_truth(truth, genes, fit_regulation(cells, free, n_threads=args.threads), "promoters kept")

    report_null(truth, cells, genes, sets, fit, args.threads)

    chosen = np.linspace(0, len(genes) - 1, args.genes).astype(int)
    gap = np.array([fit.lite.log_posterior[g] - scipy_best(cells, sets, int(g), starts=5, seed=0) for g in chosen])
    below, above = int((gap < -1e-3).sum()), int((gap > 1e-3).sum())
    print(f"log posterior minus scipy's best of 5 starts, {args.genes} genes: lowest {gap.min():.3g}")
    print(f"  below by more than 0.001: {below}, above by more than 0.001: {above}")

    hits = sparse.load_npz(args.folder / "factor_hits.npz").T.tocsr()
    factors = pd.read_csv(args.folder / "factors.tsv", sep="\t", keep_default_na=False)["name"].tolist()
    clock = time.perf_counter()
    deletion = delete_factors(cells, sets, fit.lite, hits, n_threads=args.threads)
    print(
        f"in-silico deletion, {hits.shape[1]} factors: "
        f"{(time.perf_counter() - clock) / len(genes) * 1e3:.2f} ms per gene"
    )
    for lineage in truth["lineages"]:
        query = np.array([truth["gene_target"][gene] == lineage for gene in genes])
        rank = driver_test(deletion.scores, query, names=factors)["pvalue"].rank(method="min")
        planted = {name: int(rank[name]) for name, where in truth["planted_factors"].items() if where == lineage}
        print(f"lineage {lineage}: ranks of planted factors among {len(factors)}: {planted}")

    many = sparse.random(hits.shape[0], 800, density=0.06, format="csr", random_state=np.random.default_rng(0))
    some = np.arange(60)
    lite = replace(fit.lite, **{
        name: values[some] for name, values in vars(fit.lite).items() if isinstance(values, np.ndarray)
    })  # fmt: skip
    clock = time.perf_counter()
    part = replace(cells, counts=cells.counts[:, some])
    delete_factors(part, take_genes(sets, some), lite, many, n_threads=args.threads)
    print(f"in-silico deletion, 800 factors: {(time.perf_counter() - clock) / 60 * 1e3:.1f} ms per gene")

    for n in (500, 1000, 2000):
        keep = np.arange(n)
        smaller = replace(
            cells,
            counts=cells.counts[keep][:, some],
            log_depth=cells.log_depth[keep],
            log_normalizer=cells.log_normalizer[keep],
            topics=cells.topics[keep],
            peak_normalizer=cells.peak_normalizer[keep],
        )
        for count in (15, 30, 60):
            clock = time.process_time()
            inner = replace(smaller, counts=smaller.counts[:, :count])
            fit_regulation(inner, take_genes(sets, some[:count]), options=FitOptions(), n_threads=1)
            print(f"{n:5d} cells x {count:2d} genes: {time.process_time() - clock:.3f} s of CPU")


if __name__ == "__main__":
    main()

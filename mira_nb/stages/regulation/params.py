"""Parameters of the stage regulation."""

from __future__ import annotations

from typing import Literal

from mira_nb.stages.params import Params, param


class RegulationParams(Params):
    """Parameters of the stage regulation."""

    genes: Literal["all"] | list[str] = param(
        "all", "Genes to model: all = every gene of the expression topic model.", choices_from="genes"
    )
    window_kb: float = param(
        600.0,
        "Largest distance of a peak from the transcription start site of its gene, on either side.",
        unit="kb",
        gt=0,
        le=10_000,
    )
    promoter_bp: int = param(
        1500,
        "Distance from the start site within which peaks are proximal: their weight does not decay.",
        unit="bp",
        ge=0,
        le=50_000,
    )
    other_promoters: Literal["mask", "keep_own", "keep"] = param(
        "mask",
        "How to treat peaks within promoter_bp of another gene's start site: mask = leave out, as published, also in "
        "the gene's own promoter; keep_own = leave out except in the gene's own promoter; keep = use like any other.",
    )
    tss: Literal["transcripts", "open"] = param(
        "transcripts",
        "Start site of a gene that has several: transcripts = the one most transcripts share (then the most upstream); "
        "open = the one with the most open promoter.",
    )
    normalizer: Literal["median", "model"] = param(
        "median",
        "Denominator of the expression composition: median = pinned so that the median gene of the expression topic "
        "model does not depend on the topics; model = as the decoder was fitted (the softmax leaves it open).",
        advanced=True,
    )
    null: Literal["bootstrap", "chi2"] = param(
        "bootstrap",
        "Null distribution of the NITE test: bootstrap = chi-square with a scale that differs between genes, fitted to "
        "genes simulated under their LITE models, accessibility re-estimated from simulated open peaks (parametric "
        "bootstrap); chi2 = chi-square with one degree of freedom less than there are accessibility topics, which "
        "takes accessibility as exact.",
    )
    level: float = param(0.05, "False discovery rate below which a gene is called NITE.", gt=0, lt=1)
    min_share: float = param(
        0.1,
        "Smallest unexplained fraction (nite_share) of a gene called NITE: fraction of the gain in log-likelihood of "
        "NITE over a constant rate that LITE does not reach; 0 = the test alone decides.",
        ge=0,
        le=1,
    )
    learning_curve: bool = param(
        False,
        "Fit at most 100 genes, drawn evenly over the NITE score, to two halves of the cells as well, and tell whether "
        "more cells would change the calls.",
    )
    show_genes: list[str] = param(
        [], "Genes drawn in detail; empty: the most NITE and the most LITE genes.", choices_from="genes"
    )
    n_shown: int = param(
        6, "Number of genes drawn in detail when none are named.", unit="genes", ge=1, le=30, advanced=True
    )
    n_top: int = param(200, "Number of top genes per expression topic whose NITE scores are compared.", ge=5, le=5000)
    fold_change: float = param(1.0, "Primed genes: smallest log2 fold change between populations.", ge=0, advanced=True)
    de_level: float = param(0.1, "Primed genes: largest adjusted p-value.", gt=0, le=1, advanced=True)
    branches: list[str] = param(
        [],
        "Primed and terminal genes: branches between groups of your own, besides those of the lineage tree, as "
        "'precursor | lineage 1 | lineage 2' or 'precursor 1 > lineage 1 | precursor 2 > lineage 2'; '@ TOPIC' at the "
        "end names the accessibility topic of the branch.",
    )
    branch_cells: int = param(
        200, "Primed genes: number of cells at the branch point.", unit="cells", ge=5, advanced=True
    )
    branch_topic: str = param(
        "",
        "Primed genes: accessibility topic whose top cells are the branch cells, of every branch that names none; "
        "empty: cells nearest to the branch time.",
        choices_from="accessibility topics",
        advanced=True,
    )
    primed_differential: float = param(
        0.15, "Primed genes: smallest mean chromatin differential (natural log) of the branch cells.", advanced=True
    )
    primed_nite: float = param(5.0, "Primed genes: smallest NITE score.", advanced=True)
    link_permutations: int = param(
        100,
        "Peak-gene links: permutations of the cells behind the p-values.",
        unit="permutations",
        ge=10,
        le=10_000,
        advanced=True,
    )
    link_background: int = param(
        200,
        "Peak-gene links: largest number of peaks of other chromosomes, open about as often, that a pair is ranked "
        "among.",
        unit="peaks",
        ge=20,
        le=100_000,
        advanced=True,
    )
    decay_median_kb: float = param(
        15.0, "Prior median of the decay distances (log-normal).", unit="kb", gt=0, advanced=True
    )
    decay_log_variance: float = param(1.44, "Prior variance of the log decay distances.", gt=0, advanced=True)
    gamma_log_variance: float = param(1.0, "Prior variance of log gamma.", gt=0, advanced=True)
    bias_variance: float = param(25.0, "Prior variance of the bias b.", gt=0, advanced=True)
    theta_shape: float = param(2.0, "Shape of the gamma prior of the dispersion.", gt=0, advanced=True)
    theta_rate: float = param(0.5, "Rate of the gamma prior of the dispersion.", gt=0, advanced=True)
    tolerance: float = param(
        1e-5, "Gain in log posterior below which three iterations in a row end a fit.", unit="nats", gt=0, advanced=True
    )
    max_iterations: int = param(200, "Largest number of L-BFGS iterations of a fit.", ge=5, advanced=True)
    nearest_weight: float = param(
        0.01,
        "Smallest weight that the nearest peak of a side keeps, which bounds the decay distance from below (never "
        "above the prior's median); 0 = no bound, as published.",
        ge=0,
        lt=1,
        advanced=True,
    )
    min_cells: int = param(
        10, "Smallest number of expressing cells of a gene that is fitted.", unit="cells", ge=1, advanced=True
    )
    null_genes: int = param(
        500,
        "Number of genes simulated to learn and check the null distribution.",
        unit="genes",
        ge=40,
        le=20_000,
        advanced=True,
    )

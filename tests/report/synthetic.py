"""Run folders made of nothing but JSON, CSV and PNG, as the pipeline leaves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from scipy import sparse

from mira_nb.charts import embedding, linked, packed, theme
from mira_nb.stages.registry import BUILT_IN

HOSTILE = (
    "</script><script>window.owned=1</script>",
    "<img src=x onerror=window.owned=2>",
    "\"quoted\" 'single' `tick`",
    "Zelltyp Ä µ ≥ 漢字 🧬",
    "two\nlines, and a comma",
    "{{ 7 * 7 }} {% raw %} <!-- open",
    "javascript:window.owned=3",
    "-->]]>&amp;&lt;",
)


def cells(n: int, n_topics: int, *, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Coordinates and topic proportions of `n` cells in as many clusters as topics."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, n_topics, n)
    angle = 2 * np.pi * label / n_topics
    centre = np.column_stack([np.cos(angle), np.sin(angle)]) * 8
    xy = pd.DataFrame(centre + rng.normal(scale=1.4, size=(n, 2)), columns=["x", "y"])
    weights = rng.gamma(0.3, size=(n, n_topics))
    weights[np.arange(n), label] += rng.gamma(4.0, size=n)
    values = pd.DataFrame(weights / weights.sum(axis=1, keepdims=True), columns=[f"e{i + 1}" for i in range(n_topics)])
    values["leiden"] = pd.Categorical(label.astype(str), categories=[str(i) for i in range(n_topics)])
    return xy, values


class RunFolder:
    """Writes a run folder stage by stage."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.states: dict[str, Any] = {}

    def stage(self, name: str, **record: Any) -> StageFolder:
        """Start a finished stage."""
        return StageFolder(self, name, record)

    def finish(self, **record: Any) -> Path:
        """Write run.json."""
        stages = {name: self.states.get(name, {"status": "pending"}) for name in BUILT_IN}
        content = {
            "schema": 1,
            "package_version": "0.0.test",
            "created": "2025-01-02T03:04:05",
            "command": "mira-nb run --rna rna.h5ad --atac atac.h5ad --out example",
            "seed": 0,
            "inputs": [
                {"role": "rna", "name": "rna.h5ad", "sha256": "a" * 64, "shape": [2000, 3000], "bytes": 1234567},
                {"role": "atac", "name": "atac.h5ad", "sha256": "b" * 64, "shape": [2000, 20000], "bytes": 7654321},
            ],
            "resources": {"gene_sets": [{"name": "sets.gmt", "sha256": "c" * 64}], "groups": "cluster"},
            "versions": {"mira-nb": "0.0.test", "numpy": np.__version__},
            "platform": {"system": "Linux", "machine": "x86_64", "cores": 2},
            "findings": [],
            "stages": stages,
        }
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "run.json").write_text(json.dumps({**content, **record}))
        return self.root


class StageFolder:
    """One finished stage: figures, tables, then :meth:`save`."""

    def __init__(self, run: RunFolder, name: str, record: dict[str, Any]) -> None:
        self.run = run
        self.folder = run.root / "stages" / name
        self.record: dict[str, Any] = {
            "schema": 1,
            "stage": name,
            "title": name.replace("_", " ").capitalize(),
            "purpose": "",
            "key": "k" * 64,
            "seed": 0,
            "parameters": [],
            "metrics": [],
            "alerts": [],
            "files": [],
            "methods": "",
            "seconds": 12.3,
            "peak_rss_mb": 456.7,
            **record,
            "tables": [],
            "figures": [],
        }

    def figure(
        self,
        name: str,
        chart: Any = None,
        *,
        data: dict[str, pd.DataFrame] | None = None,
        image: bytes = b"",
        svg: str = "",
        **facts: str,
    ) -> StageFolder:
        (self.folder / "figures").mkdir(parents=True, exist_ok=True)
        if image:
            file = f"figures/{name}.png"
            (self.folder / file).write_bytes(image)
        elif svg:
            file = f"figures/{name}.svg"
            (self.folder / file).write_text(svg, encoding="utf-8")
        else:
            file = f"figures/{name}.vl.json"
            spec = chart if isinstance(chart, dict) else chart.to_dict()
            (self.folder / file).write_text(json.dumps(packed.attach(spec, data or {})))
        texts = {"title": name, "caption": "", "alt": "", "section": "", **facts}
        self.record["figures"].append({"name": name, "file": file, **texts})
        return self

    def table(self, name: str, frame: pd.DataFrame, *, title: str = "", caption: str = "") -> StageFolder:
        (self.folder / "tables").mkdir(parents=True, exist_ok=True)
        frame.to_csv(self.folder / "tables" / f"{name}.csv", index=False)
        self.record["tables"].append(
            {
                "name": name,
                "title": title or name,
                "caption": caption,
                "file": f"tables/{name}.csv",
                "rows": len(frame),
                "columns": list(map(str, frame.columns)),
            }
        )
        return self

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "stage.json").write_text(json.dumps(self.record))
        keys = ("key", "seconds", "peak_rss_mb", "alerts")
        self.run.states[self.record["stage"]] = {"status": "done", **{key: self.record[key] for key in keys}}


def write_results(
    root: Path,
    xy: pd.DataFrame,
    counts: Any,
    genes: list[str],
    *,
    obs: dict[str, Any] | None = None,
    fates: pd.DataFrame | None = None,
    topics: pd.DataFrame | None = None,
    motifs: pd.DataFrame | None = None,
    barcodes: list[str] | None = None,
) -> Path:
    """Write results.h5mu with a joint map, counts, and what else is given for the cells."""
    from anndata import AnnData
    from mudata import MuData

    from mira_nb.run.store import write_h5mu

    index = pd.Index(barcodes or [f"CELL{i:06d}-1" for i in range(len(xy))])
    rna = AnnData(sparse.csr_matrix(counts, dtype=np.float32), obs=pd.DataFrame(index=index))
    rna.var_names = genes
    rna.var["modelled"] = True
    atac = AnnData(sparse.csr_matrix((len(xy), 1), dtype=np.float32), obs=pd.DataFrame(index=index))
    if topics is not None:
        rna.obsm["X_topics"] = topics.to_numpy()
    data = MuData({"rna": rna, "atac": atac})
    data.obsm["X_umap"] = xy.to_numpy()
    for name, values in (obs or {}).items():
        data.obs[name] = np.asarray(values)
    for name, frame in (("fate_probabilities", fates), ("motif_scores", motifs)):
        if frame is not None:
            data.obsm[name] = frame.set_axis(index)
    write_h5mu(data, root / "results.h5mu")
    return root / "results.h5mu"


def _results(root: Path, xy: pd.DataFrame, values: pd.DataFrame, rng: np.random.Generator) -> None:
    n = len(xy)
    label = values["leiden"].astype(str).to_numpy()
    write_results(
        root,
        xy,
        rng.poisson(0.4, (n, 60)) + 8 * (values["leiden"].astype(int).to_numpy()[:, None] == np.arange(60) % 7),
        [f"GENE{i}" for i in range(60)],
        obs={"leiden": label, "pseudotime": xy["x"] - xy["x"].min(), "lineage_state": np.where(xy["y"] > 0, "A", "B")},
        fates=pd.DataFrame({"A": (xy["y"] > 0).astype(float), "B": (xy["y"] <= 0).astype(float)}),
        topics=values.drop(columns="leiden"),
        motifs=pd.DataFrame(rng.normal(size=(n, 4)), columns=["TF1", "TF2", "TF3", "TF4"]),
    )


def example_run(root: Path, *, n_cells: int = 2000, n_topics: int = 7) -> Path:
    """Write a whole run with every kind of thing a report shows."""
    run = RunFolder(root)
    rng = np.random.default_rng(1)
    xy, values = cells(n_cells, n_topics)
    topics = values.drop(columns="leiden")
    names = list(topics.columns)
    colors = theme.topic_colors(names)
    _prepare(run, rng)
    for stage, prefix in (("topics_rna", "e"), ("topics_atac", "a")):
        _topics(run, stage, prefix, xy, topics, rng)
    chart, data = embedding.menu_scatter(xy, values, title="Joint UMAP", default="leiden")
    clusters = values.groupby("leiden", observed=True)[names].mean().reset_index()
    run.stage(
        "joint",
        title="Joint representation",
        purpose="Both modalities in one neighbour graph.",
        metrics=[
            {
                "name": "Neighbour purity",
                "value": 0.8912,
                "unit": "",
                "help": "Share of neighbours of the same group.",
                "key": True,
            }
        ],
        parameters=[
            {
                "name": "n_neighbors",
                "value": 30,
                "default": 15,
                "changed": True,
                "unit": "cells",
                "help": "Neighbours of each cell.",
            }
        ],
        methods="Neighbours by the Manhattan distance [@aggarwal2001distance], drawn with UMAP [@mcinnes2018umap].",
        files=[{"path": "tables/clusters.csv", "description": "cluster sizes", "bytes": 321}],
    ).figure(
        "umap", chart, data=data, title="Joint UMAP", caption="Each dot is a cell. **Good**: topics occupy regions."
    ).figure(
        "multiples",
        image=embedding.small_multiples(xy, topics, colors=colors),
        title="Topics on the joint UMAP",
        caption="One panel per topic.",
        alt="Small multiples of the topics",
    ).table("clusters", clusters, title="Clusters", caption="Mean topic proportions.").save()
    _enrichment(run, rng, names)
    run.states["motifs"] = {
        "status": "skipped",
        "reason": "give --genome with --motifs or --motif-hits to run this stage",
    }
    _trajectory(run, xy, values, rng)
    _results(root, xy, values, rng)
    run.states["regulation"] = {
        "status": "failed",
        "error": {
            "type": "ConvergenceError",
            "message": "the fit of 12 genes found no usable solution\nWhat to do: raise n_iterations",
            "traceback": 'Traceback (most recent call last):\n  File "x.py", line 1\nConvergenceError: ...',
        },
    }
    run.states["drivers"] = {"status": "skipped", "reason": "it needs stage regulation, which is failed"}
    finding = {"level": "info", "title": "3 cells are in one modality only", "cause": "barcodes differ", "remedy": ""}
    return run.finish(findings=[finding])


def _prepare(run: RunFolder, rng: np.random.Generator) -> None:
    depth = pd.DataFrame({"depth": np.linspace(500, 20000, 40), "cells": rng.poisson(50, 40)})
    bars = (
        alt.Chart(depth)
        .mark_bar()
        .encode(x=alt.X("depth:Q", title="Counts per cell"), y=alt.Y("cells:Q", title="Cells"))
    )
    lines = alt.Chart(depth).mark_line(point=True).encode(x="depth:Q", y="cells:Q")
    run.stage(
        "prepare",
        title="Input and feature selection",
        purpose="Checks the counts and chooses features.",
        metrics=[
            {
                "name": "Modelled genes",
                "value": 2843,
                "unit": "genes",
                "help": "Mean above the threshold.",
                "key": True,
            },
            {
                "name": "Median counts per cell",
                "value": 4321.5,
                "unit": "counts",
                "help": "Above 1,000 is good.",
                "key": True,
            },
            {"name": "Empty cells", "value": 0, "unit": "", "help": "", "key": False},
        ],
        alerts=[
            {
                "level": "warning",
                "title": "12 cells have fewer than 100 counts",
                "cause": "low depth",
                "remedy": "filter them before the run",
            }
        ],
        parameters=[
            {
                "name": "min_mean",
                "value": 0.0125,
                "default": 0.0125,
                "changed": False,
                "unit": "",
                "help": "Least mean.",
            }
        ],
        methods="Genes were selected by dispersion [@wolf2018scanpy].",
    ).figure(
        "depth",
        bars.properties(width=360, height=220),
        title="Counts per cell",
        caption="Most cells should lie in one hump.",
        section="Quality",
    ).figure(
        "saturation",
        lines.properties(width=360, height=220),
        title="Saturation",
        caption="A flat end is good.",
        section="Quality",
    ).table("qc", depth, title="Quality", caption="Per bin.").save()


def _topics(
    run: RunFolder, stage: str, prefix: str, xy: pd.DataFrame, topics: pd.DataFrame, rng: np.random.Generator
) -> None:
    renamed = topics.rename(columns=lambda name: prefix + name[1:])
    training = pd.DataFrame(
        {"epoch": np.arange(60), "loss": 10 - np.log1p(np.arange(60)) + rng.normal(scale=0.05, size=60)}
    )
    line = (
        alt.Chart(training)
        .mark_line()
        .encode(x=alt.X("epoch:Q", title="Epoch"), y=alt.Y("loss:Q", title="Loss", scale=alt.Scale(zero=False)))
    )
    top = pd.DataFrame(
        [(topic, f"GENE{rng.integers(1000)}", rng.gamma(4), rank) for topic in renamed for rank in range(1, 31)],
        columns=["topic", "feature", "activation", "rank"],
    )
    chart, data = embedding.menu_scatter(xy, renamed)
    run.stage(
        stage,
        title="Expression topics" if prefix == "e" else "Accessibility topics",
        purpose="A topic model of the counts.",
        metrics=[
            {"name": "Topics", "value": len(renamed.columns), "unit": "", "help": "Number of topics.", "key": True}
        ],
        methods="A variational topic model [@srivastava2017prodlda; @bingham2019pyro] was trained.",
    ).figure(
        "training",
        line.properties(width="container", height=240),
        title="Training",
        caption="The loss should level off.",
    ).figure(
        "umap",
        chart,
        data=data,
        title="Topics on UMAP",
        caption="Choose a topic.",
    ).table("top_features", top, title="Top features", caption="Largest activations of each topic.").save()


def _enrichment(run: RunFolder, rng: np.random.Generator, names: list[str]) -> None:
    rows = [
        (
            topic,
            f"Pathway {i}",
            "WikiPathways",
            p,
            min(1.0, p * 600),
            rng.gamma(3),
            f"{rng.integers(30)}/80",
            ";".join(f"G{k}" for k in rng.integers(900, size=25)),
        )
        for topic in names
        for i, p in enumerate(np.sort(10 ** -rng.gamma(1.2, 4, size=400)))
    ]
    columns = ["topic", "term", "ontology", "pvalue", "adj_pvalue", "odds_ratio", "overlap", "genes"]
    frame = pd.DataFrame(rows, columns=columns)
    best = frame.groupby("topic").head(2).assign(score=lambda f: -np.log10(f.adj_pvalue + 1e-300))
    bars = (
        alt.Chart(best)
        .mark_bar()
        .encode(x=alt.X("score:Q", title="−log₁₀ adjusted p"), y=alt.Y("term:N", sort="-x"), color="topic:N")
    )
    run.stage(
        "enrichment",
        title="Gene-set enrichment",
        purpose="Which pathways each topic's genes belong to.",
        methods="Fisher's exact test [@fisher1922exact], corrected by Benjamini and Hochberg [@benjamini1995fdr].",
        metrics=[
            {
                "name": "Terms below FDR 0.05",
                "value": int((frame.adj_pvalue < 0.05).sum()),
                "unit": "terms",
                "help": "",
                "key": True,
            }
        ],
    ).figure("best", bars.properties(width=420), title="Best terms", caption="Two best terms a topic.").table(
        "enrichment",
        frame,
        title="Enriched gene sets",
        caption="One row per topic and term.",
    ).save()


def _trajectory(run: RunFolder, xy: pd.DataFrame, values: pd.DataFrame, rng: np.random.Generator) -> None:
    names = [name for name in values if name != "leiden"]
    frame = pd.concat([xy, values], axis=1)
    frame["barcode"] = [f"CELL{i:06d}-1" for i in range(len(frame))]
    time = frame["leiden"].astype(int) / 6 + rng.normal(scale=0.03, size=len(frame))
    frame["pseudotime"] = np.where(frame["leiden"] == "3", np.nan, time)
    frame["log_ratio"] = frame["pseudotime"] * rng.choice([-1, 1], len(frame))
    chart, data = linked.linked_cells(frame, group="leiden", quantities=names[:5])
    run.stage(
        "trajectory",
        title="Trajectory",
        purpose="Pseudotime, lineages and streams.",
        methods="Pseudotime by Palantir [@setty2019palantir].",
    ).figure(
        "linked",
        chart,
        data=data,
        title="Linked views",
        caption="Drag in any view to select cells.",
    ).save()

"""Tiny stages under the real names, a run folder for them, and a worker that runs them without kernels.

``python fakes.py RUN_DIR`` is that worker. Environment variables change what its stages do: FAKE_SECONDS (how long a
stage takes), FAKE_STUBBORN (it never reports progress meanwhile), FAKE_BROKEN (the stage that fails).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import anndata as ad
import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from mira_nb.errors import MiraError, StageError
from mira_nb.io.resources import Resources
from mira_nb.io.spec import InputSpec
from mira_nb.run import pipeline
from mira_nb.run.contents import REPORT_FILES
from mira_nb.run.notebooks import ProgressSink
from mira_nb.run.open_stage import open_stage
from mira_nb.run.pipeline import RunRequest
from mira_nb.run.store import RunStore
from mira_nb.stages import registry
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.params import Params, param
from mira_nb.stages.registry import BUILT_IN
from mira_nb.stages.result import Alert, ExportFile, Figure, Metric, Result, Slot, Table

NEEDS = {
    "topics_rna": ("prepare",),
    "topics_atac": ("prepare",),
    "joint": ("topics_rna", "topics_atac"),
    "enrichment": ("topics_rna",),
    "motifs": ("topics_atac",),
    "trajectory": ("joint",),
    "regulation": ("topics_rna", "topics_atac"),
    "drivers": ("regulation", "motifs"),
}
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)
CIRCLE = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><circle cx="10" cy="10" r="8"/></svg>'


class FakeParams(Params):
    scale: float = param(1.0, "Factor of the values.", gt=0, unit="times")
    mode: Literal["plain", "fancy"] = param("plain", "How.", advanced=True)


class Fake(Stage[FakeParams]):
    Params = FakeParams
    title = "Fake stage"
    purpose = "Tests the <panels>."

    def run(self, data: MuData, params: FakeParams, context: Context) -> Result:
        until = time.time() + float(os.environ.get("FAKE_SECONDS", "0"))
        started = time.time()
        while time.time() < until:
            if "FAKE_STUBBORN" not in os.environ:
                context.progress((time.time() - started) / (until - started), "working")
            time.sleep(0.05)
        if os.environ.get("FAKE_BROKEN") == self.name:
            raise ValueError(f"{self.name} is <broken>")
        upstream = sum(float(data.obs[f"v_{name}"].iloc[0]) for name in self.needs)
        frame = pd.DataFrame({"name": ["a", "b<i>", 'c,"d"'], "value": [1.5, np.nan, np.inf], "n": [1, 2, 3]})
        chart = {
            "data": {"values": [{"x": 1, "y": 2}, {"x": 2, "y": 3}]},
            "mark": "point",
            "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
        }
        return Result(
            slots={Slot("joint", "obs", f"v_{self.name}"): np.full(data.n_obs, upstream + params.scale)},
            tables=[Table("t", "A table", "Its columns.", frame)],
            figures=[
                Figure("chart", "A chart", "How to read it.", chart=chart),
                Figure("picture", "A picture", "One pixel.", image=PIXEL),
                Figure("drawing", "A drawing", "A circle.", svg=CIRCLE),
            ],
            metrics=[Metric("value", upstream + params.scale, unit="units", help="High is high.", key=True)],
            alerts=[Alert("warning", "look <here>", "because", "do it")],
            files=[ExportFile("exports/x.txt", b"text", "A text.")],
        )


def make(name: str) -> type[Stage[FakeParams]]:
    facts: dict[str, Any] = {"needs": NEEDS.get(name, ()), "name": name, "title": f"Stage {name}"}
    if name == "enrichment":
        facts["resources"] = (("gene_sets",),)
    if name == "comparisons":
        facts["uses"] = ("enrichment",)
    return type(f"Fake_{name}", (Fake,), facts)


class Installed:
    """What was replaced, for :func:`restore`."""

    classes: ClassVar[dict[str, str]] = dict(registry.BUILT_IN)


globals().update({f"Fake_{name}": make(name) for name in BUILT_IN})


def install() -> None:
    """Put the tiny stages in the place of the real ones."""
    sys.modules["mira_nb.stages._panel_fakes"] = sys.modules[__name__]
    registry.BUILT_IN.update({name: f"mira_nb.stages._panel_fakes:Fake_{name}" for name in BUILT_IN})
    registry.get_stage.cache_clear()


def restore() -> None:
    """Take the real stages back."""
    registry.BUILT_IN.update(Installed.classes)
    registry.get_stage.cache_clear()
    sys.modules.pop("mira_nb.stages._panel_fakes", None)


def execute(
    stage: str,
    output: Path,
    parameters: Mapping[str, Any],
    *,
    progress_dir: Path,
    sink: ProgressSink | None = None,
) -> None:
    """Run a stage in this process, where the real pipeline executes a notebook."""
    (progress_dir / f"{stage}.cancel").unlink(missing_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        session = open_stage(stage, parameters)
        if sink is not None:
            sink(stage, 0.5, "half", -1.0)
        session.run()
        session.save()
    except MiraError:
        raise
    except Exception as error:
        output.write_text("failed notebook")
        failure = StageError(f"stage {stage} failed: {type(error).__name__}: {error}")
        failure.traceback = "Traceback of <stage>"
        raise failure from None
    finally:
        (progress_dir / f"{stage}.json").unlink(missing_ok=True)
    output.write_text("{}")


def report(root: Path) -> Path:
    """Write a report in no time."""
    for name in REPORT_FILES:
        (root / name).write_text("<!doctype html><title>report</title>")
    return root / "report.html"


def patch_pipeline() -> None:
    """Run stages in this process, for good (in the worker's own process)."""
    import mira_nb.report.build

    pipeline.execute_template = execute
    mira_nb.report.build.build_report = report


def write_pair(folder: Path) -> InputSpec:
    """Write a pair of tiny count matrices."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"kind": pd.Categorical(["a", "b"] * 15)}, index=[f"c{i}" for i in range(30)])
    rna = ad.AnnData(sparse.csr_matrix(rng.poisson(2.0, (30, 12)).astype(np.float32)), obs=obs)
    rna.var_names = [f"G{i}" for i in range(12)]
    atac = ad.AnnData(sparse.csr_matrix((rng.random((30, 20)) < 0.5).astype(np.float32)), obs=obs.copy())
    atac.var_names = [f"chr1:{100 * i}-{100 * i + 50}" for i in range(20)]
    folder.mkdir(parents=True, exist_ok=True)
    rna.write_h5ad(folder / "rna.h5ad")
    atac.write_h5ad(folder / "atac.h5ad")
    return InputSpec(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad")


def open_folder(folder: Path) -> RunStore:
    """Make a run folder in which nothing has run."""
    store = RunStore(folder / "run")
    pipeline.open_run(RunRequest(spec=write_pair(folder / "data"), resources=Resources(), out=store.root), store)
    return store


def main() -> int:
    """Work off the job of a run folder."""
    from mira_nb.panels import worker

    install()
    patch_pipeline()
    return worker.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

"""Ten tiny stages under the real names, to test the pipeline without kernels or models."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
import pandas as pd
from mudata import MuData

from mira_nb.errors import NotApplicable
from mira_nb.stages.base import Context, Stage
from mira_nb.stages.params import Params, param
from mira_nb.stages.registry import BUILT_IN
from mira_nb.stages.result import Alert, Metric, Result, Slot, Table

RUNS: Counter[str] = Counter()
BROKEN: set[str] = set()
EMPTY: set[str] = set()
"""Stages that find nothing to analyse."""

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


class FakeParams(Params):
    scale: float = param(1.0, "Factor of the values.", gt=0)


class Fake(Stage[FakeParams]):
    Params = FakeParams
    title = "Fake"
    purpose = "Tests the pipeline."

    def run(self, data: MuData, params: FakeParams, context: Context) -> Result:
        RUNS[self.name] += 1
        context.progress(0.5, "half")
        if self.name in BROKEN:
            raise ValueError(f"{self.name} is broken")
        if self.name in EMPTY:
            raise NotApplicable("there is one group", remedy="give another")
        upstream = sum(float(data.obs[f"v_{name}"].iloc[0]) for name in NEEDS.get(self.name, ()))
        values = np.full(data.n_obs, upstream + params.scale)
        return Result(
            slots={Slot("joint", "obs", f"v_{self.name}"): values},
            tables=[Table("t", "T", "A table.", pd.DataFrame({"a": [1, 2]}))],
            metrics=[Metric("value", float(values[0]), key=True)],
            alerts=[Alert("info", "fine")],
        )


class Uses(Fake):
    uses: ClassVar[tuple[str, ...]] = ("enrichment",)


def make(name: str) -> type[Stage[FakeParams]]:
    base = Uses if name == "comparisons" else Fake
    needs = {"needs": NEEDS.get(name, ()), "name": name}
    if name == "enrichment":
        needs["resources"] = (("gene_sets",),)
    return type(f"Fake_{name}", (base,), needs)


CLASSES = {name: make(name) for name in BUILT_IN}
globals().update({f"Fake_{name}": value for name, value in CLASSES.items()})

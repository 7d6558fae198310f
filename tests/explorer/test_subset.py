"""The explorer of a run of a subset shows its cells, whatever stage a value comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mira_nb.explorer import compare
from mira_nb.explorer.cells import CellData, Feature
from mira_nb.explorer.groupings import groupings
from mira_nb.run.slots import read_slots, write_slots
from mira_nb.stages.result import Slot
from tests.explorer.conftest import CELLS


def test_values_of_all_cells_are_cut_to_the_subset(run_folder: Path) -> None:
    whole = CellData(run_folder)
    mask = np.arange(CELLS) % 3 > 0
    gene, kind, topic = (Feature("gene", "GATA1"), Feature("column", "kind"), Feature("topic", "e2"))
    wanted = {item.key: whole.values(item) for item in (gene, kind, topic)}
    for stage in ("joint", "trajectory", "regulation", "motifs"):
        path = run_folder / "stages" / stage / "slots.h5"
        slots = {slot: value[mask] if len(value) == CELLS else value for slot, value in read_slots(path).items()}
        if stage == "joint":
            slots[Slot("joint", "uns", "subset")] = {"column": "kind", "values": np.array(["a"]), "mask": mask}
            slots[Slot("joint", "obs", "cell_label")] = pd.Categorical(np.repeat(["x", "y"], mask.sum() // 2))
        write_slots(path, slots)
    part = CellData(run_folder)
    assert list(part.names) == [f"c{i}" for i in np.flatnonzero(mask)]
    assert part.values(gene).numbers == pytest.approx(wanted[gene.key].numbers[mask])
    assert part.values(topic).numbers == pytest.approx(wanted[topic.key].numbers[mask])
    assert part.values(kind).codes.tolist() == wanted[kind.key].codes[mask].tolist()
    assert part.values(Feature("column", "cell_label")).categories == ("x", "y")
    assert "lineage_state_alternative" not in part.annotations
    part.kept.keep_selection("one", list(part.names[:15]))
    found = compare.markers(part, "one", compare.REST)
    inside = whole.names.isin(part.names[:15])
    values = wanted[gene.key].numbers
    row = found.table.set_index("gene").loc["GATA1"]
    assert found.n == (15, mask.sum() - 15)
    assert row["fraction_1"] == pytest.approx((values[inside] > 0).mean())
    assert row["fraction_2"] == pytest.approx((values[mask & ~inside] > 0).mean())


def test_states_from_the_other_start_are_columns_too(run_folder: Path) -> None:
    path = run_folder / "stages" / "trajectory" / "slots.h5"
    states = pd.Categorical(np.repeat(["A", "B"], CELLS // 2))
    write_slots(path, {**read_slots(path), Slot("joint", "obs", "lineage_state_alternative"): states})
    data = CellData(run_folder)
    assert data.values(Feature("column", "lineage_state_alternative")).categories == ("A", "B")
    assert groupings(data) == ["leiden", "lineage_state_alternative", "kind", "name"]

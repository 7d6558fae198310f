"""Map a second experiment into the topics and the joint space of a finished run: files in, files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from mira_nb.errors import ParameterError
from mira_nb.io.messages import Finding
from mira_nb.io.spec import InputSpec
from mira_nb.keys import CELL_LABEL, JOINT_STAGE, LEIDEN, PREPARE, TOPICS_ATAC, TOPICS_RNA, X_UMAP
from mira_nb.report.plain import Picture, PlainTable, render_plain
from mira_nb.stages.joint.params import JointParams
from mira_nb.stages.joint.projection import Projection, captions, matching, notes, project

from .files import replaced_folder, write_json
from .messages import refusal
from .models import load_run
from .store import RunStore, write_h5mu

RECORD = "projection.json"

__all__ = ["notes", "project_files", "write_projection"]


def project_files(
    spec: InputSpec, onto: Path, out: Path, *, column: str | None = None, n_neighbors: int | None = None
) -> Projection:
    """Read new data, project them onto a run, and write the results to a folder.

    Raises
    ------
    InputError
        The data cannot be used, or the run has no topics or no joint space.
    ParameterError
        `out` holds something else.
    """
    from mira_nb.io.read import read_input

    if out.is_file() or (out.exists() and any(out.iterdir()) and not (out / RECORD).exists()):
        raise refusal(ParameterError, "projection_folder", out=out)
    reference = load_run(onto, (PREPARE, TOPICS_RNA, TOPICS_ATAC, JOINT_STAGE))
    store = RunStore(onto)
    record = store.stage_record(JOINT_STAGE) or {}
    values = {row["name"]: row["value"] for row in record.get("parameters", [])}
    params = JointParams(**{name: value for name, value in values.items() if name in JointParams.model_fields})
    given = store.read_record().get("resources") or {}
    chosen = column or (CELL_LABEL if given.get("labels") else given.get("groups")) or LEIDEN
    new = read_input(spec)
    found = project(new.data, reference, params, column=str(chosen), n_neighbors=n_neighbors)
    write_projection(found, out, title=f"Cells projected onto {Path(onto).resolve().name}", findings=new.findings)
    return found


def write_projection(found: Projection, out: Path, *, title: str, findings: Sequence[Finding] = ()) -> None:
    """Write projected.h5mu, topics_rna.csv, topics_atac.csv, labels.csv, projection.json and projection.html."""
    page = _page(found, title, findings)
    with replaced_folder(Path(out)) as folder:
        write_h5mu(found.data, folder / "projected.h5mu")
        for name, frame in found.topics.items():
            frame.to_csv(folder / f"topics_{name}.csv", index_label="cell")
        found.labels.to_csv(folder / "labels.csv", index=False)
        record = {
            "label_column": found.column,
            "n_neighbors": found.k,
            "matching": matching(found),
            "findings": [asdict(item) for item in findings],
        }
        write_json(folder / RECORD, record)
        (folder / "projection.html").write_text(page, encoding="utf-8")


def _page(found: Projection, title: str, findings: Sequence[Finding]) -> str:
    from mira_nb.charts.projection import overlay

    labels, words = found.labels, captions(found)
    given = labels[labels["label"] != ""]
    grouped = given.groupby("label")["confidence"].agg(["size", "mean"]).sort_values("size", ascending=False)
    grouped = grouped.rename(columns={"size": "cells", "mean": "mean confidence"}).reset_index()
    columns = {
        "n_features": "modelled",
        "n_by_name": "found by name",
        "n_by_coordinates": "found by coordinates",
        "n_missing": "missing",
        "n_unused": "not used by the model",
    }
    features = pd.DataFrame.from_dict(matching(found), orient="index")[[*columns]].rename(columns=columns)
    overlay_png = overlay(found.reference_map, np.asarray(found.data.obsm[X_UMAP]), labels["label"].to_numpy(str))
    return render_plain(
        title=title,
        lead=words["lead"],
        notes=notes(found) + [". ".join(filter(None, (item.title, item.cause, item.remedy))) for item in findings],
        picture=Picture("Map", overlay_png, words["alt"], words["map"]),
        tables=[
            PlainTable("Transferred labels", words["labels"], grouped),
            PlainTable("Features", words["features"], features.reset_index(names="modality")),
        ],
    )

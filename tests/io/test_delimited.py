"""Tables of unknown delimiter and encoding, and what their columns hold."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mira_nb.io.delimited import read_delimited, typed
from mira_nb.io.read import read_input
from mira_nb.io.spec import InputSpec

CELLS = [f"ACGT{i:04d}-1" for i in range(12)]


def read(path: Path, content: str | bytes) -> pd.DataFrame:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_delimited(path)


@pytest.mark.parametrize("mark", list("\t;,| "))
@pytest.mark.parametrize("label", ["CD16-positive, CD56-dim cell, human", "Blood|T|CD4", "TRA:1;TRB:2;TRB:3", "plain"])
def test_the_mark_that_gives_equal_rows_is_the_delimiter(tmp_path: Path, mark: str, label: str) -> None:
    quoted = f'"{label}"' if mark in label else label
    text = f"barcode{mark}type\n" + "".join(f"{cell}{mark}{quoted}\n" for cell in CELLS)
    table = read(tmp_path / "t.txt", text)
    assert table.columns.tolist() == ["barcode", "type"]
    assert table["barcode"].tolist() == CELLS
    assert set(table["type"]) == {label}


def test_a_delimiter_at_the_end_of_rows_and_excel_s_first_line(tmp_path: Path) -> None:
    table = read(tmp_path / "t.csv", "barcode,ct\n" + "".join(f"{cell},T{i},\n" for i, cell in enumerate(CELLS)))
    assert table["barcode"].tolist() == CELLS
    assert table["ct"].tolist() == [f"T{i}" for i in range(12)]
    table = read(tmp_path / "e.csv", "sep=;\nbarcode;ct\n" + "".join(f"{cell};a,b\n" for cell in CELLS))
    assert table.columns.tolist() == ["barcode", "ct"]
    named = read(tmp_path / "r.txt", '"ct"\n' + "".join(f'"{cell}"\t"T"\n' for cell in CELLS))
    assert named["row name"].tolist() == CELLS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16"])
def test_letters_survive_whatever_wrote_them(tmp_path: Path, encoding: str) -> None:
    text = "barcode,type\n" + "".join(f"{c},{'Müller' if i % 2 else 'Möller'}\n" for i, c in enumerate(CELLS))
    assert set(read(tmp_path / "t.csv", text.encode(encoding))["type"]) == {"Müller", "Möller"}
    assert set(read(tmp_path / "t.csv.gz", gzip.compress(text.encode(encoding)))["type"]) == {"Müller", "Möller"}


def test_lines_in_quotes_and_odd_line_ends(tmp_path: Path) -> None:
    table = read(tmp_path / "t.csv", 'barcode,note\r\nA,"one\ntwo"\r\nB,x\x0by\r\n')
    assert table["note"].tolist() == ["one\ntwo", "x\x0by"]
    assert read(tmp_path / "m.csv", "barcode,n\rA,1\rB,2\r")["n"].tolist() == ["1", "2"]


LOSSY = {
    "subclusters": [f"1.{i}" for i in range(1, 11)],
    "long identifiers": [f"1234567890123456{i:03d}" for i in range(20)],
    "identifiers with a gap": [*(f"1234567890123456{i}" for i in range(9)), "NA"],
    "plates": ["1E1", "2E2", "3E1"],
    "zeros before": ["007", "008"],
    "merged clusters": ["1,2", "3,4"],
}


@pytest.mark.parametrize("name", LOSSY)
def test_labels_that_look_like_numbers_stay_labels(name: str) -> None:
    found, spelling = typed(np.array(LOSSY[name], dtype=object))
    wanted = [None if value == "NA" else value for value in LOSSY[name]]
    assert [None if pd.isna(value) else value for value in found] == wanted
    assert spelling == ""


def test_numbers_are_numbers() -> None:
    for given, wanted in (
        (["1", "2", "30"], [1, 2, 30]),
        (["0.0", "-0.0", "1.5e-3", "inf"], [0, 0, 0.0015, np.inf]),
        (["0.50", "0.25", "NA", "null"], [0.5, 0.25, np.nan, np.nan]),
    ):
        found, spelling = typed(np.array(given, dtype=object))
        np.testing.assert_allclose(np.asarray(found, dtype=float), wanted)
        assert spelling == ""
    texts = [f"{n},{37 * n % 1000:03d}" for n in range(2, 14)]
    german, _ = typed(np.array(texts, dtype=object), decimal_comma=True)
    np.testing.assert_allclose(german, [float(text.replace(",", ".")) for text in texts])
    english, _ = typed(np.array(texts, dtype=object))
    assert english.tolist() == [int(text.replace(",", "")) for text in texts]


def test_samples_are_joined_by_their_number_where_it_is_given(rna, atac, tmp_path, write_tenx) -> None:
    names = [f"{name.split('-')[0]}-{i % 3 + 1}" for i, name in enumerate(rna.obs_names)]
    rna.obs_names = atac.obs_names = names
    write_tenx(tmp_path / "m.h5", rna, atac)
    for header in ("sample,donor", "gem_well,sample,donor"):
        rows = [f"{n},s{n},d{n}" if header.startswith("gem") else f"{n},d{n}" for n in (2, 3, 1)]
        (tmp_path / "samples.csv").write_text(header + "\n" + "\n".join(rows) + "\n")
        obs = read_input(InputSpec(tenx=tmp_path / "m.h5", obs=tmp_path / "samples.csv")).data.obs
        assert obs["donor"].tolist() == [f"d{i % 3 + 1}" for i in range(rna.n_obs)]
    (tmp_path / "samples.csv").write_text("sample,donor\nx,d1\ny,d2\nz,d3\n")
    obs = read_input(InputSpec(tenx=tmp_path / "m.h5", obs=tmp_path / "samples.csv")).data.obs
    assert obs["donor"].tolist() == [f"d{i % 3 + 1}" for i in range(rna.n_obs)], "else by its row, as aggr has it"


def test_control_characters_in_a_table_are_cleaned_and_said(rna, atac, tmp_path, write_tenx) -> None:
    write_tenx(tmp_path / "m.h5", rna, atac)
    frame = pd.DataFrame(
        {"barcode": rna.obs_names, "ct": ["T\x0bcell" if i % 2 else "B\x1bcell" for i in range(rna.n_obs)]}
    )
    frame["long"] = "x" * 5000
    frame.to_csv(tmp_path / "cells.csv", index=False)
    found = read_input(InputSpec(tenx=tmp_path / "m.h5", obs=tmp_path / "cells.csv"))
    shown = found.data.obs["ct"].astype(str).unique().tolist()
    assert len(shown) == 2
    assert all(text.isprintable() for text in shown)
    assert found.data.obs["long"].astype(str).str.len().max() <= 200
    assert "input.labels_changed" in [item.code for item in found.findings]

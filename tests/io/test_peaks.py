from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_nb.errors import InputError
from mira_nb.io.peaks import find_column, looks_like_peaks, parse_peak_names, peak_coordinates

contigs = st.one_of(
    st.sampled_from(
        ["chr1", "1", "X", "chrUn_KI270742v1", "GL000194.1", "HLA-DRB1*15:01:01:01", "chr1-alt_2", "NC_000001.11", "MT"]
    ),
    st.text("abcXYZ019._-", min_size=1, max_size=12).filter(lambda text: text[-1] not in "._-"),
)


@given(contigs, st.integers(0, 10**10), st.integers(1, 10**6), st.sampled_from([":-", "--", "__", ":_", ".."]))
def test_round_trip_of_any_contig_name(chrom: str, start: int, width: int, separators: str):
    name = f"{chrom}{separators[0]}{start}{separators[1]}{start + width}"
    row = parse_peak_names([name]).iloc[0]
    assert (row["chrom"], row["start"], row["end"]) == (chrom, start, start + width)


@given(st.text(max_size=30))
def test_any_text_is_an_interval_or_missing(text: str):
    row = parse_peak_names([text]).iloc[0]
    if pd.isna(row["chrom"]):
        assert row.isna().all()
    else:
        assert 0 <= row["start"] < row["end"]


@pytest.mark.parametrize(
    "name", ["Sox2", "chr1:10", "chr1:20-10", "chr1:10-10", "10-20", "chr1:a-b", "", "chr1:-5-10x"]
)
def test_no_interval(name: str):
    assert parse_peak_names([name]).isna().all(axis=None)


def test_thousands_separators_and_spaces():
    row = parse_peak_names([" chr1:1,000-2,500 "]).iloc[0]
    assert (row["chrom"], row["start"], row["end"]) == ("chr1", 1000, 2500)


def test_gene_names_are_not_peaks():
    assert not looks_like_peaks(["RP11-206.3", "HLA-A", "AC0123.1", "MT-CO1", "Gm123-4-5"])
    assert looks_like_peaks(["chr1:1-2", "chr2:3-4", "odd"])
    assert not looks_like_peaks([])


@pytest.mark.parametrize(
    ("chrom", "start", "end"),
    [
        ("chrom", "start", "end"),
        ("chr", "start", "end"),
        ("seqnames", "start", "end"),
        ("chrom", "chromStart", "chromEnd"),
        ("Chromosome", "Start", "End"),
        ("#chrom", "chrom_start", "chrom_end"),
    ],
)
@pytest.mark.parametrize("dtype", [np.int32, np.float64, str, object])
def test_columns_under_many_names_and_types(chrom: str, start: str, end: str, dtype: type):
    var = pd.DataFrame({chrom: ["chr1", "2"], start: [5, 7], end: [9, 12]}, index=["p1", "p2"])
    var = var.astype({start: dtype, end: dtype})
    found = peak_coordinates(var, source="x")
    assert found.frame["chrom"].tolist() == ["chr1", "2"]
    assert found.frame["start"].tolist() == [5, 7]
    assert found.frame["end"].tolist() == [9, 12]
    assert found.frame["start"].dtype == np.int64
    assert found.notes == ()


def test_categorical_and_numeric_chromosomes():
    var = pd.DataFrame({"chr": [1.0, 2.0], "start": [1, 1], "end": [2, 2]}, index=["a", "b"])
    assert peak_coordinates(var, source="x").frame["chrom"].tolist() == ["1", "2"]
    var["chr"] = pd.Categorical(["chrX", "chrY"])
    assert peak_coordinates(var, source="x").frame["chrom"].tolist() == ["chrX", "chrY"]


def test_granges_start_is_moved():
    var = pd.DataFrame({"seqnames": ["chr1"] * 2, "start": [1, 11], "end": [10, 20], "width": [10, 10]})
    found = peak_coordinates(var, source="x")
    assert "moved by one" in found.notes[0].title
    assert found.frame["start"].tolist() == [0, 10]


def test_interval_column_when_names_are_identifiers():
    var = pd.DataFrame({"interval": ["chr1:1-5", "chr2:3-9"]}, index=["peak_1", "peak_2"])
    found = peak_coordinates(var, source="x")
    assert found.frame["end"].tolist() == [5, 9]
    assert "interval" in found.source


def test_names_are_used_when_columns_are_broken():
    var = pd.DataFrame({"chr": [None, None], "start": [1, 2], "end": [3, 4]}, index=["chr1:7-8", "chr1:8-9"])
    assert peak_coordinates(var, source="x").frame["start"].tolist() == [7, 8]


def test_few_bad_peaks_are_marked_many_are_refused():
    names = [f"chr1:{i}-{i + 1}" for i in range(20)]
    found = peak_coordinates(pd.DataFrame(index=[*names, "odd"]), source="x")
    assert found.valid.sum() == 20
    assert found.bad_examples == ("odd",)
    with pytest.raises(InputError, match=r"x: 20 of 40 peaks have no coordinates.*'bad0'|20 of 40"):
        peak_coordinates(pd.DataFrame(index=[f"bad{i}" for i in range(20)] + names), source="x")


def test_first_name_in_order_of_preference():
    frame = pd.DataFrame(columns=["CHR", "chrom"])
    assert find_column(frame, ("chrom", "chr")) == "chrom"
    assert find_column(frame, ("nothing",)) is None

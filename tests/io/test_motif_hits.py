from __future__ import annotations

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mira_nb.errors import ResourceError
from mira_nb.io.bed import read_bed
from mira_nb.io.motif_hits import overlaps, read_motif_hits
from tests.messages import codes, refused, values


def peak_table(n: int = 12) -> pd.DataFrame:
    start = np.arange(n) * 100
    frame = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 50})
    return frame.set_axis([f"chr1:{s}-{s + 50}" for s in start])


def write(path, matrix, peaks, **var):
    var = var or {"id": ["M1", "M2"], "name": ["Aa", "Bb"]}
    table = pd.DataFrame(var, index=[f"v{i}" for i in range(matrix.shape[1])])
    ad.AnnData(matrix, obs=peaks, var=table).write_h5ad(path)
    return path


@pytest.fixture
def hits():
    return sparse.random(12, 2, density=0.5, format="csr", random_state=1, dtype=np.float32)


@pytest.mark.parametrize("how", ["name", "coordinates", "names without chr", "starts from 1"])
def test_alignment(tmp_path, hits, how):
    peaks = peak_table()
    order = np.random.default_rng(0).permutation(12)
    obs = pd.DataFrame(index=peaks.index)
    if how == "coordinates":
        obs = peaks.set_axis([f"p{i}" for i in range(12)])
    if how == "starts from 1":
        obs = peaks.assign(start=peaks["start"] + 1).set_axis([str(i) for i in range(12)])
    if how == "names without chr":
        obs = pd.DataFrame(index=peaks.index.str.removeprefix("chr"))
    found = read_motif_hits(write(tmp_path / "h.h5ad", hits[order], obs.iloc[order]), peaks)
    np.testing.assert_array_equal(found.hits.toarray(), hits.toarray() > 0)
    assert found.factors.to_numpy().tolist() == [["M1", "Aa"], ["M2", "Bb"]]
    assert found.known.all()
    assert len(found.findings) == 1


def test_missing_and_extra_peaks_are_counted(tmp_path, hits):
    peaks = peak_table()
    found = read_motif_hits(write(tmp_path / "h.h5ad", hits[:9], pd.DataFrame(index=peaks.index[:9])), peaks.iloc[2:])
    np.testing.assert_array_equal(found.hits.toarray()[:7], hits[2:9].toarray() > 0)
    assert found.hits[7:].nnz == 0
    assert found.known.tolist() == [True] * 7 + [False] * 3
    assert values(found.findings, "hits_missing_peaks") == {"n_missing": 3, "file": "h.h5ad"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": ["a", "b"]}, ("hits_columns_missing", {"lacking": ["name"], "columns": ["id"]})),
        ({"id": ["a", "a"], "name": ["x", "y"]}, ("hits_duplicate_factors", {"n_factors": 1, "example": "a"})),
    ],
)
def test_bad_columns(tmp_path, hits, change, expected):
    peaks = peak_table()
    path = write(tmp_path / "h.h5ad", hits, pd.DataFrame(index=peaks.index), **change)
    code, wanted = expected
    with refused(code, ResourceError, **wanted):
        read_motif_hits(path, peaks)


def test_other_refusals(tmp_path, hits):
    peaks = peak_table()
    other = pd.DataFrame(index=[f"chr5:{i}-{i + 9}" for i in range(12)])
    with refused("hits_of_other_peaks", ResourceError, names=["chr5:0-9", "chr5:1-10"]):
        read_motif_hits(write(tmp_path / "a.h5ad", hits, other), peaks)
    with refused("hits_of_wrong_values", ResourceError):
        read_motif_hits(write(tmp_path / "b.h5ad", -hits, pd.DataFrame(index=peaks.index)), peaks)
    with refused("path_missing", ResourceError):
        read_motif_hits(tmp_path / "none.h5ad", peaks)


def test_chip_peaks(tmp_path):
    peaks = peak_table()
    text = "track x\nchr1\t149\t151\tAA\t7\t+\n1\t1000\t1001\tAA\nchr7\t1\t2\tBB\nchr1\t250\t300\tAA\n"
    (tmp_path / "a.bed").write_text(text)
    with gzip.open(tmp_path / "a.BED.gz", "wt") as file:
        file.write(text)
    for name in ("a.bed", "a.BED.gz"):
        found = read_motif_hits(tmp_path / name, peaks)
        assert np.flatnonzero(found.hits.toarray()[:, 0]).tolist() == [
            1
        ]  # [149, 151) meets [100, 150); [250, 300) none
        assert found.hits.toarray()[:, 1].sum() == 0
        assert found.hits.dtype == np.float32
        assert found.factors.to_numpy().tolist() == [["AA", "AA"], ["BB", "BB"]]
        assert found.known.all()
        assert values(found.findings, "hits_of_sites") == {
            "file": name, "n_bound": 1, "n_peaks": 12, "n_factors": 2, "n_sites": 4,
        }  # fmt: skip
        assert values(found.findings, "hits_of_absent_factors") == {"n_factors": 1, "shown": "BB"}


def test_sites_of_another_form_are_refused(tmp_path):
    (tmp_path / "b.bed").write_text("chr1\t5\t9\tAA\nchr1\t5\t9\n")
    with refused("bed_without_names", ResourceError, line=2):
        read_motif_hits(tmp_path / "b.bed", peak_table())
    assert len(read_bed(tmp_path / "b.bed", option="--x")) == 2
    (tmp_path / "d.bed").write_text("# nothing\n")
    with refused("bed_empty", ResourceError):
        read_motif_hits(tmp_path / "d.bed", peak_table())
    (tmp_path / "c.bed").write_text("chr1\t9\t5\n")
    with refused("bed_malformed", ResourceError, line=1):
        read_bed(tmp_path / "c.bed", option="--x")


WANTED = [["chr1", 100, 200], ["chr2", 300, 400]]


@pytest.mark.parametrize(
    "text",
    [
        "chr1\t100\t200\tA\nchr2\t300\t400\tB\n",
        "# columns: chrom start end name\nchr1\t100\t200\tA\nchr2\t300\t400\tB\n",
        "chr1 1e+02 200 A\nchr2 300 4e+02 B\n",
        "chrom\tstart\tend\tname\nchr1\t100\t200\tA\nchr2\t300\t400\tB\n",
        "track name=x\n#chrom\tchromStart\tchromEnd\tname\nchr1\t100\t200\tA\nchr2\t300\t400\tB\n",
        "#bin\tchrom\tchromStart\tchromEnd\tname\n585\tchr1\t100\t200\tA\n585\tchr2\t300\t400\tB\n",
        '"seqnames","start","end","width","strand","name"\n"chr1",101,200,100,"*","A"\n"chr2",301,4e+02,1e+02,"*","B"\n',
        '"seqnames" "start" "end" "width" "name"\n"1" "chr1" 101 200 100 "A"\n"2" "chr2" 301 400 100 "B"\n',
        "# a comment of chromosomes\nChrom.\tStart.\tEnd.\tfactor\n# another\nchr1\t100\t200\tA\nchr2\t300\t400\tB\n",
    ],
)
def test_intervals_with_and_without_a_header(tmp_path, text):
    (tmp_path / "b.bed").write_text(text)
    assert read_bed(tmp_path / "b.bed", option="--x").to_numpy().tolist() == WANTED
    named = read_bed(tmp_path / "b.bed", option="--x", named=True)
    assert named.to_numpy().tolist() == [[*WANTED[0], "A"], [*WANTED[1], "B"]]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("chrom\tstart\tend\nchr1\t1\t2\n\nchr1\t9\t5\n", 4),
        ("chrom\tstart\tend\nchr1\t1\n", 2),
        ("chrom\tbegin here\nchr1\t1\t2\n", 1),
        ("chr1\t1\t2\nchrom\tstart\tend\n", 2),
    ],
)
def test_rows_that_are_no_intervals_are_named(tmp_path, text, line):
    (tmp_path / "b.bed").write_text(text)
    with refused("bed_malformed", ResourceError, line=line):
        read_bed(tmp_path / "b.bed", option="--x")


intervals = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2", "chr3"]), st.integers(0, 60), st.integers(1, 30)),
    min_size=1,
    max_size=15,
)


@settings(max_examples=150, deadline=None)
@given(intervals, intervals)
def test_overlaps_against_brute_force(first, second):
    a, b = (
        pd.DataFrame([(c, s, s + w) for c, s, w in rows], columns=["chrom", "start", "end"]) for rows in (first, second)
    )
    brute = [any(c == d and s < t + v and t < s + w for d, t, v in second) for c, s, w in first]
    assert overlaps(a, b).tolist() == brute


def test_row_numbers_are_aligned_by_coordinates(tmp_path, hits):
    peaks = peak_table().set_axis([str(i) for i in range(12)])
    order = np.random.default_rng(0).permutation(12)
    obs = peaks.iloc[order].set_axis([str(i) for i in range(12)])
    found = read_motif_hits(write(tmp_path / "h.h5ad", hits[order], obs), peaks)
    np.testing.assert_array_equal(found.hits.toarray(), hits.toarray() > 0)


def test_row_numbers_without_coordinates_are_refused(tmp_path, hits):
    peaks = peak_table().set_axis([str(i) for i in range(12)])
    path = write(tmp_path / "h.h5ad", hits, pd.DataFrame(index=peaks.index))
    with refused("hits_of_numbered_peaks", ResourceError):
        read_motif_hits(path, peaks)


def test_factors_as_rows_are_called_transposed(tmp_path):
    peaks = peak_table()
    names = pd.DataFrame({"id": ["M1"], "name": ["Aa"]}, index=["M1"])
    ad.AnnData(np.ones((1, 12), np.float32), obs=names, var=pd.DataFrame(index=peaks.index)).write_h5ad(
        tmp_path / "h.h5ad"
    )
    with refused("hits_transposed", ResourceError):
        read_motif_hits(tmp_path / "h.h5ad", peaks)


def bed(path, peaks, names):
    rows = zip(peaks["chrom"], peaks["start"], peaks["end"], names, strict=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def test_numbered_sites_of_a_peak_caller_are_those_of_its_factors(tmp_path):
    peaks = peak_table(60)
    factors = np.array(["CTCF", "SPI1"])[np.arange(60) % 2]
    names = [f"{factor}_peak_{number}{'ab'[number % 2]}" for number, factor in enumerate(factors)]
    found = read_motif_hits(bed(tmp_path / "h.bed", peaks, names), peaks)
    assert found.factors["name"].tolist() == ["CTCF", "SPI1"]
    np.testing.assert_array_equal(found.hits.toarray().T, [factors == "CTCF", factors == "SPI1"])
    assert codes(found.findings, "warning") == ["hits_of_called_peaks"]


def test_a_name_for_every_site_is_a_warning(tmp_path):
    peaks = peak_table(60)
    found = read_motif_hits(bed(tmp_path / "h.bed", peaks, [f"site{number}" for number in range(60)]), peaks)
    assert values(found.findings, "hits_of_single_sites")["n_names"] == 60
    few = read_motif_hits(bed(tmp_path / "h.bed", peaks, [f"F{number % 20}" for number in range(60)]), peaks)
    assert codes(few.findings, "warning") == []


@pytest.mark.parametrize(("n_factors", "density", "said"), [(6, 1.0, True), (6, 0.6, True), (6, 0.3, False),
                                                            (1, 1.0, True), (1, 0.8, False)])  # fmt: skip
def test_more_hits_than_a_scan_gives_are_a_warning(tmp_path, n_factors, density, said):
    peaks = peak_table(100)
    matrix = np.zeros((100, n_factors), dtype=np.float32)
    matrix[: int(100 * density)] = 3.5
    names = [f"F{number}" for number in range(n_factors)]
    found = read_motif_hits(write(tmp_path / "h.h5ad", matrix, peaks, id=names, name=names), peaks)
    assert codes(found.findings, "warning") == ["hits_dense"] * said


@pytest.mark.parametrize(
    ("names", "numbers", "unnamed"),
    [
        (["."], 0, 60),
        (["+", "-"], 0, 60),
        (["*"], 0, 60),
        (["0.5", "1.5", "1e3", "-7"], 60, 0),
        (["0", "."], 30, 30),
        (["NA", "n/a", "None"], 0, 60),
        ([*["7"] * 9, "CTCF"], 54, 0),
    ],
)
def test_scores_strands_and_dots_are_no_factors(tmp_path, names, numbers, unnamed):
    peaks = peak_table(60)
    path = bed(tmp_path / "h.bed", peaks, [names[row % len(names)] for row in range(60)])
    with refused("hits_without_factors", ResourceError, n_sites=60, n_numbers=numbers, n_unnamed=unnamed):
        read_motif_hits(path, peaks)


def test_sites_without_a_factor_are_left_out_and_counted(tmp_path):
    peaks = peak_table(60)
    names = [["CTCF", ".", "17", "17", "17", "17"][row % 6] for row in range(60)]
    found = read_motif_hits(bed(tmp_path / "h.bed", peaks, names), peaks)
    assert found.factors["name"].tolist() == ["CTCF", "17"]  # a number among names may be one
    np.testing.assert_array_equal(found.hits.toarray().T, [np.array(names) == "CTCF", np.array(names) == "17"])
    assert values(found.findings, "hits_sites_unnamed") == {
        "file": "h.bed", "n_unnamed": 10, "n_sites": 60, "examples": ["."],
    }  # fmt: skip


def test_the_column_of_factors_beside_one_of_dots(tmp_path):
    text = "chrom\tstart\tend\tname\tscore\ttf\nchr1\t100\t110\t.\t5\tCTCF\nchr1\t200\t210\t.\t5\tSPI1\n"
    (tmp_path / "h.bed").write_text(text)
    assert read_motif_hits(tmp_path / "h.bed", peak_table()).factors["name"].tolist() == ["CTCF", "SPI1"]

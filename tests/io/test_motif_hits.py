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


@pytest.mark.parametrize("name", ["factor", "TF_name", "motif", "group_name"])
def test_the_header_names_the_column_of_factors(tmp_path, name):
    text = f"seqnames\tstart\tend\twidth\tscore\t{name}\nchr1\t101\t110\t10\t5\tCTCF\nchr1\t201\t210\t10\t5\tSPI1\n"
    (tmp_path / "h.tsv").write_text(text)
    found = read_motif_hits(tmp_path / "h.tsv", peak_table())
    assert found.factors["name"].tolist() == ["CTCF", "SPI1"]
    assert np.argwhere(found.hits.toarray()).tolist() == [[1, 0], [2, 1]]


def test_the_column_of_factors_beside_one_of_dots(tmp_path):
    text = "chrom\tstart\tend\tname\tscore\ttf\nchr1\t100\t110\t.\t5\tCTCF\nchr1\t200\t210\t.\t5\tSPI1\n"
    (tmp_path / "h.bed").write_text(text)
    assert read_motif_hits(tmp_path / "h.bed", peak_table()).factors["name"].tolist() == ["CTCF", "SPI1"]


def planted_hits(n: int = 60):
    peaks = peak_table(n)
    truth = np.array([[row % 4 == place for place in range(2)] for row in range(n)])
    return peaks, truth


FIMO = "motif_id\tmotif_alt_id\tsequence_name\tstart\tstop\tstrand\tscore\tp-value\tq-value\tmatched_sequence\n"


@pytest.mark.parametrize(
    "sequence",
    ["chromosome", "1", "peak", "peak from 1", "name::peak(+)", "region with genomic positions", "named peak"],
)
def test_hits_of_fimo(tmp_path, sequence):
    """Peaks touch here, so that a position that is off by one falls into the wrong peak."""
    start = np.arange(60) * 50
    peaks = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 50})
    peaks.index = [f"p{s}" if sequence == "named peak" else f"chr1:{s}-{s + 50}" for s in start]
    truth = np.array([[row % 4 == place for place in range(2)] for row in range(60)])
    text = FIMO
    for row, place in np.argwhere(truth):
        s, first, last = int(start[row]), 1, 10  # the first ten bases of the peak
        name = {"chromosome": "chr1", "peak from 1": f"chr1:{s + 1}-{s + 50}", "named peak": f"p{s}", "1": "1",
                "name::peak(+)": f"x{row}::chr1:{s}-{s + 50}(+)"}.get(sequence, f"chr1:{s}-{s + 50}")  # fmt: skip
        if sequence in {"chromosome", "1", "region with genomic positions"}:
            first, last = s + 1, s + 10
        text += f"MA{place}.1\t{['CTCF', 'SPI1'][place]}\t{name}\t{first}\t{last}\t+\t12\t1e-5\t0.1\tACGT\n"
    (tmp_path / "fimo.tsv").write_text(text + "\n# FIMO (Find Individual Motif Occurrences): Version 5.5.5\n")
    found = read_motif_hits(tmp_path / "fimo.tsv", peaks)
    assert found.factors.to_numpy().tolist() == [["MA0.1", "CTCF"], ["MA1.1", "SPI1"]]
    np.testing.assert_array_equal(found.hits.toarray() > 0, truth)
    assert found.known.all()


def test_fimo_of_other_forms(tmp_path):
    peaks = peak_table()
    old = "#pattern name\tsequence name\tstart\tstop\tstrand\tscore\tp-value\tq-value\tmatched sequence\n"
    (tmp_path / "fimo.txt").write_text(old + "MA1\tchr1\t101\t110\t+\t12\t1e-5\t0.1\tACGT\n")
    found = read_motif_hits(tmp_path / "fimo.txt", peaks)
    assert (np.flatnonzero(found.hits.toarray()[:, 0]).tolist(), found.factors["id"].tolist()) == ([1], ["MA1"])
    shared = FIMO + "M\tA\tchr1\t101\t110\t+\t1\t1\t1\tA\n" + "M\tB\tchr1\t201\t210\t+\t1\t1\t1\tA\n"
    (tmp_path / "shared.tsv").write_text(shared)
    assert read_motif_hits(tmp_path / "shared.tsv", peaks).factors["name"].tolist() == ["A", "B"]
    (tmp_path / "bad.tsv").write_text(FIMO + "M\tA\tchr1\tx\t110\t+\t1\t1\t1\tA\n")
    with refused("fimo_malformed", ResourceError, line=2):
        read_motif_hits(tmp_path / "bad.tsv", peaks)
    (tmp_path / "other.tsv").write_text(FIMO + "M\tA\tplasmid\t1\t110\t+\t1\t1\t1\tA\n")
    with refused("hits_of_other_peaks", ResourceError, names=["plasmid"]):
        read_motif_hits(tmp_path / "other.tsv", peaks)
    (tmp_path / "none.tsv").write_text(FIMO)
    with refused("bed_empty", ResourceError):
        read_motif_hits(tmp_path / "none.tsv", peaks)


@pytest.mark.parametrize("name", ["a.narrowPeak", "a.broadPeak.gz", "a.BED.gz", "peaks.txt", "peaks"])
def test_sites_are_read_under_any_ending(tmp_path, name):
    peaks, truth = planted_hits()
    rows = [f"chr1\t{peaks['start'].iloc[row] + 5}\t{peaks['start'].iloc[row] + 9}\t{['CTCF', 'SPI1'][place]}\t0\t.\n"
            for row, place in np.argwhere(truth)]  # fmt: skip
    text = "".join(rows).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    found = read_motif_hits(tmp_path / name, peaks)
    np.testing.assert_array_equal(found.hits.toarray() > 0, truth)


@pytest.mark.parametrize("form", ["csv", "tsv", "gz", "R", "coordinates", "logical", "name"])
def test_tables_of_peaks_and_factors(tmp_path, form):
    peaks, truth = planted_hits()
    if form == "name":
        peaks.index = [f"p{row}" for row in range(60)]
    order = np.random.default_rng(0).permutation(60)
    shown = truth[order].astype(int) * 3 if form != "logical" else np.where(truth[order], "TRUE", "FALSE")
    table = pd.DataFrame(shown, index=pd.Index(peaks.index[order], name="peak"), columns=["CTCF", "SPI1"])
    if form == "coordinates":
        table = pd.concat([peaks.iloc[order].reset_index(drop=True), table.reset_index(drop=True)], axis=1)
    text = table.to_csv(sep="," if form in {"csv", "gz", "logical"} else "\t", index=form != "coordinates")
    text = text.replace("peak\t", "", 1) if form == "R" else text
    (tmp_path / "h.csv").write_bytes(gzip.compress(text.encode()) if form == "gz" else text.encode())
    found = read_motif_hits(tmp_path / "h.csv", peaks)
    assert found.factors["name"].tolist() == ["CTCF", "SPI1"]
    np.testing.assert_array_equal(found.hits.toarray() > 0, truth)
    assert found.known.all()


def test_tables_that_are_refused(tmp_path):
    peaks, truth = planted_hits()
    table = pd.DataFrame(truth.astype(int), index=peaks.index, columns=["CTCF", "SPI1"])
    table.T.to_csv(tmp_path / "t.csv")
    with refused("hits_transposed", ResourceError):
        read_motif_hits(tmp_path / "t.csv", peaks)
    (tmp_path / "b.csv").write_text(table.to_csv().replace(",1,0", ",1,often", 1))
    with refused("hit_table_malformed", ResourceError, line=2):
        read_motif_hits(tmp_path / "b.csv", peaks)
    (tmp_path / "x.json").write_text('[{"name": "CTCF"}]\n')
    with refused("hits_format_unknown", ResourceError):
        read_motif_hits(tmp_path / "x.json", peaks)

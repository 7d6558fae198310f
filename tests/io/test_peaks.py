from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_nb.io.intervals import looks_like_peaks, parse_peak_names
from mira_nb.io.peaks import find_column, peak_coordinates
from tests.messages import codes, refused, values

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
    assert codes(found.notes) == ["starts_from_one"]
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
    with refused("no_coordinates", n_bad=20, n_peaks=40):
        peak_coordinates(pd.DataFrame(index=[f"bad{i}" for i in range(20)] + names), source="x")


def test_first_name_in_order_of_preference():
    frame = pd.DataFrame(columns=["CHR", "chrom"])
    assert find_column(frame, ("chrom", "chr")) == "chrom"
    assert find_column(frame, ("nothing",)) is None


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("chr1-1e+05-100500", 100_000, 100_500),
        ("chr1:99500-1e+05", 99_500, 100_000),
        ("chr1_12e+05_1200400", 1_200_000, 1_200_400),
    ],
)
def test_numbers_as_r_writes_them(name: str, start: int, end: int):
    assert parse_peak_names([name]).iloc[0].tolist() == ["chr1", start, end]


def _var(names: list[str], shift: tuple[int, int]) -> pd.DataFrame:
    parsed = parse_peak_names(names)
    columns = {"chrom": parsed["chrom"], "start": parsed["start"] + shift[0], "end": parsed["end"] + shift[1]}
    return pd.DataFrame(columns).astype({"start": int, "end": int}).set_axis(names)


NAMES = [f"chr{1 + i % 3}:{1000 * i + 500}-{1000 * i + 900}" for i in range(30)]


@pytest.mark.parametrize(("shift", "start"), [((1, 0), 500), ((-1, 0), 499), ((0, 0), 500)])
def test_conventions_that_differ_by_one_give_the_start_from_zero(shift, start):
    found = peak_coordinates(_var(NAMES, shift), source="x")
    assert found.frame["start"].iloc[0] == start
    assert found.frame["end"].iloc[0] == 900
    assert [note.level for note in found.notes] == ([] if shift == (0, 0) else ["info"])


@pytest.mark.parametrize("shift", [(-200, 3000), (1, 1), (5000, 5000)])
def test_names_win_over_columns_that_disagree_and_both_are_shown(shift):
    found = peak_coordinates(_var(NAMES, shift), source="x")
    assert found.frame["start"].tolist() == parse_peak_names(NAMES)["start"].tolist()
    assert codes(found.notes, "warning") == ["coordinates_disagree"]
    shown = values(found.notes, "coordinates_disagree")
    assert (shown["n_different"], shown["n_peaks"]) == (30, 30)
    assert shown["example"] == f"chr1:{500 + shift[0]}-{900 + shift[1]}"


def test_columns_without_width_are_reported_and_names_used():
    var = _var(NAMES, (0, 0))
    var["end"] = var["start"]
    found = peak_coordinates(var, source="x")
    assert found.frame["end"].iloc[0] == 900
    assert codes(found.notes) == ["columns_without_intervals"]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["X1.1000.1500", "X2.10.20", "Y.5.9", "X.5.9"], ["1", "2", "Y", "X"]),
        (["GRCh38_chr1:1-5", "GRCh38_chrX:1-5"], ["chr1", "chrX"]),
        (["mm10___chr1:1-5", "mm10___chr2:1-5"], ["chr1", "chr2"]),
        (["GRCh38-2020-A_chr1:1-5", "GRCh38-2020-A_chrX:1-5"], ["chr1", "chrX"]),
        (["hg19-3.0.0_1:1-5", "hg19-3.0.0_X:1-5"], ["1", "X"]),
        (["GRCh38.p13_chr1:1-5", "GRCh38.p13_KI270728.1:1-5"], ["chr1", "KI270728.1"]),
        (["hg38:chr1:1-5", "hg38:chrX:1-5"], ["chr1", "chrX"]),
        (["mm10:1:1-5", "mm10:X:1-5"], ["1", "X"]),
        (["mm10-1-1-5", "mm10-2-1-5"], ["1", "2"]),
        (["X1:1-5", "X2:1-5", "1:3-4"], ["X1", "X2", "1"]),  # platypus
        (["peak_chr1_1_5", "peak_chrX_1_5"], ["chr1", "chrX"]),
        (["peak_7::chr1:1-5(+)", "peak_8::chr2:1-5(-)"], ["chr1", "chr2"]),
        (["ATAC-chr1-1-5", "ATAC-chr2-1-5"], ["chr1", "chr2"]),
        (["Gm_chr1:1-5", "Gm_chr2:1-5"], ["Gm_chr1", "Gm_chr2"]),
        (["chr1:1-5:*", "chr2:1-5:+"], ["chr1", "chr2"]),
        (["chr1 1 5", "chr2 1 5"], ["chr1", "chr2"]),
        (["Hic-chr-1-82483-83603", "Hic-chr-2-1-3"], ["Hic-chr-1", "Hic-chr-2"]),
    ],
)
def test_what_tools_put_before_chromosomes_is_taken_off(names, wanted):
    assert peak_coordinates(pd.DataFrame(index=names), source="x").frame["chrom"].tolist() == wanted


@pytest.mark.parametrize("form", ["GENE{0}_chr{1}_{2}_{3}", "G-{0}:chr{1}:{2}-{3}", "HLA-A.{0}|chr{1}-{2}-{3}"])
def test_genes_before_chromosomes_are_taken_off_and_said(form):
    names = [form.format(number, number % 5 + 1, 100 * number, 100 * number + 50) for number in range(60)]
    found = peak_coordinates(pd.DataFrame(index=names), source="x")
    assert found.frame["chrom"].tolist() == [f"chr{number % 5 + 1}" for number in range(60)]
    assert found.frame["start"].tolist() == [100 * number for number in range(60)]
    assert values(found.notes, "chromosome_behind_text")["n_texts"] == 60


def test_few_texts_before_chromosomes_are_kept_and_warned_of():
    names = [f"s{number % 2}_chr{number % 5 + 1}_{100 * number}_{100 * number + 50}" for number in range(60)]
    found = peak_coordinates(pd.DataFrame(index=names), source="x")
    assert found.frame["chrom"].iloc[0] == "s0_chr1"
    assert values(found.notes, "chromosomes_behind_text")["n_peaks"] == 60
    names = [name if number < 3 else name[3:] for number, name in enumerate(names)]
    found = peak_coordinates(pd.DataFrame(index=names), source="x")
    assert values(found.notes, "chromosomes_behind_text")["n_peaks"] == 3


def test_two_assemblies_are_reported():
    found = peak_coordinates(pd.DataFrame(index=["GRCh38_chr1:1-5", "mm10_chr1:1-5"]), source="x")
    assert values(found.notes, "several_peak_assemblies")["n_assemblies"] == 2


def _as_r_writes(position: int) -> str:
    """Return a double as R's paste writes it: with an exponent where that is shorter."""
    digits = str(position).rstrip("0")
    short = digits[0] + (f".{digits[1:]}" if digits[1:] else "") + f"e+{len(str(position)) - 1:02d}"
    return short if position and len(short) < len(str(position)) else str(position)


BINS = [(95_000 + 5_000 * i) for i in range(400)] + [10_500_000 + 5_000 * i for i in range(1_200)]


@pytest.mark.parametrize("form", ["{}:{}-{}", "{}-{}-{}", "{}_{}_{}", "{}.{}.{}", "{}:{}..{}", "make.names"])
@pytest.mark.parametrize("chrom", ["chr1", "GL000194.1"])
def test_exponents_with_decimals_are_read_in_every_form_of_name(form: str, chrom: str):
    names = [f"{chrom}:{_as_r_writes(start)}-{_as_r_writes(start + 5000)}" for start in BINS]
    assert any("1.1e+07" in name for name in names)
    if form == "make.names":
        names = [name.replace(":", ".").replace("-", ".").replace("+", ".") for name in names]
    else:
        names = [form.format(chrom, _as_r_writes(start), _as_r_writes(start + 5000)) for start in BINS]
    found = parse_peak_names(names)
    assert set(found["chrom"]) == {chrom}
    assert found["start"].tolist() == BINS
    assert found["end"].tolist() == [start + 5000 for start in BINS]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("chr1:10995000-1.1e+07", ("chr1", 10_995_000, 11_000_000)),
        ("chr1:1.1e+07-11005000", ("chr1", 11_000_000, 11_005_000)),
        ("chr1-122995000-1.23e+08", ("chr1", 122_995_000, 123_000_000)),
        ("chr1_1.1e+07_1.2e+07", ("chr1", 11_000_000, 12_000_000)),
        ("NC_000001.11-1.1e+07-11005000", ("NC_000001.11", 11_000_000, 11_005_000)),
        ("GL000194.1:1e+05-100500", ("GL000194.1", 100_000, 100_500)),
        ("chr1.1e.05.105000", ("chr1", 100_000, 105_000)),
        ("chr1:1.1e7-11005000(+)", ("chr1", 11_000_000, 11_005_000)),
    ],
)
def test_a_dot_before_an_exponent_is_a_decimal_point_beside_other_separators(name: str, wanted: tuple):
    assert tuple(parse_peak_names([name]).iloc[0]) == wanted


def test_exponents_that_widths_and_chromosomes_leave_open_are_no_intervals():
    assert parse_peak_names(["chr1.1.1e.07.11005000"]).isna().all(axis=None)  # chr1 or chr1.1
    wide = ["chr1.5.2000000", "chr1.1.5.2000000"]  # both widths and both chromosomes occur
    assert parse_peak_names([*wide, "chr1.1.1e.07.11005000"]).iloc[-1].isna().all()
    found = peak_coordinates(pd.DataFrame(index=[*wide, *NAMES, "chr1.1.1e.07.11005000"]), source="x")
    assert found.bad_examples == ("chr1.1.1e.07.11005000",)  # counted and said, not guessed


INTERVALS = parse_peak_names(NAMES)


def _text(shift: int = 0, order: np.ndarray | None = None) -> list[str]:
    frame = INTERVALS if order is None else INTERVALS.iloc[order]
    return [f"{c}:{s + shift}-{e}" for c, s, e in zip(frame["chrom"], frame["start"], frame["end"], strict=True)]


PERMUTED = np.roll(np.arange(len(NAMES)), 7)
NUMBERED = [f"peak_{i}" for i in range(len(NAMES))]


@pytest.mark.parametrize("column", ["interval", "region_of_cell_ranger"])
@pytest.mark.parametrize(
    ("names", "held", "code"),
    [
        (_text(1), _text(), "one_side_from_one"),
        (_text(), _text(1), "one_side_from_one"),
        (_text(), _text(0, PERMUTED), "coordinates_disagree"),
        (_text(), _text(), None),
        (["X" + name[3:].replace(":", ".").replace("-", ".") for name in NAMES], _text(), "chromosome_x"),
    ],
)
def test_names_are_compared_with_every_column_of_intervals(column, names, held, code):
    found = peak_coordinates(pd.DataFrame({column: held}, index=names), source="x")
    assert codes(found.notes) == ([code] if code else [])
    assert found.frame[["start", "end"]].to_numpy().tolist() == INTERVALS[["start", "end"]].to_numpy().tolist()


def test_columns_are_compared_with_a_column_of_intervals():
    columns = pd.DataFrame(_var(NAMES, (1, 0))).set_axis(NUMBERED)
    found = peak_coordinates(columns.assign(interval=_text()), source="x")
    assert codes(found.notes) == ["one_side_from_one"]
    assert found.frame["start"].tolist() == INTERVALS["start"].tolist()
    permuted = _var(NAMES, (0, 0)).iloc[PERMUTED].set_axis(NUMBERED)
    found = peak_coordinates(permuted.assign(interval=_text()), source="x")
    assert codes(found.notes, "warning") == ["coordinates_disagree"]
    assert found.frame["start"].tolist() == INTERVALS["start"].tolist()
    # a column of any name is compared, but does not win
    found = peak_coordinates(permuted.assign(hg19=_text()), source="x")
    assert codes(found.notes, "warning") == ["coordinates_disagree"]
    assert found.frame["start"].tolist() == permuted["start"].tolist()


def test_regions_that_several_peaks_share_are_not_their_coordinates():
    regions = ["chr1:5-9" if i % 2 else "chr2:7-9" for i in range(len(NAMES))]
    assert peak_coordinates(pd.DataFrame({"nearest_gene": regions}, index=NAMES), source="x").notes == ()


def test_three_sources_are_settled_by_the_one_from_zero():
    var = _var(NAMES, (1, 0)).set_axis(_text(1))
    found = peak_coordinates(var.assign(interval=_text()), source="x")
    assert codes(found.notes) == ["one_side_from_one", "one_side_from_one"]
    assert found.frame["start"].tolist() == INTERVALS["start"].tolist()


@pytest.mark.parametrize("wrap", ["b'{}'", 'b"{}"'])
def test_columns_and_names_that_were_bytes(wrap: str):
    var = pd.DataFrame({"chrom": [wrap.format("chr1")] * 2, "start": [1, 5], "end": [3, 9]}, index=["a", "a"])
    assert peak_coordinates(var, source="x").frame["chrom"].tolist() == ["chr1", "chr1"]
    var = pd.DataFrame(index=[wrap.format("chr1:1-5"), wrap.format("chr2:1-5")])
    assert peak_coordinates(var, source="x").frame["chrom"].tolist() == ["chr1", "chr2"]


def test_headers_are_compared_by_letters_and_digits():
    var = pd.DataFrame({"Chrom.": ["chr1"], "Chrom.Start": [3], "chrom end": [9]}, index=["p"])
    assert peak_coordinates(var, source="x").frame.iloc[0].tolist() == ["chr1", 3, 9]


def test_a_chromosome_per_peak_is_no_genome():
    found = peak_coordinates(pd.DataFrame(index=[f"peak_{i}_{1 + i % 3}:5-9" for i in range(60)]), source="x")
    assert codes(found.notes) == ["chromosome_word"]
    assert sorted(found.frame["chrom"].unique()) == ["1", "2", "3"]
    found = peak_coordinates(pd.DataFrame(index=[f"odd{i}:5-9" for i in range(60)]), source="x")
    assert values(found.notes, "chromosomes_like_peaks")["n_chroms"] == 60
    contigs = [f"bin{i % 4}_contig{i % 5}:{i}-{i + 9}" for i in range(60)]  # bins of a metagenome
    found = peak_coordinates(pd.DataFrame(index=contigs), source="x")
    assert found.notes == ()
    assert found.frame["chrom"].tolist() == [name.split(":")[0] for name in contigs]

"""Every format is read back by the library of the tool it is for, and compared with the values of the run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path

import bioframe
import numpy as np
import pandas as pd
import pyBigWig
import pytest
import scanpy as sc
import scipy.io
import yaml
from typer.testing import CliRunner

from mira_nb.cli import app
from mira_nb.errors import ParameterError
from mira_nb.export.run import FORMATS, ExportOptions, export_run
from mira_nb.export.terms import read_terms
from mira_nb.export.values import LINK_COLUMNS
from tests.messages import refused

TERMS = {
    "organism_ontology_term_id": "NCBITaxon:9606",
    "title": "A small experiment",
    "assay_ontology_term_id": "EFO:0030059",
    "cell_type_ontology_term_id": {
        "column": "cell_type",
        "values": {"T/B": "CL:0000542", "T B": "CL:0000542", "N": "CL:0000623"},
    },
    "development_stage_ontology_term_id": "HsapDv:0000258",
    "disease_ontology_term_id": "PATO:0000461",
    "donor_id": {"column": "leiden"},
    "is_primary_data": True,
    "self_reported_ethnicity_ontology_term_id": "unknown",
    "sex_ontology_term_id": "PATO:0000383",
    "suspension_type": "nucleus",
    "tissue_ontology_term_id": "UBERON:0000178",
    "tissue_type": "tissue",
}


OF_RESULTS = [name for name in FORMATS if name != "figures"]
"""Formats that read results.h5mu."""


def write_terms(path: Path, **changes: object) -> ExportOptions:
    kept = {name: value for name, value in (TERMS | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(kept))
    return ExportOptions(terms=path)


# ---------------------------------------------------------------- cells
def test_scanpy(run_folder, results, tmp_path):
    export_run(run_folder, to="scanpy", out=tmp_path)
    for name, prefix in (("rna", "e"), ("atac", "a")):
        found, truth = sc.read_h5ad(tmp_path / f"{name}.h5ad"), results[name]
        assert (found.X != truth.X).nnz == 0
        assert found.obs["pseudotime"].tolist() == results.obs["pseudotime"].tolist()
        assert found.obs["cell_type"].tolist() == results.obs["cell_type"].tolist()
        assert found.obs["fate_B"].tolist() == results.obsm["fate_probabilities"]["B"].tolist()
        for k in range(truth.obsm["X_topics"].shape[1]):
            assert found.obs[f"{prefix}{k + 1}"].tolist() == truth.obsm["X_topics"][:, k].tolist()
            np.testing.assert_array_equal(found.var[f"{prefix}{k + 1}"], truth.varm["topic_activations"][:, k])
        assert (found.obsm["X_umap"] == results.obsm["X_umap"]).all()
        assert (found.obsp["joint_connectivities"] != results.obsp["joint_connectivities"]).nnz == 0
    assert sc.get.obs_df(sc.read_h5ad(tmp_path / "rna.h5ad"), ["GENE3", "a2"]).shape == (40, 2)
    genes = pd.read_csv(tmp_path / "genes.csv", index_col="gene")
    np.testing.assert_allclose(genes["nite_score"], results["rna"].var["nite_score"])
    assert pd.read_csv(tmp_path / "cells.csv", index_col="cell").index.tolist() == results.obs_names.tolist()


def test_seurat(run_folder, results, tmp_path):
    export_run(run_folder, to="seurat", out=tmp_path)
    counts = scipy.io.mmread(tmp_path / "matrix.mtx.gz").tocsr()
    assert (counts[:12].T != results["rna"].X).nnz == 0
    assert (counts[12:].T != results["atac"].X).nnz == 0
    theirs = sc.read_10x_mtx(tmp_path, gex_only=False)
    assert theirs.obs_names.tolist() == results.obs_names.tolist()
    assert theirs.var_names.tolist() == [*results["rna"].var_names, *results["atac"].var_names]
    assert theirs.var["feature_types"].value_counts().to_dict() == {"Gene Expression": 12, "Peaks": 30}
    cells = pd.read_csv(tmp_path / "cells.csv", index_col="cell")
    np.testing.assert_allclose(cells["e2"], results["rna"].obsm["X_topics"][:, 1])
    np.testing.assert_allclose(pd.read_csv(tmp_path / "umap.csv", index_col=0), results.obsm["X_umap"])


def test_what_seurat_gets_can_be_read_again(run_folder, results, tmp_path):
    from mira_nb.io.read import read_input
    from mira_nb.io.spec import InputSpec

    export_run(run_folder, to="seurat", out=tmp_path)
    again = read_input(InputSpec(tenx=tmp_path, obs=tmp_path / "cells.csv")).data
    assert (again["rna"].X != results["rna"].X).nnz == 0
    np.testing.assert_allclose(again.obs["pseudotime"], results.obs["pseudotime"])


def test_loupe(run_folder, results, tmp_path):
    assert export_run(run_folder, to="loupe", out=tmp_path).notes == ()
    table = pd.read_csv(tmp_path / "categories.csv", dtype=str)
    assert table.columns[0] == "Barcode"
    assert table["Barcode"].tolist() == results.obs_names.tolist()
    assert table["cell_type"].tolist() == results.obs["cell_type"].tolist()
    largest = results["atac"].obsm["X_topics"].argmax(axis=1)
    assert table["largest_atac_topic"].tolist() == [f"a{k + 1}" for k in largest]
    tenth = (results.obs["pseudotime"].rank().to_numpy() - 1) // 4 + 1
    assert table["pseudotime"].str[:2].astype(int).tolist() == tenth.tolist()
    where = pd.read_csv(tmp_path / "umap.csv", index_col="Barcode")
    np.testing.assert_allclose(where, results.obsm["X_umap"])


# ---------------------------------------------------------------- tracks
@pytest.mark.parametrize("by", [None, "leiden", "topics"])
def test_bigwig(run_folder, results, tmp_path, by):
    """Open cells per million open peaks, peak by peak, in plain Python; the larger value where two peaks are."""
    export_run(run_folder, to="bigwig", out=tmp_path, options=ExportOptions(by=by))
    atac = results["atac"]
    x = atac.X.toarray()
    if by == "topics":
        groups = {f"a{k + 1}": atac.obsm["X_topics"][:, k] for k in range(4)}
    else:
        labels = results.obs[by or "cell_type"].astype(str)
        groups = {label: (labels == label).to_numpy(float) for label in sorted(set(labels))}
    files = sorted(tmp_path.glob("*.bw"))
    names = {"T B": "T_B", "T/B": "T_B-2"}
    assert {path.stem for path in files} == {names.get(name, name) for name in groups}
    for name, weight in groups.items():
        total = sum(weight[i] * x[i].sum() for i in range(40))
        expected: dict[tuple[str, int], float] = {}
        for p, (chrom, start, end) in enumerate(
            zip(atac.var["chrom"], atac.var["start"], atac.var["end"], strict=True)
        ):
            level = 1e6 * sum(weight[i] * x[i, p] for i in range(40)) / total
            for base in range(start, end):
                expected[chrom, base] = max(level, expected.get((chrom, base), 0.0))
        with pyBigWig.open(str(tmp_path / f"{names.get(name, name)}.bw")) as file:
            assert file.chroms() == atac.var.groupby("chrom")["end"].max().to_dict()
            for chrom, length in file.chroms().items():
                found = np.array(file.values(chrom, 0, length))
                truth = np.array([expected.get((chrom, base), np.nan) for base in range(length)])
                np.testing.assert_allclose(found, truth, rtol=1e-6)


def test_chromosome_sizes(run_folder, tmp_path):
    (tmp_path / "sizes").write_text("chr2\t50000\nchr10\t60000\nchrX\t9\n")
    options = ExportOptions(chrom_sizes=tmp_path / "sizes")
    export_run(run_folder, to="bigwig", out=tmp_path / "out", options=options)
    with pyBigWig.open(str(tmp_path / "out" / "N.bw")) as file:
        assert file.chroms() == {"chr2": 50000, "chr10": 60000, "chrX": 9}
    (tmp_path / "sizes").write_text("chr2\t5000\n")
    with refused("export.sizes_too_short", ParameterError, wrong=["chr10", "chr2"]):
        export_run(run_folder, to="bigwig", out=tmp_path / "out", options=options)


def true_links(results) -> list[tuple[int, str, float, int, str]]:
    """Weights by the formula, link by link."""
    sets, table = results["rna"].uns["peak_sets"], results["rna"].varm["rp_parameters"]
    out = []
    for number, gene in enumerate(sets["genes"]):
        row = table.loc[gene]
        for i in range(sets["indptr"][number], sets["indptr"][number + 1]):
            kb = sets["distance"][i] / 1000
            weight = (
                row["a_upstream"] * 2 ** (-kb / row["decay_upstream_kb"]),
                row["a_proximal"],
                row["a_downstream"] * 2 ** (-kb / row["decay_downstream_kb"]),
            )[sets["region"][i]]
            if gene != "GENE4":  # without an estimate
                out.append(
                    (int(sets["peak"][i]), str(gene), weight, int(sets["tss"][number]), str(sets["strand"][number]))
                )
    return out


@pytest.mark.parametrize("least", [0.0, 0.3])
def test_bed_and_links(run_folder, results, tmp_path, least):
    done = export_run(run_folder, to="bed", out=tmp_path, options=ExportOptions(min_weight=least))
    truth = true_links(results)
    assert truth
    var = results["atac"].var
    names = [*bioframe.io.SCHEMAS["bed6"], "weight", "gene", "topic", "activation"]
    peaks = bioframe.read_table(tmp_path / "peaks.bed", schema=names, na_values=["."]).set_index("name")
    assert bioframe.is_bedframe(peaks)
    assert sorted(peaks.index) == sorted(var.index)
    assert (
        peaks.loc[var.index, ["chrom", "start", "end"]].to_numpy().tolist()
        == var[["chrom", "start", "end"]].to_numpy().tolist()
    )
    for row, name in enumerate(var.index):
        mine = max(((weight, gene) for peak, gene, weight, *_ in truth if peak == row), default=(np.nan, np.nan))
        np.testing.assert_allclose(peaks.loc[name, "weight"], mine[0])
        assert peaks.loc[name, "gene"] == mine[1] or mine[1] is np.nan
        activation = results["atac"].varm["topic_activations"][row]
        assert (peaks.loc[name, "topic"] == f"a{activation.argmax() + 1}") == (row > 0)
    largest = {gene: max(weight for _, other, weight, *_ in truth if other == gene) for _, gene, *_ in truth}
    kept = sorted(
        (peak, gene, weight, tss, strand)
        for peak, gene, weight, tss, strand in truth
        if weight >= least * largest[gene]
    )
    names = [*bioframe.io.SCHEMAS["bedpe"], *LINK_COLUMNS]
    table = bioframe.read_table(tmp_path / "links.bedpe", schema=names)
    found = sorted(
        (var.index.get_loc(f"{row.chrom1}:{row.start1}-{row.end1}"), row.name_, row.score, row.start2, row.strand2)
        for row in table.rename(columns={"name": "name_"}).itertuples()
    )
    assert [item[:2] + item[3:] for item in found] == [item[:2] + item[3:] for item in kept]
    np.testing.assert_allclose([item[2] for item in found], [item[2] for item in kept])
    assert (table["end2"] - table["start2"] == 1).all()
    assert bool(done.notes) == (len(kept) < len(truth))


def test_links_carry_the_tests_of_the_pairs(run_folder, results, tmp_path):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    tables = folder / "stages" / "regulation" / "tables"
    tables.mkdir(parents=True)
    peak, gene, *_ = next(item for item in true_links(results) if item[2] > 0)
    row = {
        "peak": results["atac"].var_names[peak], "gene": gene, "region": "upstream", "distance": -5, "lite_share": 0.25,
        "correlation": 0.125, "pvalue": 0.001, "adj_pvalue": 0.01, "background": np.nan, "factors": "A; B",
    }  # fmt: skip
    pd.DataFrame([row]).to_csv(tables / "peak_gene_links.csv", index=False)
    export_run(folder, to="bed", out=tmp_path / "out", options=ExportOptions(min_weight=0))
    lines = [line.split("\t") for line in (tmp_path / "out" / "links.bedpe").read_text().splitlines()]
    var = results["atac"].var.iloc[peak]
    tested = [line for line in lines if line[10:] != ["."] * 5]
    assert [line[:3] for line in tested] == [[str(var["chrom"]), str(var["start"]), str(var["end"])]]
    assert tested[0][6] == gene
    assert tested[0][10:] == ["0.25", "0.125", "0.001", "0.01", "."]


def test_session_lists_the_tracks_of_both_formats(run_folder, tmp_path):
    export_run(run_folder, to="bigwig", out=tmp_path)
    export_run(run_folder, to="bed", out=tmp_path)
    root = ET.parse(tmp_path / "session.xml").getroot()
    paths = [item.attrib["path"] for item in root.iter("Resource")]
    assert paths == ["N.bw", "T_B-2.bw", "T_B.bw", "peaks.bed", "links.bedpe"]
    assert all((tmp_path / path).exists() for path in paths)
    assert {item.attrib["id"] for item in root.iter("Track")} == set(paths)


# ---------------------------------------------------------------- CELLxGENE
def test_cellxgene(run_folder, results, tmp_path):
    done = export_run(run_folder, to="cellxgene", out=tmp_path, options=write_terms(tmp_path / "terms.yaml"))
    assert len(done.notes) == 1
    assert "1 of 12 genes have none of their own and were left out, e.g. GENE11" in done.notes[0]
    found = sc.read_h5ad(tmp_path / "cellxgene.h5ad")
    kept = results["rna"][:, :11].copy()
    assert (found.raw.X != kept.X).nnz == 0
    assert found.var_names.tolist() == [f"ENSG{i:011d}" for i in range(11)]
    sc.pp.normalize_total(kept, target_sum=1e4)
    sc.pp.log1p(kept)
    np.testing.assert_allclose(found.X.toarray(), kept.X.toarray(), rtol=1e-5)
    assert found.obs["author_cell_type"].tolist() == results.obs["cell_type"].tolist()
    assert "cell_type" not in found.obs
    expected = ["CL:0000623" if name == "N" else "CL:0000542" for name in results.obs["cell_type"]]
    assert found.obs["cell_type_ontology_term_id"].tolist() == expected
    assert found.obs["donor_id"].tolist() == results.obs["leiden"].tolist()
    assert found.obs["is_primary_data"].dtype == bool
    assert found.uns["organism_ontology_term_id"] == "NCBITaxon:9606"
    np.testing.assert_allclose(found.obsm["X_umap"], results.obsm["X_umap"], rtol=1e-6)


def test_missing_terms_are_listed(run_folder, tmp_path):
    options = write_terms(tmp_path / "terms.yaml", title=None, donor_id=None)
    done = export_run(run_folder, to="cellxgene", out=tmp_path, options=options)
    assert [note.split(":")[0].rpartition(" ")[2] for note in done.notes[:2]] == ["title", "donor_id"]
    assert "donor_id: name of the donor" in (tmp_path / "missing.txt").read_text()
    assert len(export_run(run_folder, to="cellxgene", out=tmp_path).notes) == len(TERMS) + 1


@pytest.mark.parametrize(
    ("changes", "code", "values"),
    [
        ({"donor_id": {"column": "donor"}}, "column_unknown", {"column": "donor"}),
        (
            {"cell_type_ontology_term_id": {"column": "cell_type", "values": {"N": "CL:1"}}},
            "term_missing",
            {"lacking": ["T B", "T/B"]},
        ),
        ({"colour": "red"}, "terms_other_form", {"unknown": ["colour"]}),
        ({"is_primary_data": "maybe"}, "not_true_or_false", {"value": "maybe"}),
        ({"donor_id": {"column": "leiden", "values": None}}, "term_wrong", {"place": "donor_id: values"}),
        ({"donor_id": {"column": "leiden", "values": {}}}, "term_wrong", {"place": "donor_id: values"}),
        ({"donor_id": {"column": "leiden", "values": ["a", "b"]}}, "term_wrong", {"place": "donor_id: values"}),
        ({"donor_id": {"column": "leiden", "values": "ab"}}, "term_wrong", {"place": "donor_id: values"}),
        ({"donor_id": {"column": "leiden", "values": {"0": ["a"]}}}, "term_wrong", {"place": "donor_id: values: 0"}),
        ({"donor_id": {"column": "leiden", "values": {"0": None}}}, "term_wrong", {"place": "donor_id: values: 0"}),
        ({"donor_id": {"column": ["leiden"]}}, "term_wrong", {"place": "donor_id: column", "shown": "['leiden']"}),
        ({"donor_id": {"column": {"a": 1}}}, "term_wrong", {"place": "donor_id: column"}),
        ({"donor_id": {"column": None}}, "term_wrong", {"place": "donor_id: column", "shown": "nothing"}),
        ({"donor_id": {"columns": "leiden"}}, "term_wrong", {"place": "donor_id"}),
        ({"donor_id": {"column": "leiden", "value": {"0": "a"}}}, "term_wrong", {"place": "donor_id"}),
        ({"donor_id": ""}, "term_wrong", {"place": "donor_id", "shown": "nothing"}),
        ({"donor_id": float("nan")}, "term_wrong", {"place": "donor_id"}),
        ({"tissue_type": ["a", "b"]}, "term_wrong", {"place": "tissue_type", "shown": "['a', 'b']"}),
        ({"title": {"a": "b"}}, "term_wrong", {"place": "title", "form": "one value"}),
        ({"title": ["a"]}, "term_wrong", {"place": "title"}),
        ({"batch_condition": {"a": 1}}, "term_wrong", {"place": "batch_condition"}),
        ({"batch_condition": ["a", ["b"]]}, "term_wrong", {"place": "batch_condition"}),
    ],
)
def test_terms_that_are_refused(run_folder, tmp_path, changes, code, values):
    with refused(f"export.{code}", ParameterError, **values) as caught:
        export_run(run_folder, to="cellxgene", out=tmp_path, options=write_terms(tmp_path / "terms.yaml", **changes))
    assert code != "term_wrong" or str(tmp_path / "terms.yaml") in str(caught.value)


@pytest.mark.parametrize("text", ["donor_id: 2020-13-01", "title: !!python/object:os.system x", "a: [", "\udcff"])
def test_terms_that_are_no_yaml(tmp_path, text):
    (tmp_path / "terms").write_text(text, encoding="utf-8", errors="surrogateescape")
    with refused("export.terms_not_yaml", ParameterError):
        read_terms(tmp_path / "terms", per_cell=["donor_id"], single=["title"], lists=[])


def test_terms_of_every_plain_kind(tmp_path):
    text = "donor_id: 2020-01-01\ntitle: 5\nsex: {column: 1, values: {1: true}}\nbatch: [a, b]\ntissue:\n"
    (tmp_path / "terms").write_text(text)
    found = read_terms(tmp_path / "terms", per_cell=["donor_id", "sex", "tissue"], single=["title"], lists=["batch"])
    sex = {"column": 1, "values": {1: True}}
    assert found == {"donor_id": date(2020, 1, 1), "title": 5, "sex": sex, "batch": ["a", "b"]}


# ---------------------------------------------------------------- command
def test_command(run_folder, tmp_path):
    for name in OF_RESULTS:
        done = CliRunner().invoke(app, ["export", str(run_folder), "--to", name, "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        assert all(Path(line).exists() for line in done.stdout.splitlines())
        assert all(line.startswith("warning: ") for line in done.stderr.splitlines())
        assert not list((tmp_path / name).glob(".export-*"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["{run}", "--to", "bigwig", "--out", "{tmp}", "--by", "colour"], "no cell annotation has this name"),
        (["{run}", "--to", "bed", "--out", "{run}"], "is a run folder"),
        (["{tmp}", "--to", "bed", "--out", "{tmp}/x"], "holds no run.json"),
        (["{run}", "--to", "bed", "--out", "{run}/run.json/x"], "cannot be written"),
    ],
)
def test_command_refuses(run_folder, tmp_path, arguments, expected):
    texts = [text.format(run=run_folder, tmp=tmp_path) for text in arguments]
    done = CliRunner().invoke(app, ["export", *texts])
    assert done.exit_code == 2
    assert expected in done.stderr


def test_a_run_with_the_first_stages_only(run_folder, results, tmp_path):
    """What is not there is said; nothing fails."""
    import mudata

    data = results.copy()
    for part in data.mod.values():
        del part.obsm["X_topics"], part.varm["topic_activations"]
    del data["rna"].varm["rp_parameters"], data["rna"].uns["peak_sets"], data.obsm["X_umap"]
    with mudata.set_options(pull_on_update=False):
        data.write_h5mu(tmp_path / "results.h5mu")
    (tmp_path / "run.json").write_text('{"schema": 1}')
    notes = {name: " ".join(export_run(tmp_path, to=name, out=tmp_path / name).notes) for name in OF_RESULTS}
    assert "no regulation results" in notes["bed"]
    assert "no joint map" in notes["loupe"]
    assert "an embedding" in notes["cellxgene"]
    with refused("export.no_topics", ParameterError):
        export_run(tmp_path, to="bigwig", out=tmp_path / "x", options=ExportOptions(by="topics"))


# ---------------------------------------------------------------- the official validator
@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cellxgene-schema in an environment of its own: its pins do not fit beside ours."""
    place = os.environ.get("MIRA_NB_ACCEPTANCE_DIR")
    folder = (Path(place) if place else tmp_path_factory.mktemp("validator")) / "cellxgene-schema"
    program = folder / "bin" / "cellxgene-schema"
    if not program.exists():
        pins = Path(__file__).resolve().parents[2] / "requirements" / "cellxgene-schema.txt"
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "-r", str(pins)], check=True)
    return program


@pytest.mark.acceptance
@pytest.mark.timeout(1200)
def test_official_validator(run_folder, results, tmp_path, validator):
    """Passes with every term and real Ensembl ids; a term left out fails, so that the validator is known to look."""
    import mudata

    code = (
        "import pathlib, pandas, cellxgene_schema as c; "
        "f = pathlib.Path(c.__file__).parent / 'gencode_files' / 'genes_homo_sapiens.csv.gz'; "
        "print(*pandas.read_csv(f, header=None)[0][:12])"
    )
    known = subprocess.run([str(validator.with_name("python")), "-c", code], check=True, capture_output=True, text=True)
    data = results.copy()
    data["rna"].var["gene_ids"] = known.stdout.split()
    run = tmp_path / "run"
    run.mkdir()
    with mudata.set_options(pull_on_update=False):
        data.write_h5mu(run / "results.h5mu")
    (run / "run.json").write_text('{"schema": 1}')
    done = export_run(run, to="cellxgene", out=tmp_path / "good", options=write_terms(tmp_path / "terms.yaml"))
    assert done.notes == ()
    export_run(run, to="cellxgene", out=tmp_path / "bad", options=write_terms(tmp_path / "bad.yaml", tissue_type=None))
    for folder, status in (("good", 0), ("bad", 1)):
        found = subprocess.run(
            [str(validator), "validate", str(tmp_path / folder / "cellxgene.h5ad")], capture_output=True, text=True
        )
        assert found.returncode == status, found.stderr

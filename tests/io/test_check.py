from __future__ import annotations

from dataclasses import dataclass, replace

from mira_nb.io.resources import Resources
from mira_nb.io.spec import InputSpec
from mira_nb.run.check import check_input, describe_column, stage_statuses
from mira_nb.stages.base import Memory, Stage
from tests.messages import codes, refused, values


@dataclass(frozen=True)
class Need:
    title: str
    purpose: str = "finds something."
    needs: tuple[str, ...] = ()
    resources: tuple[tuple[str, ...], ...] = ()
    optional_resources: tuple[str, ...] = ()
    memory: Memory = Stage.memory


STAGES = {
    "prepare": Need("Prepare", optional_resources=("groups",)),
    "enrichment": Need("Enrichment", needs=("prepare",), resources=(("gene_sets",),)),
    "motifs": Need("Motifs", needs=("prepare",), resources=(("motif_hits",), ("genome", "motifs"))),
    "drivers": Need("Drivers", needs=("motifs",)),
}


def states(usable: set[str]) -> dict[str, tuple[str, str]]:
    return {status.name: (status.state, status.missing) for status in stage_statuses(STAGES, usable)}


def test_what_each_resource_unlocks():
    none = states(set())
    assert none["prepare"] == ("can run", "")
    assert none["enrichment"] == ("missing", "--gene-sets")
    assert none["motifs"] == ("missing", "--motif-hits or --genome with --motifs")
    assert none["drivers"] == ("missing", "")
    assert stage_statuses(STAGES, set())[3].waits_for == ("motifs",)
    assert states({"genome"})["motifs"] == ("missing", "--motif-hits or --motifs")
    for usable in ({"genome", "motifs"}, {"motif_hits"}):
        assert states(usable)["motifs"] == states(usable)["drivers"] == ("can run", "")
    assert stage_statuses(STAGES, set())[0].optional == ("groups",)
    assert stage_statuses(STAGES, {"groups"})[0].optional == ()


def test_everything_in_order(small_demo):
    report = check_input(small_demo.spec, small_demo.resources, requirements=STAGES)
    assert report.shape == (300, 200, 1200)
    assert report.problems == ()
    assert all(stage.state == "can run" for stage in report.stages)
    text = report.render()
    for expected in (
        "300 cells x 200 genes and 1,200 peaks",
        "cell_type: 6 values: ",
        "200 sites of 200 genes; 200 of the data's 200 genes",
        "1,200 of 1,200 peaks lie on them",
        "24 motifs; the factors of 24 are genes of the data",
        "--motif-hits  not given",
        "4 of 4 stages can run.",
    ):
        assert expected in text
    assert max(map(len, text.splitlines())) <= 110


def test_a_shortage_of_memory_is_a_warning(small_demo, monkeypatch):
    monkeypatch.setattr("mira_nb.run.check.available_mb", lambda: 300.0)
    found = values(check_input(small_demo.spec, Resources(), requirements=STAGES).findings, "memory_short")
    assert (round(found["needed"], 1), found["free"], found["stages"]) == (0.7, 0.3, ["prepare"])
    monkeypatch.setattr("mira_nb.run.check.available_mb", lambda: 600_000.0)
    assert "memory_short" not in codes(check_input(small_demo.spec, Resources(), requirements=STAGES).findings)


def test_hits_instead_of_a_scan(small_demo):
    resources = replace(small_demo.resources, genome=None, motifs=None, motif_hits=small_demo.motif_hits)
    report = check_input(small_demo.spec, resources, requirements=STAGES)
    assert "hits of 24 factors" in report.render()
    assert {stage.name: stage.state for stage in report.stages}["drivers"] == "can run"


def test_wrong_resources_are_listed_not_raised(small_demo, tmp_path):
    bad = Resources(
        tss=small_demo.spec.rna,
        genome=small_demo.resources.motifs,
        motifs=small_demo.resources.tss,
        gene_sets=(small_demo.resources.gene_sets[0], tmp_path / "none.gmt"),
        groups="cell_typ",
        start_cell="x",
    )
    report = check_input(small_demo.spec, bad, requirements=STAGES)
    assert {item.name: item.code.removeprefix("input.") for item in report.resources if item.problem} == {
        "tss": "binary_file",
        "genome": "genome_not_dna",
        "motifs": "motifs_format_unknown",
        "gene_sets": "path_missing",
        "groups": "annotation_unknown",
        "start_cell": "start_cell_unknown",
    }
    text = report.render()
    assert text.count("WRONG: ") == 6
    assert "close: 'cell_type'" in text
    assert "1 of 4 stages can run." in text
    assert "6 of the given resources cannot be used" in text


def test_other_species_and_assembly_are_noticed(small_demo, tmp_path):
    (tmp_path / "t.bed").write_text("chr77\t1\t50\tOther\t0\t+\n")
    (tmp_path / "g.fa").write_text(">contig\nACGT\n")
    report = check_input(
        small_demo.spec, Resources(tss=tmp_path / "t.bed", genome=tmp_path / "g.fa"), requirements=STAGES
    )
    status = {item.name: item for item in report.resources}
    assert {"few_genes_with_tss", "tss_without_shared_chromosome"} <= set(codes(status["tss"].findings, "warning"))
    lost = values(status["tss"].findings, "few_genes_with_tss")
    assert (lost["n_found"], lost["n_genes"]) == (0, 200)
    assert status["genome"].code == "input.genome_without_shared_chromosome"


def test_counts_that_cannot_be_used_are_an_error(small_demo):
    swapped = InputSpec(rna=small_demo.spec.atac, atac=small_demo.spec.rna)
    with refused("inputs_swapped"):
        check_input(swapped, Resources(), requirements=STAGES)


def test_findings_are_shown(rna, atac, write):
    atac.X.data[:5] = 3
    report = check_input(write(rna[:100].copy(), atac), Resources(), requirements=STAGES)
    text = " ".join(report.render().split())
    assert "dropped 120 cells only in atac" in text
    assert {"few_cells", "peaks_binarised"} <= set(codes(report.findings))
    assert all(f"{item.level}: {item.title}" in text for item in report.findings)


def test_description_of_columns(rna):
    rna.obs["x"] = range(len(rna))
    assert describe_column(rna.obs["x"]) == "numbers from 0 to 219"
    rna.obs["y"] = ["a"] * 200 + [None] * 20
    assert describe_column(rna.obs["y"]) == "1 value: a, missing for 20 cells"

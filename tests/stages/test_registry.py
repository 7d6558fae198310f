"""Order of the stages, what each reads, and the description of parameters that everything else is made from."""

from __future__ import annotations

import pytest

from mira_nb.errors import ParameterError
from mira_nb.run.listing import parameter_listing
from mira_nb.stages.registry import BUILT_IN, get_stage, stages_until, upstream
from tests.messages import refused


def test_upstream_is_the_closure_of_needs() -> None:
    assert upstream("prepare") == ()
    assert upstream("joint") == ("prepare", "topics_rna", "topics_atac")
    assert upstream("drivers") == ("prepare", "topics_rna", "topics_atac", "motifs", "regulation")


def test_stages_used_count_when_they_are_there() -> None:
    assert "trajectory" not in upstream("drivers", used=["comparisons"])
    assert upstream("drivers", used=["trajectory"]) == (
        "prepare", "topics_rna", "topics_atac", "joint", "motifs", "trajectory", "regulation",
    )  # fmt: skip


def test_until() -> None:
    assert stages_until("joint") == tuple(BUILT_IN)[:6]
    assert stages_until(None)[: len(BUILT_IN)] == tuple(BUILT_IN)
    with refused("stages.until_unknown", ParameterError, name="join"):
        stages_until("join")


@pytest.mark.parametrize("name", BUILT_IN)
def test_one_description_feeds_all(name: str) -> None:
    """Names, defaults and help of the model stand in docstring, template cell, command line and stored rows alike."""
    import mira_nb
    from mira_nb.run.templates import parameters_source

    stage = get_stage(name)
    described = stage.Params.describe()
    rows = {row["name"]: row for row in stage.Params().rows({"n_topics": 7})}
    documented, cell, listed = getattr(mira_nb, name).__doc__, parameters_source(stage), parameter_listing(name)
    assert len(described) >= 1
    assert [item.name for item in described] == list(stage.Params.model_fields) == list(rows)
    for item in described:
        words = item.help.split()[:4]
        assert f"{item.name} : {item.type_text}, default {item.default!r}" in documented
        assert f"\n{item.name} = " in cell
        assert f"{name}.{item.name} = " in listed
        assert all(" ".join(words) in " ".join(text.replace("#", " ").split()) for text in (documented, cell, listed))
        assert rows[item.name]["used"] == (7 if item.name == "n_topics" else rows[item.name]["value"])

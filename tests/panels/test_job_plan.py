"""Progress of a job: one bar over all its stages that only grows, with the time that is left."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_nb.panels import markup
from mira_nb.panels.job import JobController, JobRequest, JobState
from mira_nb.panels.job_plan import FINISH_SECONDS, READ_SECONDS, JobPlan, plan_of
from mira_nb.run.estimate import START_SECONDS
from mira_nb.run.store import RunStore
from tests.panels.test_job import PATIENCE, wait_until

SECONDS = {"prepare": 10.0, "joint": 30.0, "trajectory": 60.0}
WHOLE = READ_SECONDS + 100 + 3 * START_SECONDS + FINISH_SECONDS


def told(fraction: float, remaining: float = -1.0) -> dict[str, Any]:
    return {"fraction": fraction, "message": "x", "remaining": remaining}


def test_the_bar_is_in_proportion_to_the_time_of_the_stages() -> None:
    plan = JobPlan(SECONDS)
    first = plan.position("", None, 0.0)
    assert (first.fraction, first.phase, first.step) == (0.0, "loading", 0)
    assert first.remaining == pytest.approx(WHOLE)
    assert plan.position("prepare", None, 3.0).phase == "loading"
    assert plan.position("prepare", told(0.5), 9.0).phase == "computing"
    assert plan.position("prepare", told(1.0), 14.0).phase == "saving"
    done = READ_SECONDS + 10 + START_SECONDS + 0.7 * START_SECONDS + 15
    half = plan.position("joint", told(0.5, remaining=40.0), done)
    assert half.fraction == pytest.approx(done / WHOLE)
    assert half.remaining == pytest.approx(40 + 0.3 * START_SECONDS + 60 + START_SECONDS + FINISH_SECONDS)
    assert half.step == 2
    plan.position("trajectory", told(1.0), WHOLE - FINISH_SECONDS)
    last = plan.position("", None, WHOLE - FINISH_SECONDS)
    assert last.phase == "saving"
    assert last.fraction == pytest.approx(1 - FINISH_SECONDS / WHOLE)
    assert last.remaining == pytest.approx(FINISH_SECONDS)


def test_a_slow_machine_is_slow_in_what_follows_too() -> None:
    quick, slow = JobPlan(SECONDS), JobPlan(SECONDS)
    for plan, times in ((quick, 1), (slow, 3)):
        plan.position("prepare", None, 3.0 * times)
    expected = READ_SECONDS + 0.7 * START_SECONDS + 0.5
    one, three = (plan.position("prepare", told(0.05), expected * k) for plan, k in ((quick, 1), (slow, 3)))
    assert one.fraction == three.fraction
    assert three.remaining == pytest.approx(3 * one.remaining)


def test_a_stage_is_trusted_the_more_the_farther_it_is() -> None:
    """Its first words, thirty times the expected time, do not make the estimate jump."""
    seen = []
    for fraction in (0.001, 0.05, 0.1, 0.2):
        plan = JobPlan({"joint": 10.0})
        plan.position("joint", None, 3.0)
        seen.append(plan.position("joint", told(fraction, remaining=300.0 * (1 - fraction)), 5.0).remaining)
    assert seen[0] < 25
    assert 130 < seen[1] < 180
    assert seen[2] > 270
    assert seen[3] == pytest.approx(240 + 0.3 * START_SECONDS + FINISH_SECONDS)


def test_waiting_moves_the_bar_ever_slower_within_its_share() -> None:
    plan = JobPlan({"joint": 10.0})
    seen = [plan.position("joint", None, float(second)).fraction for second in range(0, 60, 5)]
    steps = [after - before for before, after in itertools.pairwise(seen)]
    assert seen == sorted(seen)
    assert steps[0] > 10 * steps[5]
    assert seen[-1] <= (READ_SECONDS + 0.7 * START_SECONDS) / plan.total


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "prepare", "topics_rna", "joint", "trajectory"]),
            st.none() | st.floats(0, 1),
            st.floats(0, 100),
        ),
        max_size=20,
    )
)
def test_it_never_goes_back_and_ends_only_when_all_is_done(seen: list[tuple[str, float | None, float]]) -> None:
    plan, clock, found = JobPlan(SECONDS), 0.0, []
    for name, part, seconds in seen:
        clock += seconds
        found.append(plan.position(name, None if part is None else told(part, remaining=1.0), clock))
    fractions = [item.fraction for item in found]
    assert fractions == sorted(fractions)
    assert all(0 <= item.fraction < 1 and item.remaining >= 0 for item in found)


def test_what_is_up_to_date_is_not_part_of_a_job(store: RunStore, jobs: JobController) -> None:
    whole = {"stage": "joint", "upto": True}
    before = list(plan_of(store, whole).seconds)
    assert before[0] == "prepare"
    assert before[-1] == "joint"
    jobs.start(JobRequest(stage="prepare"))
    assert jobs.wait(PATIENCE).status == "done"
    assert list(plan_of(store, whole).seconds) == before[1:]
    assert list(plan_of(store, {"stage": "prepare", "upto": False, "renew": ["joint"]}).seconds) == ["prepare", "joint"]


def test_a_job_of_several_stages_has_one_bar(
    store: RunStore, jobs: JobController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_SECONDS", "0.8")
    jobs.start(JobRequest(stage="topics_rna", upto=True))
    seen: list[JobState] = []

    def ended() -> bool:
        seen.append(jobs.state())
        return not seen[-1].active

    wait_until(ended)
    active = [state for state in seen if state.active]
    overall = [state.overall for state in active]
    assert overall == sorted(overall)
    assert len(set(overall)) > 4
    assert {state.current for state in active} >= {"prepare", "topics_rna"}
    assert {state.phase for state in active} >= {"loading", "computing"}
    assert max(state.step for state in active) == active[-1].steps


def test_the_bar_is_that_of_the_whole_job() -> None:
    state = JobState("running", "1", "joint", upto=True, current="prepare", fraction=0.9, overall=0.25, step=1, steps=4)
    shown = markup.job_line(state, {"prepare": "Data", "joint": "Joint"})
    assert 'value="0.250"' in shown
    assert "stage 1 of 4" in shown
    assert "on the way to Joint" in shown

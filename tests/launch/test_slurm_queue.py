"""Waiting for jobs by SLURM's queue alone."""

from collections.abc import Sequence

import pytest

from imageclf.launch.slurm.queue import State, array_size, ends, parse


def test_a_listing_gives_states_and_exit_codes() -> None:
    listing = "7_0|COMPLETED|0\n7_1|FAILED|512\n7_2|CANCELLED|15\n"
    assert parse(listing) == {
        "7_0": State("COMPLETED", 0),
        "7_1": State("FAILED", 2),
        "7_2": State("CANCELLED", -15),
    }


@pytest.mark.parametrize("name", ["COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "GONE"])
def test_a_job_that_nothing_more_happens_to_has_ended(name: str) -> None:
    assert State(name).has_ended


@pytest.mark.parametrize("name", ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "CONFIGURING", "SUSPENDED"])
def test_a_job_on_its_way_has_not_ended(name: str) -> None:
    assert not State(name).has_ended


def test_jobs_are_given_as_they_end_and_asked_for_no_more() -> None:
    answers = [
        {"7_0": State("RUNNING"), "7_1": State("COMPLETED")},
        None,  # The controller is busy.
        {"7_0": State("PENDING")},  # Requeued.
        {"7_0": State("FAILED", 2)},
    ]
    asked: list[list[str]] = []

    def ask(jobs: Sequence[str]) -> dict[str, State] | None:
        asked.append(list(jobs))
        return answers[len(asked) - 1]

    found = list(ends(["7_0", "7_1"], ask, sleep=lambda seconds: None))
    assert found == [("7_1", State("COMPLETED")), ("7_0", State("FAILED", 2))]
    assert asked == [["7_0", "7_1"], ["7_0"], ["7_0"], ["7_0"]]


def test_questions_become_seldom() -> None:
    pauses: list[float] = []
    list(
        ends(
            ["7"],
            lambda jobs: {"7": State("COMPLETED" if len(pauses) == 30 else "RUNNING")},
            sleep=pauses.append,
        )
    )
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (1.0, 30.0)


@pytest.mark.parametrize(
    ("config", "most"),
    [("MaxArraySize            = 5\nMaxJobCount = 10000\n", 5), ("", 1001), ("MaxArraySize = 0\n", 1)],
)
def test_the_largest_array_is_what_the_cluster_says(config: str, most: int) -> None:
    assert array_size(config) == most

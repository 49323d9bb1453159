def test_a_run_is_reported(o1coder, problems, script, tmp_path):
    run = tmp_path / "run"
    done = o1coder(
        "bench", "--problems", problems, "--policy", f"scripted:{script}", "--agent", "mcts:simulations=8",
        "--tokens", "64,128", "--out", run,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (run / "report.html").read_text()
    assert 'href="trees/toy-double.html"' in page
    assert (run / "trees/toy-double.html").exists()
    assert "[toy/double](trees/toy-double.html)" in (run / "report.md").read_text()
    (run / "report.html").unlink()
    again = o1coder("report", run, "--no-figures")
    assert again.stdout.strip() == str(run / "report.html")
    assert (run / "report.html").read_text() == page
    assert not (run / "figures").exists()


def test_a_folder_without_results(o1coder, tmp_path):
    done = o1coder("report", tmp_path)
    assert done.returncode == 2
    assert "results.jsonl" in done.stderr

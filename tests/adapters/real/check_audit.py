"""falsepass 0.11 over our taskset for verifiers: what is paid too much or too little is known."""

from auditor import audited, failed


def test_falsepass_finds_what_public_tests_cannot_see(tmp_path):
    rows = audited("verifiers", tmp_path / "audit")
    # Training sees public tests alone, and the prompt shows them.
    assert failed(rows) == {"table_of_shown_tests"}

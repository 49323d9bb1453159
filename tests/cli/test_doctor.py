import json


def test_doctor_says_what_the_sandbox_enforces(o1coder):
    done = o1coder("doctor", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["machine"]["cores"] >= 1
    assert set(report["sandbox"]["guarantees"]) >= {"network", "processes", "memory"}
    assert report["sandbox"]["full"] == (
        all(report["sandbox"]["guarantees"].values()) and not report["sandbox"]["missing_layers"]
    )
    assert "gymnasium" not in report["extras"]
    assert report["extras"]["plots"].keys() == {"matplotlib", "pillow"}


def test_doctor_speaks_to_people(o1coder):
    done = o1coder("doctor")
    assert "sandbox:" in done.stdout
    assert "network: " in done.stdout

"""Quality of generated tests: mutants, kill rates, agreement with hidden tests."""

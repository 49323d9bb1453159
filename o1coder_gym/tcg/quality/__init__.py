"""What generated tests are worth: mutants, kill rates, agreement with hidden tests."""

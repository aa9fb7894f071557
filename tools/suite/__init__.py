"""The runs of the tests: stages, outcomes, each supported Python."""

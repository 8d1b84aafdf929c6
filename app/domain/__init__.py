"""The clinical rules: pure functions and frozen values over numpy arrays."""

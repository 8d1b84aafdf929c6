"""Use cases, one module each; no framework."""

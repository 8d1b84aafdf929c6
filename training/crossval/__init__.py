"""Cross-validation of the multi-label networks by patient: every film is tested once, by networks that never saw it."""

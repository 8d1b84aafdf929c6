"""Networks that also predict a region: their data, loss, training, tables and release (papers/4)."""

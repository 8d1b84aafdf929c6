"""The audit of a network before it is released: what it looks at, what it breaks on, and whether that will do."""

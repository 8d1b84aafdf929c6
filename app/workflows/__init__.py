"""Durable work, on DBOS; the only importer of it."""

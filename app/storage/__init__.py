"""What outlives the process: spool, job table, audit; the only importer of SQLAlchemy."""

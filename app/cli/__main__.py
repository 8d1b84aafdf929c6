"""``python -m app.cli`` is ``discern``."""

from app.cli import main

raise SystemExit(main())

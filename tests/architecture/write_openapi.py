"""Write docs/openapi.json anew, to be read before it is committed: ``python -m tests.architecture.write_openapi``."""

import json
from pathlib import Path

from app.main import create_app
from app.settings import Settings

PATH = Path(__file__).parents[2] / "docs" / "openapi.json"

if __name__ == "__main__":
    description = create_app(Settings.model_construct()).openapi()
    PATH.write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

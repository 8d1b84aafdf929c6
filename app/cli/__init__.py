"""The ``discern`` command: one module a verb."""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from app.cli import convert, evaluate, models, pacs, screen, serve
from app.cli.exit_codes import INTERRUPTED, UNUSABLE
from app.domain.errors import ScreeningError
from app.inference.device import DeviceUnavailableError
from app.settings import UnknownSettingError, load_settings


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="discern", description="Chest radiograph screening. Research use only.")
    parser.add_argument("--models-dir", type=Path, help="released models (DISCERN_MODELS_DIR)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where networks run (DISCERN_DEVICE)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in (serve, pacs, screen, convert, models, evaluate):
        verb.add_parser(verbs)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        0; 1 if a film was refused or failed, or a model is not valid; 2 if nothing could be started; 130 if stopped.
    """
    parsed = build_parser().parse_args(arguments)
    try:
        settings = load_settings(models_dir=parsed.models_dir, device=parsed.device)
        code: int = parsed.run(parsed, settings)
    except (UnknownSettingError, DeviceUnavailableError, ScreeningError) as error:
        print(f"discern: {error}", file=sys.stderr)
        return UNUSABLE
    except OSError as error:
        print(f"discern: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print("discern: stopped", file=sys.stderr)
        return INTERRUPTED
    except ValidationError as error:
        for each in error.errors():
            print(f"discern: setting {'.'.join(map(str, each['loc']))}: {each['msg']}", file=sys.stderr)
        return UNUSABLE
    return code

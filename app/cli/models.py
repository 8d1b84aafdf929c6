"""``discern models``: what is released, without starting the service."""

import argparse
import sys
from typing import TYPE_CHECKING

from app.cli.exit_codes import OK, SOME_FAILED, UNUSABLE
from app.domain.errors import ScreeningError
from app.inference.artifact import Artifact, find_artifacts, newest, verify_report
from app.inference.catalogue import load_model
from app.inference.device import choose_device
from app.settings import Settings

if TYPE_CHECKING:
    from app.cli.verbs import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Describe the verb."""
    parser = verbs.add_parser("models", help="list, show or verify the released models")
    parser.add_argument("action", choices=("list", "show", "verify"))
    parser.add_argument("name", nargs="?", help="only this model")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """List every version, show the newest manifest, or check hashes, signature, golden answers, identity and report."""
    artifacts = find_artifacts(settings.models_dir)
    if parsed.name:
        artifacts = [artifact for artifact in artifacts if artifact.manifest.name == parsed.name]
        if not artifacts:
            print(f"discern: there is no model {parsed.name!r} in {settings.models_dir}", file=sys.stderr)
            return UNUSABLE
    if parsed.action == "verify":
        return _verify(artifacts, settings)
    if parsed.action == "show":
        for artifact in newest(artifacts).values():
            print(artifact.manifest.model_dump_json(by_alias=True, indent=2))
        return OK
    for artifact in artifacts:
        manifest = artifact.manifest
        print(f"{manifest.name}\t{manifest.version}\t{manifest.kind}\t{manifest.architecture}\t{manifest.title}")
    return OK


def _verify(artifacts: list[Artifact], settings: Settings) -> int:
    device, failed = choose_device(settings.device), 0
    for artifact in artifacts:
        label = f"{artifact.manifest.name} {artifact.manifest.version}"
        try:
            load_model(artifact, device)
            verdict = verify_report(artifact)
        except ScreeningError as error:
            failed += 1
            print(f"{label}: {error.detail.removeprefix(f'{label}: ')}")
        else:
            said = "passed" if verdict.passed else f"failed in {', '.join(verdict.failed) or 'an unnamed point'}"
            print(f"{label}: valid; its release gate {said}")
    return SOME_FAILED if failed else OK

"""``discern models``: what is released, without starting the service."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.exit_codes import OK, SOME_FAILED, UNUSABLE
from app.domain.errors import ScreeningError
from app.inference.artifact import Artifact, find_artifacts, newest, verify_report
from app.inference.catalogue import load_model, read_catalogue_file
from app.inference.device import Device, choose_device
from app.inference.ensemble_file import ENSEMBLE_FILE, ENSEMBLE_NAME, FittedEnsemble, read_ensemble_file
from app.settings import Settings

if TYPE_CHECKING:
    from app.cli.verbs import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Describe the verb."""
    parser = verbs.add_parser("models", help="list, show or verify the released models and the ensemble")
    parser.add_argument("action", choices=("list", "show", "verify"))
    parser.add_argument("name", nargs="?", help=f"only this model, or {ENSEMBLE_NAME}")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """List every version, show the newest manifest, or check hashes, signature, golden answers, identity and report.

    What was fitted to the ensemble is listed, shown and checked beside the models.
    """
    models_dir = settings.models_dir
    artifacts = find_artifacts(models_dir)
    with_ensemble = parsed.name in {None, ENSEMBLE_NAME} and (models_dir / ENSEMBLE_FILE).exists()
    chosen = [artifact for artifact in artifacts if parsed.name in {None, artifact.manifest.name}]
    if parsed.name and not (chosen or with_ensemble):
        print(f"discern: there is no model {parsed.name!r} in {models_dir}", file=sys.stderr)
        return UNUSABLE
    if parsed.action == "verify":
        failed = _verify(chosen, choose_device(settings.device)) if chosen else 0
        failed += with_ensemble and not _verify_ensemble(newest(artifacts), models_dir)
        return SOME_FAILED if failed else OK
    fitted = read_ensemble_file(models_dir) if with_ensemble else None
    if parsed.action == "show":
        for artifact in newest(chosen).values():
            print(artifact.manifest.model_dump_json(by_alias=True, indent=2))
        if fitted is not None:
            print(fitted.model_dump_json(by_alias=True, indent=2))
        return OK
    for artifact in chosen:
        manifest = artifact.manifest
        print(f"{manifest.name}\t{manifest.version}\t{manifest.kind}\t{manifest.architecture}\t{manifest.title}")
    if fitted is not None:
        print(f"{ENSEMBLE_NAME}\t{fitted.created:%Y-%m-%d}\tensemble\tmean\t{_members(fitted)}")
    return OK


def _verify(artifacts: list[Artifact], device: Device) -> int:
    """Say of each whether it is valid; count those that are not."""
    failed = 0
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
    return failed


def _verify_ensemble(models: dict[str, Artifact], models_dir: Path) -> bool:
    """Say whether the ensemble was fitted to the members that the catalogue names, as they are."""
    try:
        members = read_catalogue_file(models_dir).ensemble.members
        fitted = read_ensemble_file(models_dir)
        if fitted is not None:
            fitted.check_members({name: models[name].manifest for name in members if name in models})
            print(f"{ENSEMBLE_NAME}: valid; fitted to {_members(fitted)}")
    except ScreeningError as error:
        print(f"{ENSEMBLE_NAME}: {error.detail}")
        return False
    return True


def _members(fitted: FittedEnsemble) -> str:
    return ", ".join(f"{member.name} {member.version}" for member in fitted.members)

"""What is measured: every expert, and on request every label of the ensemble that was evaluated."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.label_hierarchy import DISPLAY_NAMES
from app.inference.catalogue import Catalogue
from app.inference.manifest import Manifest, OperatingPointEntry
from app.services.evaluation.answers import ensemble_name


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that gives probabilities of one label.

    Attributes
    ----------
    name, version, model_sha256, title
        Of the weights behind it.
    label
        The label column that it is measured against.
    points
        Its operating points, the default first.
    """

    name: str
    version: str
    model_sha256: str
    title: str
    label: str
    points: tuple[OperatingPointEntry, ...]


def label_of(manifest: Manifest) -> str:
    """Name the label column that an expert is measured against: its positive class."""
    return manifest.labels[1].name


def subject_of(manifest: Manifest) -> Subject:
    """Take an expert from its manifest."""
    label = label_of(manifest)
    points = manifest.operating_points[label]
    return Subject(manifest.name, manifest.version, manifest.model_sha256, manifest.title, label, points)


def ensemble_subjects(catalogue: Catalogue) -> Mapping[str, Subject]:
    """Give the ensemble's evaluated labels, by label; none where the catalogue names no member.

    Their version names the members', their hash is that of the members' hashes, in their order. Where nothing was
    fitted to the members' mean, the first member says which labels were evaluated, and at which points it is decided.
    """
    members = [network.manifest for network in catalogue.members.values()]
    if not members:
        return {}
    version = ", ".join(f"{manifest.name} {manifest.version}" for manifest in members)
    sha256 = hashlib.sha256("".join(manifest.model_sha256 for manifest in members).encode()).hexdigest()
    if catalogue.fitted is not None:
        labels = catalogue.fitted.labels
        points = {name: label.operating_points for name, label in labels.items() if label.evaluated}
    else:
        points = {label.name: members[0].operating_points[label.name] for label in members[0].labels if label.evaluated}
    return {
        label: Subject(ensemble_name(label), version, sha256, f"Ensemble, {_title(label)}", label, each)
        for label, each in points.items()
    }


def _title(label: str) -> str:
    return DISPLAY_NAMES.get(label, label)

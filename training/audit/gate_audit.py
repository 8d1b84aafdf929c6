"""The audit of a released lung network: what its input gate refuses, on any films and any pictures."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from app.inference.artifact import Artifact
from training.audit.full_audit import Circumstances
from training.audit.out_of_distribution import OutOfDistribution, measure_out_of_distribution, open_gate
from training.audit.report import Report
from training.audit.verdict import Criterion, at_least, at_most, verdict_of
from training.released_manifest import code_commit

NON_FILMS_LIMIT: Final = 0.95
TRUE_FILMS_LIMIT: Final = 0.02
_ELSEWHERE: Final = "a lung network answers no label; its own release measures masks and facts"
_OTHERS: Final = (
    *("identity", "discrimination", "shortcuts", "sanity", "faithfulness", "localisation", "robustness"),
    "calibration",
)


def gate_criteria(found: OutOfDistribution) -> Iterator[Criterion]:
    """Ask whether the gate keeps out what is no film, and lets films through."""
    refused = found.non_films.refused.value if found.non_films is not None else None
    yield at_least(
        "non_films_refused",
        "Which share of the pictures that are no frontal chest films is refused?",
        refused,
        NON_FILMS_LIMIT,
        "" if refused is not None else "not measured",
    )
    yield at_most(
        "true_films_refused",
        "Which share of the films is refused?",
        found.true_films["all"].refused.value,
        TRUE_FILMS_LIMIT,
    )


def audit_gate(artifact: Artifact, circumstances: Circumstances, non_films: Path | None) -> Report:
    """Measure the input gate of a released lung network.

    Parameters
    ----------
    artifact
        Of kind ``lungs``.
    circumstances
        The part whose films must pass.
    non_films
        Folder of pictures that must not.

    Returns
    -------
    Report
        With ``out_of_distribution`` alone.
    """
    films = circumstances.films
    found = measure_out_of_distribution(open_gate(artifact), films, non_films)
    return Report(
        model=artifact.manifest.name,
        version=artifact.manifest.version,
        model_sha256=artifact.manifest.model_sha256,
        part=circumstances.part,
        created=datetime.now(UTC).replace(microsecond=0),
        films=len(films),
        refused=sum(found.true_films["all"].reasons.values()),
        verdict=verdict_of(list(gate_criteria(found))),
        identity=None,
        discrimination=None,
        shortcuts=None,
        sanity=None,
        faithfulness=None,
        localisation=None,
        robustness=None,
        calibration=None,
        out_of_distribution=found,
        missing=dict.fromkeys(_OTHERS, _ELSEWHERE),
        files_sha256={},
        manifests_sha256=circumstances.data.sha256,
        code_commit=code_commit(),
    )

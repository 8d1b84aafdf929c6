"""The card of a network of several classes."""

from typing import Any

from app.inference.manifest import Manifest
from training.card_tables import significant, table
from training.multiclass.names import title_of
from training.multiclass.report import ClassesReleaseReport
from training.multiclass.text import evaluation_markdown

_WHAT = """\
A network of classes that exclude each other: {classes}. It divides one film among them (softmax); the shares sum to
one. **They are not to be compared with an expert's probability or a finding's of the ensemble**, whose questions are
others. Films that are none of these classes are given to one of them all the same.

*Intended*: research on what tells these classes apart on frontal chest films. *Not intended*: diagnosis, triage,
treatment, screening of people, ruling a disease out. A chest film cannot replace a laboratory test for COVID-19.
"""
_EVALUATION = """
## Evaluation

On part `{part}`, whose films neither trained nor chose anything. Intervals: 95 %, 1,000 resamplings of patients. The
pooled row is never to be quoted alone.
"""
_BIASES = """\
- **The source is the class.** COVID-19 films come from case collections, normal and pneumonia films mostly from two
  hospitals, one of which has children only. *Source alone* in the table is what that alone tells.
- Whole films are shown to it: borders, marks and the size of the body can decide. Nothing keeps it to the lungs.
- {missing}.
"""


def classes_card(
    manifest: Manifest, report: ClassesReleaseReport, plots: list[str], record: dict[str, Any]
) -> str:  # Any: a JSON object
    """Write ``MODEL_CARD.md``."""
    explanation = manifest.explained()
    maps = (
        "Class activation maps of every class are exact: a map's mean plus the class's bias is its logit."
        if explanation.kind == "cam"
        else f"No class activation map: {explanation.detail}."
    )
    parts = [
        f"# {manifest.title}, {manifest.version}\n",
        "Research use. Not for diagnostic use.\n",
        _WHAT.format(classes=", ".join(map(title_of, report.evaluation.classes))),
        maps,
        _EVALUATION.format(part=report.held_out),
        evaluation_markdown(report.evaluation),
        *(f"![{name}]({name})\n" for name in plots),
        "## Verdict\n",
        table(
            ("criterion", "measured", "limit", "kept", ""),
            [
                (each.name, significant(each.measured), f"{each.sense} {each.limit:g}", each.passed, each.remark)
                for each in report.verdict.criteria
            ],
        ),
        _accepted(report),
        "## Training\n",
        _training(manifest, record),
        "## Known limits\n",
        _BIASES.format(missing=report.missing[0].upper() + report.missing[1:]),
    ]
    return "\n".join(part for part in parts if part)


def _accepted(report: ClassesReleaseReport) -> str:
    if report.verdict.passed:
        return "All criteria are kept.\n"
    kept = " It was released all the same." if report.verdict.accepted else ""
    return f"**Not kept: {', '.join(report.verdict.failed)}.**{kept}\n"


def _training(manifest: Manifest, record: dict[str, Any]) -> str:  # Any: a JSON object
    recipe = manifest.training["recipe"]
    films = table(
        ("part", "films", "patients", *map(title_of, record["classes"])),
        [
            (part, counts["films"], counts["patients"], *(counts[name] for name in record["classes"]))
            for part, counts in record["films"].items()
        ],
    )
    stages = table(
        ("stage", "trains", "parameters", "learning rate", "epochs", "best epoch", "macro F1 on validation"),
        [
            (
                each["name"], setting["trains"], f"{each['trained_parameters']:,}", setting["learning_rate"],
                each["epochs"], each["best_epoch"], significant(each["best_validation"]),
            )
            for each, setting in zip(record["stages"], recipe["stages"], strict=True)
        ],
    )  # fmt: skip
    return (
        f"`{recipe['architecture']}`, {recipe['size_px']} px, from {recipe['initial_weights']}; kept: stage"
        f" {manifest.training['stage']}, epoch {manifest.training['epoch']}. Class weights"
        f" {'on' if recipe['class_weights'] else 'off'}; weights stored in {manifest.precision.storage}."
        f"\n\n{films}\n{stages}"
    )

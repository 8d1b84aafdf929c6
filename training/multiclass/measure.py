"""The evaluation of a run, without releasing it: tables, plots and numbers in a folder."""

from pathlib import Path

from training.multiclass.evaluation import ClassesReport, evaluated
from training.multiclass.finished import FinishedRun
from training.multiclass.names import positive_of, title_of
from training.multiclass.plots import draw_class_plots
from training.multiclass.release import calibrated, check_same_data
from training.multiclass.run import RunData, prepared
from training.multiclass.task import logits_of
from training.multiclass.text import evaluation_markdown
from training.release import ReleaseError

EVALUATION_FILE = "evaluation.json"
TEXT_FILE = "evaluation.md"


def measure_run(run: FinishedRun, data: RunData, out: Path, positive: str | None = None) -> ClassesReport:
    """Measure a run's network on its held-out films; write JSON, Markdown and plots.

    Parameters
    ----------
    run
        A finished run.
    data
        Its films.
    out
        Folder to write.
    positive
        The class that is binarised; None takes COVID-19, or the first.

    Raises
    ------
    ReleaseError
        If the films are not the run's, or none is held out.
    """
    check_same_data(run, data)
    if not data.parts.held_out:
        raise ReleaseError("no film is held out: there is nothing to measure on")
    name = positive_of(run.classes, positive)
    logits = [
        logits_of(run.network, prepared(part, run.recipe).inputs, mixed_precision=False)
        for part in (data.parts.validation, data.parts.held_out)
    ]
    slope, thresholds = calibrated(logits[0], data.parts.validation, run.classes.index(name))
    held_out = data.parts.held_out
    report = evaluated(
        logits[1], held_out, run.classes, name, slope=slope, thresholds=thresholds, train=data.parts.train
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / EVALUATION_FILE).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    title = f"# {run.recipe.architecture}, {run.stage}: {', '.join(map(title_of, run.classes))}\n\n"
    (out / TEXT_FILE).write_text(title + evaluation_markdown(report), encoding="utf-8")
    for file, content in draw_class_plots(report).items():
        (out / file).write_bytes(content)
    return report

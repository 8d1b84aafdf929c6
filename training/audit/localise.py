"""``python -m training localise``: the localisation tables, and on request the pictures, of two released experts."""

from collections.abc import Sequence
from pathlib import Path

from training.audit.expert_pair import FindsLungs, released_expert
from training.audit.localisation import LocalisationReport, measure_localisation
from training.audit.localisation_text import localisation_markdown
from training.audit.marked_films import MarkedFilm, read_marked_films
from training.audit.pictures import outside_repository, write_sheets
from training.datasets import read_manifest
from training.splits import check_groups


def marked_films_of(data: Path, parts: Sequence[str]) -> list[MarkedFilm]:
    """Read the marked films of some parts of a data folder (``manifest.csv``, ``masks.csv``, ``boxes.csv``).

    Raises
    ------
    ValueError
        If there is none.
    """
    films = read_manifest(data / "manifest.csv")
    check_groups(films)
    marked = read_marked_films(data, [film for film in films if film.part in parts])
    if not marked:
        raise ValueError(f"nothing is drawn on any film of part {', '.join(parts)}")
    return marked


def localise(
    interest: Path,
    overlap: Path,
    films: Sequence[MarkedFilm],
    lungs: FindsLungs | None,
    out: Path,
    pictured: int = 0,
) -> LocalisationReport:
    """Measure two artefacts and write ``localisation.json`` and ``localisation.md`` into a folder.

    Parameters
    ----------
    interest, overlap
        Artefacts of the experts.
    films
        With what was drawn on them.
    lungs
        Finds the lungs; None where there is no lungs model.
    out
        The folder; outside the repository where films are pictured.
    pictured
        So many films are drawn on sheets, too.

    Raises
    ------
    ValueError
        If films are to be pictured inside the repository.
    """
    if pictured:
        outside_repository(out)
    first, second = released_expert(interest), released_expert(overlap)
    report = measure_localisation(first, second, films, lungs)
    out.mkdir(parents=True, exist_ok=True)
    if pictured:
        write_sheets(first, second, films[:pictured], lungs, out)
    (out / "localisation.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out / "localisation.md").write_text(localisation_markdown(report), encoding="utf-8")
    return report

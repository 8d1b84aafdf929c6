"""Verbs of ``python -m training`` about films: ``check`` a manifest, make a ``manifest`` of a folder."""

import argparse
from pathlib import Path


def add_film_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs to the command line."""
    check = verbs.add_parser("check", help="read manifests as a run would, and count what is in them")
    check.add_argument("manifests", type=Path, nargs="+", help="CSVs of films")
    check.set_defaults(run=_check)
    made = verbs.add_parser("manifest", help="make a manifest of a folder that holds one folder of films a label")
    made.add_argument("folder", type=Path, help="e.g. films/, holding covid19/, pneumonia/, no_finding/")
    made.add_argument("--source", required=True, help="name of the data set: what is compared within, and apart")
    made.add_argument(
        "--patient",
        default="",
        metavar="REGEX",
        help="the first group found in a file's name is its patient, e.g. '^(P[0-9]+)'; without it each film is one",
    )
    made.add_argument(
        "--age-group", choices=("adult", "paediatric", ""), default="", help="of all films; unknown if not given"
    )
    made.add_argument("--val", type=float, default=0.2, help="share of the patients that validate")
    made.add_argument("--test", type=float, default=0.2, help="share of the patients that test")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--out", type=Path, help="the CSV; default FOLDER/manifest.csv")
    made.set_defaults(run=_manifest)


def _check(arguments: argparse.Namespace) -> int:
    """Count films by part, source and label."""
    from app.domain.label_hierarchy import ENSEMBLE_LABELS
    from training.plan import counts_by_source
    from training.released_manifest import read_data
    from training.splits import PARTS

    data = read_data(arguments.manifests)
    for part in PARTS:
        films = data.part(part)
        print(f"{part}: {len(films)} films of {len({film.group for film in films})} patients")
        for row in counts_by_source(films, ENSEMBLE_LABELS):
            print(f"  {row}")
    return 0


def _manifest(arguments: argparse.Namespace) -> int:
    """Write a manifest of a folder of folders."""
    from training.folder_manifest import write_folder_manifest

    out = arguments.out or arguments.folder / "manifest.csv"
    written = write_folder_manifest(
        arguments.folder,
        out,
        source=arguments.source,
        patient=arguments.patient,
        age_group=arguments.age_group,
        shares=(arguments.val, arguments.test),
        seed=arguments.seed,
    )
    print(f"{out}: {written} films; look at it with: python -m training check {out}")
    return 0

"""Verbs of ``python -m training`` that audit maps: ``localise`` and ``phantoms``."""

import argparse
from pathlib import Path
from typing import Final

from training.splits import PARTS

DEFAULT_PARTS: Final = "train,val"


def add_verbs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verbs to the command line."""
    localise = verbs.add_parser("localise", help="measure where the maps of two released experts point")
    localise.add_argument("interest", type=Path, help="artefact of the class of interest, e.g. models/covid19/1.0.0")
    localise.add_argument("overlap", type=Path, help="artefact of the overlapping class")
    localise.add_argument("--lungs", type=Path, help="artefact of the lungs model; without it no lung mask is compared")
    localise.add_argument("--data", type=Path, required=True, help="folder of manifest.csv, masks.csv and boxes.csv")
    localise.add_argument("--parts", default=DEFAULT_PARTS, help=f"which parts to read; default {DEFAULT_PARTS}")
    localise.add_argument("--release", action="store_true", help="this is a release: part test may be read")
    localise.add_argument("--pictures", type=int, default=0, metavar="N", help="sheets of the first N films as well")
    localise.add_argument("--out", type=Path, required=True, help="folder to write; with pictures not in a repository")
    localise.set_defaults(run=_localise)
    phantoms = verbs.add_parser("phantoms", help="measure maps on drawn films of overlapping classes, truth known")
    phantoms.add_argument(
        "--seeds", type=int, default=3, help="pairs of experts to train for each condition; default 3"
    )
    phantoms.add_argument("--out", type=Path, required=True, help="folder for the tables and the pictures")
    phantoms.set_defaults(run=_phantoms)


def _localise(arguments: argparse.Namespace) -> int:
    """Measure two released experts on the marked films of a data folder."""
    from training.audit.localisation import TOGETHER
    from training.audit.localisation_text import localisation_markdown
    from training.audit.localise import localise, marked_films_of
    from training.lung_finder import LungFinder
    from training.release import require_release

    parts = tuple(arguments.parts.split(","))
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"--parts {arguments.parts}; some of {','.join(PARTS)} expected")
        if part == "test":
            require_release("test", arguments.release)
    lungs = LungFinder(arguments.lungs) if arguments.lungs is not None else None
    films = marked_films_of(arguments.data, parts)
    report = localise(arguments.interest, arguments.overlap, films, lungs, arguments.out, arguments.pictures)
    shown = [
        table for table in report.tables if table.part == TOGETHER and table.subset in {"all films", "both positive"}
    ]
    print(localisation_markdown(report.model_copy(update={"tables": tuple(shown)})))
    print(f"everything: {arguments.out / 'localisation.md'}")
    return 0


def _phantoms(arguments: argparse.Namespace) -> int:
    """Train small experts on drawn films and measure their maps."""
    from training.overlap_benchmark import run_benchmark
    from training.overlap_report import benchmark_markdown, write_benchmark

    benchmark = run_benchmark(range(arguments.seeds))
    write_benchmark(benchmark, arguments.out)
    print(benchmark_markdown(benchmark))
    print(f"written to {arguments.out} after {benchmark.seconds:.0f} s")
    return 0

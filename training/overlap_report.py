"""What the benchmark of drawn films found, as tables, and pictures of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from training.audit.expert_pair import film_maps
from training.audit.localisation_text import table_lines
from training.audit.map_methods import cam_name, divergence_name
from training.audit.pictures import BLUE, GREEN, RED, PicturedFilm, write_sheet
from training.overlap_benchmark import REST, SHARED, Benchmark, BenchmarkCondition, specific, train
from training.overlap_experts import STEPS, held_out_films
from training.overlap_phantoms import SCENES, Scene

PICTURED_ALPHA: Final = 5.0
"""The paper's amplification for pictures of two things that both lie in plain view."""
_PICTURED_FILMS: Final = 3


def benchmark_markdown(benchmark: Benchmark) -> str:
    """Write every condition as Markdown: one short table of what matters, then everything."""
    lines = ["# Maps on drawn films of overlapping classes", ""]
    lines.append(
        f"{len(benchmark.seeds)} seeds, {benchmark.training_steps} training steps an expert,"
        f" {benchmark.test_films_per_seed} films of both classes a seed,"
        f" {benchmark.processor_seconds:.0f} s of one core."
    )
    lines += ["", *summary_lines(benchmark)]
    for condition in benchmark.conditions:
        lines += ["", f"## {condition.scene}; negatives show {condition.rest}", ""]
        for seed, (first, second) in zip(benchmark.seeds, condition.accuracies, strict=True):
            lines.append(f"- seed {seed}: {condition.first} right in {first:.3f}, {condition.second} in {second:.3f}")
        for table in condition.tables:
            if table.part == "all parts" and table.subset == "all films":
                lines += ["", *table_lines(table, level=3)]
    return "\n".join(lines) + "\n"


def summary_lines(benchmark: Benchmark) -> Iterator[str]:
    """Hit and energy on the part that is specific to a class, its own map against every contrast, seed by seed."""
    yield "| Scene | Negatives show | To find | Map | Hit | Energy inside | Hit, seed by seed |"
    yield "|---|---|---|---|---|---|---|"
    for condition in benchmark.conditions:
        for own, other, kind in targets(condition):
            table = condition.table(kind)
            for method in (*methods_of(own, other), *(row.method for row in table.rows if row.direction is None)):
                row = table.row(method)
                seeds = [condition.table(kind, f"seed {seed}").row(method).hit.value for seed in benchmark.seeds]
                by_seed = " ".join("-" if value is None else f"{value:.2f}" for value in seeds)
                yield (
                    f"| {condition.scene} | {condition.rest} | {kind} | {method}"
                    f" | {row.hit} | {row.energy} | {by_seed} |"
                )


def targets(condition: BenchmarkCondition) -> Iterator[tuple[str, str, str]]:
    """Give each direction with what it should find: own class, other class, kind of part.

    Where the second class is a part of the first nothing is specific to it; what both share is what it has.
    """
    kinds = {table.kind for table in condition.tables}
    yield condition.first, condition.second, specific(condition.first)
    second = specific(condition.second) if specific(condition.second) in kinds else SHARED
    yield condition.second, condition.first, second


def methods_of(own: str, other: str) -> tuple[str, ...]:
    """Names of the maps that speak for a class."""
    contrasts = tuple(divergence_name(own, other, alpha) for alpha in (5.0, 15.0, 50.0))
    return (cam_name(own), *contrasts, f"normalised difference {own} - {other}", f"raw difference {own} - {other}")


def write_benchmark(benchmark: Benchmark, out: Path) -> None:
    """Write ``benchmark.json``, ``benchmark.md`` and a picture of each scene and choice of negatives into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmark.json").write_text(benchmark.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out / "benchmark.md").write_text(benchmark_markdown(benchmark), encoding="utf-8")
    for scene in SCENES:
        for rest in REST:
            name = f"localisation-{scene.name}-{'unaware' if rest == 'neither class' else 'apart'}.png"
            write_picture(scene, rest, out / name.replace(" ", "-"))


def write_picture(scene: Scene, rest: str, file: Path, seed: int = 0, steps: int = STEPS) -> None:
    """Train one pair and write a sheet of films that show both classes.

    Red outlines what is specific to the first class, green what is specific to the second, blue what both share.
    """
    mixtures = REST[rest]
    first = train(scene, scene.first, mixtures[0], seed, steps, _PICTURED_FILMS)
    second = train(scene, scene.second, mixtures[1], seed, steps, _PICTURED_FILMS)
    rows = [
        PicturedFilm(
            film.grey,
            film_maps(first.expert, second.expert, film.grey, None),
            ((film.first_only, RED), (film.second_only, GREEN), (film.shared, BLUE)),
        )
        for film in held_out_films(scene, "both", _PICTURED_FILMS, seed)
    ]
    write_sheet(rows, scene.first, scene.second, file, PICTURED_ALPHA)

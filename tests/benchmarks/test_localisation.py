"""Where maps point on drawn films of overlapping classes, where the truth is known to the pixel."""

from pathlib import Path

import pytest

from tests.benchmarks.report import FOLDER, publish
from training.overlap_benchmark import run_benchmark
from training.overlap_report import benchmark_markdown, methods_of, summary_lines, targets

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]  # 24 small networks are trained, on one core


def test_maps_on_drawn_films_of_overlapping_classes() -> None:
    benchmark = run_benchmark()

    publish(
        "localisation",
        {
            "seeds": list(benchmark.seeds),
            "films_of_both_classes": benchmark.test_films_per_seed * len(benchmark.seeds),
            "training_steps": benchmark.training_steps,
            "seconds": benchmark.seconds,
            "processor_seconds": benchmark.processor_seconds,
            "accuracies": {f"{c.scene}; negatives show {c.rest}": c.accuracies for c in benchmark.conditions},
        },
    )
    (FOLDER / "localisation.md").write_text(benchmark_markdown(benchmark), encoding="utf-8")
    print("\n".join(summary_lines(benchmark)))
    for condition in benchmark.conditions:
        for own, other, kind in targets(condition):
            rows = {row.method for row in condition.table(kind).rows}
            assert {*methods_of(own, other), "centre prior", "random map"} <= rows
    assert Path(FOLDER / "localisation.json").is_file()

"""Several networks in one table."""

import json
from pathlib import Path

import pytest

from app.inference.artifact import Artifact
from training.__main__ import main
from training.audit.comparison import Comparison, Conditions, compare, comparison_markdown
from training.released_manifest import read_data


@pytest.fixture(scope="module")
def compared(
    trained: Path, released: Artifact, phantom_manifest: Path, toy_lungs: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Comparison]:
    """Compare a run with its own release."""
    out = tmp_path_factory.mktemp("compared") / "table"
    conditions = Conditions(read_data([phantom_manifest]), "val", toy_lungs, {"covid19": released.directory})
    return out, compare([trained, released.directory], conditions, out)


def test_a_run_and_its_release_have_the_same_row(compared: tuple[Path, Comparison]) -> None:
    run, artifact = compared[1].rows

    assert run.name != artifact.name
    assert run.auroc == artifact.auroc
    assert run.shortcuts == artifact.shortcuts


def test_the_table_has_a_row_a_network_and_one_for_the_baseline(compared: tuple[Path, Comparison]) -> None:
    out, comparison = compared

    text = out.with_suffix(".md").read_text()
    assert text == comparison_markdown(comparison)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert lines[-1].startswith("| *trivial cues")
    widths = {line.count("|") for line in lines}
    assert len(widths) == 1
    for column in ("pooled", "without kids", "source alpha", "adults", "only lungs, source beta", "CAM outside"):
        assert column in lines[0]


def test_seeds_of_one_recipe_are_averaged(compared: tuple[Path, Comparison]) -> None:
    first = compared[1].rows[0]
    pooled = first.auroc["pooled"]
    assert pooled.value is not None
    other = first.auroc | {"pooled": pooled.model_copy(update={"value": pooled.value - 0.1})}
    second = first.model_copy(update={"name": "seed2", "model_sha256": "1" * 64, "auroc": other})
    stranger = second.model_copy(update={"name": "stranger", "model_sha256": "2" * 64, "recipe_sha256": "3" * 64})

    text = comparison_markdown(compared[1].model_copy(update={"rows": (first, second, stranger)}))

    (line,) = [line for line in text.splitlines() if line.startswith("| *mean of 2 seeds")]
    assert "stranger" not in line
    assert f"{pooled.value - 0.05:.3f} ({pooled.value - 0.1:.3f}-{pooled.value:.3f})" in line


def test_what_was_compared_is_not_measured_again(
    compared: tuple[Path, Comparison],
    released: Artifact,
    phantom_manifest: Path,
    toy_lungs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, comparison = compared

    def fails(*_: object) -> None:
        raise AssertionError("scanned again")

    monkeypatch.setattr("training.audit.comparison.scan", fails)
    again = ["compare", str(released.directory), "--manifest", str(phantom_manifest), "--lungs", str(toy_lungs)]
    code = main([*again, "--partner", f"covid19={released.directory}", "--out", str(out)])

    written = Comparison.model_validate_json(out.with_suffix(".json").read_bytes())
    assert code == 0
    assert written.rows == (comparison.rows[1],)
    assert written.rows[0].name == "covid19 1.0.0"
    with pytest.raises(AssertionError, match="scanned again"):
        main([*again, "--out", str(out)])


def test_a_comparison_names_no_film(compared: tuple[Path, Comparison], phantom_manifest: Path) -> None:
    text = json.dumps(compared[1].model_dump(mode="json"))

    assert ".png" not in text
    assert str(phantom_manifest.parent) not in text

"""Films with one class each: the project's manifest, COVIDx lists, folders per class; and how they are divided."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.unit.training.phantom_data import Row, rows, write_data
from training.datasets import ManifestError
from training.multiclass.covidx import from_covidx
from training.multiclass.films import CLASSES, FilmSet, LabelledFilm, from_manifest, joined
from training.multiclass.folders import from_folders
from training.multiclass.parts import SHARES, divided, stratified
from training.multiclass.weights import class_weights
from training.splits import SplitError

GOLDEN = Path(__file__).parents[2] / "golden"


def _draw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    return path


def _film(group: str, label: int, part: str = "") -> LabelledFilm:
    return LabelledFilm(Path(f"{group}.png"), part, group, "drawn", label)


def _set(films: list[LabelledFilm]) -> FilmSet:
    return FilmSet(CLASSES, tuple(films), 0, {})


# --- manifests ---


def test_a_manifest_gives_the_three_classes_and_leaves_out_what_is_none_or_unknown(tmp_path: Path) -> None:
    made = [
        Row("train", "alpha", "a", covid19=1, pneumonia=1),
        Row("train", "alpha", "b", covid19=1, pneumonia=0),
        Row("train", "alpha", "c", covid19=0, pneumonia=1),
        Row("train", "alpha", "d", covid19=0, pneumonia=0),
        Row("train", "alpha", "e", covid19=-1, pneumonia=1),
        Row("train", "alpha", "f", covid19=0, pneumonia=-1),
        Row("train", "alpha", "g", covid19=-1, pneumonia=0),
    ]

    found = from_manifest(write_data(tmp_path, made))

    assert [CLASSES[film.label] for film in found.films] == ["covid19", "covid19", "pneumonia", "normal"]
    assert [film.group for film in found.films] == ["a", "b", "c", "d"]
    assert found.left_out == 3
    assert found.counts() == {"covid19": 2, "normal": 1, "pneumonia": 1}


def test_a_film_with_neither_pneumonia_nor_a_clear_finding_has_no_class(tmp_path: Path) -> None:
    manifest = write_data(tmp_path, [Row("train", "a", "a", 0, 0), Row("train", "a", "b", 1, 1)])
    text = manifest.read_text().splitlines()
    column = text[0].split(",").index("no_finding")
    cells = text[1].split(",")
    cells[column] = "0"
    manifest.write_text("\n".join([text[0], ",".join(cells), text[2]]) + "\n")

    assert [film.group for film in from_manifest(manifest).films] == ["b"]


def test_a_manifest_without_any_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="none of 1 films is covid19, normal, pneumonia"):
        from_manifest(write_data(tmp_path, [Row("train", "alpha", "a", covid19=-1, pneumonia=1)]))


# --- COVIDx ---


def test_both_forms_of_a_covidx_list_are_read(tmp_path: Path) -> None:
    for name in ("one.png", "COVID-19 (7).png", "two words.jpg", "z.png"):
        _draw(tmp_path / "images" / "train" / name)
    labels = tmp_path / "train_COVIDx4.txt"
    labels.write_text(
        "p1 one.png COVID-19\n\np2 COVID-19 (7).png COVID-19 cohen\n"
        "p2 two words.jpg pneumonia cohen\np2 z.png normal rsna\n"
    )

    found = from_covidx(labels, tmp_path / "images")

    assert [(CLASSES[f.label], f.group, f.source, f.part) for f in found.films] == [
        ("covid19", "covidx:p1", "", "train"),
        ("covid19", "cohen:p2", "cohen", "train"),
        ("pneumonia", "cohen:p2", "cohen", "train"),
        ("normal", "rsna:p2", "rsna", "train"),
    ]
    assert [f.path.name for f in found.films] == ["one.png", "COVID-19 (7).png", "two words.jpg", "z.png"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("p1 one.png", "2 words; patient_id filename class"),
        ("p1 one.png tuberculosis cohen", "no class of covid-19"),
        ("p1 one.png positive cohen", "a list of two classes"),
        ("p1 absent.png normal", "absent.png is not in"),
    ],
)
def test_a_wrong_line_of_a_covidx_list_is_named(tmp_path: Path, line: str, words: str) -> None:
    _draw(tmp_path / "one.png")
    labels = tmp_path / "test_COVIDx.txt"
    labels.write_text(f"p0 one.png normal\n{line}\n")

    with pytest.raises(ManifestError, match=f"test_COVIDx.txt, line 2: .*{words}"):
        from_covidx(labels)


def test_an_empty_covidx_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n")

    with pytest.raises(ManifestError, match="lists no film"):
        from_covidx(tmp_path / "train.txt")


# --- folders ---


def test_folders_give_their_names_as_classes(tmp_path: Path) -> None:
    for name in ("mel/a.png", "mel/b.JPG", "bkl/c.jpeg", "bkl/notes.txt"):
        _draw(tmp_path / "skin" / name) if not name.endswith("txt") else (tmp_path / "skin" / name).write_text("")
    (tmp_path / "meta.csv").write_text("lesion_id,image_id,dx\nL1,a,mel\nL1,b,mel\nL2,c,bkl\n")

    alone, grouped = from_folders(tmp_path / "skin"), from_folders(tmp_path / "skin", tmp_path / "meta.csv")

    assert alone.classes == ("bkl", "mel")
    assert [film.label for film in alone.films] == [0, 1, 1]
    assert [film.group for film in alone.films] == ["bkl/c.jpeg", "mel/a.png", "mel/b.JPG"]
    assert [film.group for film in grouped.films] == ["L2", "L1", "L1"]


def test_folders_below_parts_keep_the_parts(tmp_path: Path) -> None:
    for part in ("train", "validation", "test"):
        for name in ("covid-19", "normal"):
            _draw(tmp_path / "set" / part / name / f"{part}-{name}.png")

    found = from_folders(tmp_path / "set")

    assert Counter(film.part for film in found.films) == {"train": 2, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["a/x.png"], "holds 1 classes"),
        (["train/a/x.png", "train/b/x.png", "other/x.png"], "parts and other"),
        (["train/a/x.png", "train/b/x.png", "test/a/x.png"], "test has no folder b"),
        (["a/x.png", "b/x.txt"], "b holds no PNG"),
    ],
)
def test_folders_that_are_no_data_set_are_refused(tmp_path: Path, files: list[str], words: str) -> None:
    for file in files:
        path = tmp_path / "set" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    with pytest.raises(ManifestError, match=words):
        from_folders(tmp_path / "set")
    with pytest.raises(ManifestError, match="there is no folder"):
        from_folders(tmp_path / "absent")


def test_metadata_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    _draw(tmp_path / "set" / "a" / "x.png")
    _draw(tmp_path / "set" / "b" / "y.png")
    (tmp_path / "less.csv").write_text("image_id,lesion_id\nx,1\n")
    (tmp_path / "odd.csv").write_text("image_id,dx\nx,1\n")

    with pytest.raises(ManifestError, match=r"say nothing of b/y\.png"):
        from_folders(tmp_path / "set", tmp_path / "less.csv")
    with pytest.raises(ManifestError, match="no column group or patient_id or lesion_id"):
        from_folders(tmp_path / "set", tmp_path / "odd.csv")


def test_lists_of_other_classes_or_with_a_film_twice_are_not_joined() -> None:
    one = _set([_film("a", 0)])

    assert joined([one, _set([_film("b", 1)])]).counts() == {"covid19": 1, "normal": 1, "pneumonia": 0}
    with pytest.raises(ManifestError, match="other classes"):
        joined([one, FilmSet(("x", "y"), (), 0, {})])
    with pytest.raises(ManifestError, match=r"1 files stand in two lists: a\.png"):
        joined([one, one])
    with pytest.raises(ManifestError, match="no list"):
        joined([])


# --- parts ---


@given(
    sizes=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), min_size=1, max_size=60),
    shares=st.sampled_from([*SHARES.values(), (0.8, 0.2, 0.0)]),
    seed=st.integers(0, 5),
)
def test_a_split_parts_no_patient_loses_no_film_and_keeps_every_class_share(
    sizes: list[tuple[int, int]], shares: tuple[float, float, float], seed: int
) -> None:
    films = [_film(f"p{k}", label) for k, (count, label) in enumerate(sizes) for _ in range(count)]

    parts = stratified(films, shares, seed)

    assert sorted(film.group for part in parts for film in part) == sorted(film.group for film in films)
    where = [{film.group for film in part} for part in parts]
    assert not (where[0] & where[1])
    assert not (where[0] & where[2])
    assert not (where[1] & where[2])
    largest = max(count for count, _ in sizes)
    for label in range(3):
        total = sum(film.label == label for film in films)
        for part, share in zip(parts, shares, strict=True):
            assert abs(sum(film.label == label for film in part) - share * total) <= largest + 1
    assert parts == stratified(films, shares, seed)


def test_a_split_follows_its_seed() -> None:
    films = [_film(f"p{k}", k % 3) for k in range(60)]

    assert stratified(films, SHARES["text"], 0) != stratified(films, SHARES["text"], 1)
    with pytest.raises(ValueError, match="sum to 1"):
        stratified(films, (0.5, 0.1, 0.1), 0)


def test_a_patient_of_two_classes_stays_together() -> None:
    films = [_film("both", 0), _film("both", 2), *(_film(f"p{k}", k % 3) for k in range(30))]

    parts = stratified(films, SHARES["text"], 3)

    assert sorted(sum(film.group == "both" for film in part) for part in parts) == [0, 0, 2]


def test_lists_with_parts_hold_out_the_named_one_and_leave_test_alone() -> None:
    films = [_film(f"{part}{k}", k % 3, part) for part in ("train", "val", "test") for k in range(30)]

    by_val, by_test = (divided(_set(films), part, SHARES["text"], 0) for part in ("val", "test"))

    assert {film.part for film in by_val.held_out} == {"val"}
    assert {film.part for film in (*by_val.train, *by_val.validation)} == {"train"}
    assert len(by_val.validation) == pytest.approx(30 * 0.15 / 0.85, abs=2)
    assert {film.part for film in by_test.held_out} == {"test"}
    assert ({f.part for f in by_test.train}, {f.part for f in by_test.validation}) == ({"train"}, {"val"})


def test_lists_that_cannot_be_divided_are_refused() -> None:
    whole = [_film(f"p{k}", k % 3, "train") for k in range(30)]

    with pytest.raises(SplitError, match="no film in part 'val'"):
        divided(_set(whole), "val", SHARES["text"], 0)
    with pytest.raises(SplitError, match="in more than one part: p0"):
        divided(_set([*whole, _film("p0", 0, "val")]), "val", SHARES["text"], 0)
    with pytest.raises(SplitError, match="1 films are in no part"):
        divided(_set([*whole, _film("x", 0)]), "val", SHARES["text"], 0)
    with pytest.raises(SplitError, match="training part has no film of pneumonia"):
        divided(_set([film for film in whole if film.label < 2]), "split", SHARES["text"], 0)


def test_a_covidx_test_list_is_held_out_and_its_train_list_is_split(tmp_path: Path) -> None:
    for part in ("train", "test"):
        lines = []
        for k in range(24):
            _draw(tmp_path / part / f"{part}{k}.png")
            lines.append(f"{part}-{k} {part}{k}.png {('COVID-19', 'normal', 'pneumonia')[k % 3]}\n")
        (tmp_path / f"{part}_COVIDx.txt").write_text("".join(lines))
    films = joined([from_covidx(tmp_path / f"{part}_COVIDx.txt") for part in ("train", "test")])

    parts = divided(films, "test", SHARES["text"], 0)

    assert len(parts.held_out) == 24
    assert len(parts.train) + len(parts.validation) == 24
    assert parts.validation


def test_the_phantoms_have_all_three_classes(tmp_path: Path) -> None:
    assert min(from_manifest(write_data(tmp_path, rows("train", 12))).counts().values()) > 0


# --- class weights ---


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=8))
def test_class_weights_keep_the_number_of_films_and_make_classes_count_alike(counts: list[int]) -> None:
    weights = class_weights(counts)

    products = [count * weight for count, weight in zip(counts, weights, strict=True)]
    assert sum(products) == pytest.approx(sum(counts))
    assert products == pytest.approx([sum(counts) / len(counts)] * len(counts))


def test_class_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat([0, 1, 2], [31, 7, 112])

    wanted = compute_class_weight("balanced", classes=np.arange(3), y=labels)

    np.testing.assert_allclose(class_weights([31, 7, 112]), wanted)


def test_a_class_without_films_has_no_weight() -> None:
    with pytest.raises(ValueError, match="class 1 has no film"):
        class_weights([3, 0, 2])


def test_class_weights_are_those_of_the_golden_case() -> None:
    golden = json.loads((GOLDEN / "addk.json").read_text(encoding="utf-8"))["extras"]["class_weights_ruggeri_eq1"]

    found = class_weights(list(golden["counts"].values()))

    assert found == pytest.approx(tuple(golden["w"].values()))

"""Manifests as hospitals write them, and what is said of those that cannot be used."""

import math
from pathlib import Path

import pytest

from app.domain.errors import InvalidRequestError
from app.services.evaluation.cases import Case, is_paediatric, read_cases

LABELS = ("covid19", "pneumonia")


def read(folder: Path, content: bytes, part: str = "all", limit: int | None = None) -> list[Case]:
    """Read a manifest whose films a.png to j.png exist."""
    for name in "abcdefghij":
        (folder / f"{name}.png").touch()
    path = folder / "manifest.csv"
    path.write_bytes(content)
    return read_cases(path, LABELS, part, limit)


def test_every_column_is_read(tmp_path: Path) -> None:
    head = "path,covid19,pneumonia,dataset,group,patient_id,age_group,age,view,sex,split,finding"
    row = "a.png,1,-1,ward 3,g7,p1,paediatric (1-5 years),4,AP Supine,F,val,COVID-19"

    cases = read(tmp_path, f"{head}\n{row}\n".encode())

    assert cases == [Case(tmp_path / "a.png", "ward 3", "g7", True, "AP SUPINE", "F", cases[0].labels)]
    assert cases[0].labels[0] == 1.0
    assert math.isnan(cases[0].labels[1])


def test_the_least_a_manifest_needs_is_a_path_and_a_label(tmp_path: Path) -> None:
    cases = read(tmp_path, b"path,covid19\na.png,1\nb.png,0\n")

    assert [case.labels[0] for case in cases] == [1.0, 0.0]
    assert {(case.source, case.paediatric, case.view, case.sex) for case in cases} == {("not stated", None, "", "")}
    assert len({case.group for case in cases}) == 2


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("\ufeffpath,covid19,source\r\na.png,1,x\r\n".encode(), id="a spreadsheet's byte order mark"),
        pytest.param(b"path;covid19;source\na.png;1;x\n", id="semicolons"),
        pytest.param(b"path\tcovid19\tsource\na.png\t1\tx\n", id="tabs"),
        pytest.param(b"Path, COVID19 ,Source\na.png, 1 ,x\n", id="capitals and spaces"),
        pytest.param(b"path,covid19,source\na.png,1.0,x\n", id="floats, as a column with gaps is written"),
        pytest.param(b'path,covid19,source\n"a.png","1","x"\n', id="quotes"),
    ],
)
def test_manifests_as_other_programs_save_them_are_read(tmp_path: Path, content: bytes) -> None:
    (case,) = read(tmp_path, content)

    assert (case.path, case.labels[0], case.source) == (tmp_path / "a.png", 1.0, "x")


def test_films_may_lie_anywhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    far, near = tmp_path / "elsewhere" / "far.png", tmp_path / "a.png"
    far.touch()

    cases = read(tmp_path, f"path,covid19\n{far},1\n{near.name},0\n".encode())

    assert [case.path for case in cases] == [far, near]


@pytest.mark.parametrize("unknown", ["", "-1", "-1.0", "NaN", "NA"])
def test_an_unknown_label_is_no_negative(tmp_path: Path, unknown: str) -> None:
    cases = read(tmp_path, f"path,covid19,pneumonia\na.png,{unknown},1\n".encode())

    assert math.isnan(cases[0].labels[0])


def test_patients_of_two_sources_are_two_patients(tmp_path: Path) -> None:
    cases = read(tmp_path, b"path,covid19,source,patient_id\na.png,1,x,7\nb.png,0,y,7\nc.png,0,y,7\n")

    assert [case.group for case in cases] == ["x:7", "y:7", "y:7"]


@pytest.mark.parametrize(
    ("age_group", "age", "expected"),
    [
        ("adult (19-64)", "", False), ("child", "", True), ("Pediatric", "40", True), ("", "17", True),
        ("", "18", False), ("", "063Y", False), ("", "215M", True), ("", "217M", False), ("", "800W", True),
        ("", "010D", True),
        ("", "", None), ("unknown", "unknown", None), ("", "-3", None),
    ],
)  # fmt: skip
def test_children_are_known_by_words_or_by_age(age_group: str, age: str, expected: bool | None) -> None:
    assert is_paediatric(age_group, age) is expected


PARTS = b"path,covid19,split,group\na.png,1,train,p\nb.png,0,val,q\nc.png,1,val,q\nd.png,0,test,r\n"


@pytest.mark.parametrize(("part", "names"), [("val", "bc"), ("test", "d"), ("all", "abcd")])
def test_a_part_is_chosen_by_its_split(tmp_path: Path, part: str, names: str) -> None:
    assert [case.path.stem for case in read(tmp_path, PARTS, part)] == list(names)


def test_a_limit_is_spread_over_the_rows(tmp_path: Path) -> None:
    content = b"path,covid19\n" + b"".join(b"%c.png,1\n" % letter for letter in b"abcdefghij")

    assert [case.path.stem for case in read(tmp_path, content, limit=4)] == ["a", "c", "f", "h"]
    assert len(read(tmp_path, content, limit=10)) == len(read(tmp_path, content, limit=99)) == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "needs the columns path and one of covid19", id="empty"),
        pytest.param(b"file,covid19\na.png,1\n", "needs the columns path", id="no path column"),
        pytest.param(b"path,measles\na.png,1\n", "one of covid19, pneumonia", id="no label column"),
        pytest.param(b"path,covid19,covid19\na.png,1,0\n", "the column covid19 twice", id="a column twice"),
        pytest.param(b"path,covid19\n", "has no rows", id="no rows"),
        pytest.param(b"path,covid19\na.png,1\nb.png,yes\n", "line 3: covid19 is 'yes'", id="label"),
        pytest.param(b"path,covid19\n\n\na.png,2\n", "line 4: covid19 is '2'", id="label after blank lines"),
        pytest.param(b'path,covid19,note\na.png,1,"two\nlines"\nb.png,x,\n', "line 4: covid19", id="quoted break"),
        pytest.param(b"path,covid19\n,1\n", "line 2: path is missing", id="empty path"),
        pytest.param(b"covid19,path\n1\n", "line 2: path is missing", id="short row"),
        pytest.param(b"path,covid19\na.png,1\nb.png,1\na.png,0\n", "line 4: a.png stands in line 2", id="path twice"),
        pytest.param(b"path,covid19\na.png,-1\nb.png,\n", "no film has a label of 1 or 0", id="no label at all"),
        pytest.param(b"path,covid19\n\xff\xfe.png,1\n", "no CSV in UTF-8", id="not UTF-8"),
        pytest.param(b"path,covid19\na" + b"x" * 200_000 + b",1\n", "no CSV", id="a field without end"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        read(tmp_path, content)


def test_all_rows_that_cannot_be_used_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    content = b"path,covid19\n" + b"".join(b"%c.png,maybe\n" % letter for letter in b"abcdefgh")

    with pytest.raises(InvalidRequestError, match=r"8 rows cannot be used: line 2.*line 6.*; and 3 more") as refused:
        read(tmp_path, content)

    assert "line 7" not in str(refused.value)


def test_missing_files_are_counted_and_listed_before_the_first_film(tmp_path: Path) -> None:
    content = b"path,covid19\na.png,1\nx.png,0\nb.png,0\nsub/y.png,1\n"

    with pytest.raises(InvalidRequestError, match=r"2 of 4 files are not there: line 3: .*x\.png; line 5: .*y\.png"):
        read(tmp_path, content)


def test_a_patient_in_two_parts_is_refused_whichever_part_is_asked_for(tmp_path: Path) -> None:
    content = b"path,covid19,split,patient_id\na.png,1,train_extra,p\nb.png,0,train,p\nc.png,1,val,q\nd.png,0,test,q\n"

    with pytest.raises(InvalidRequestError, match="1 patients stand in more than one part: not stated:q"):
        read(tmp_path, content, "val")


def test_an_unknown_part_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no rows with split holdout; there are test, train, val"):
        read(tmp_path, PARTS, "holdout")


def test_a_manifest_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no manifest"):
        read_cases(tmp_path / "nothing.csv", LABELS)

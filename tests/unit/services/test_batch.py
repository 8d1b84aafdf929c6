"""Many files: one that fails stops nothing, and never all are in memory."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import cast

import pytest

from app.domain.errors import OverloadedError, ScreeningError, UnreadableImageError
from app.services.batch import screen_files
from app.services.options import ScreeningOptions
from app.services.screening import Screening, ScreeningService

OPTIONS = ScreeningOptions(include=frozenset())


class FakeService:
    """Answers with the content itself; holds what runs until somebody waits, and counts."""

    def __init__(self, room: int = 1000) -> None:
        self.held: list[tuple[bytes, Future[Screening]]] = []
        self.most, self._room = 0, room

    def submit(self, content: bytes, options: ScreeningOptions) -> "Future[Screening]":
        assert options is OPTIONS
        if len(self.held) >= self._room:
            raise OverloadedError("full")
        future = EagerFuture(self, content)
        self.held.append((content, future))
        self.most = max(self.most, len(self.held))
        return future

    def work(self) -> None:
        """Finish the oldest film."""
        content, future = self.held.pop(0)
        if content == b"broken":
            future.set_exception(UnreadableImageError("broken"))
        elif content == b"defect":
            future.set_exception(RuntimeError("a mistake of ours"))
        else:
            future.set_result(cast("Screening", content))


class EagerFuture(Future[Screening]):
    """A future that is only looked at when its service is idle."""

    def __init__(self, service: FakeService, content: bytes) -> None:
        super().__init__()
        self.service, self.content = service, content


@pytest.fixture(autouse=True)
def working(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for futures is what makes the fake service work."""

    def wait(running: dict[Future[Screening], Path], return_when: str) -> tuple[set[Future[Screening]], None]:
        service = cast("EagerFuture", next(iter(running))).service
        service.work()
        return {future for future in running if future.done()}, None

    monkeypatch.setattr("app.services.batch.wait", wait)


def write(folder: Path, *contents: bytes) -> list[Path]:
    paths = []
    for number, content in enumerate(contents):
        paths.append(folder / f"{number}.png")
        paths[-1].write_bytes(content)
    return paths


def run(service: FakeService, paths: list[Path], at_once: int = 2) -> Iterator[tuple[str, object]]:
    for item in screen_files(cast("ScreeningService", service), paths, OPTIONS, at_once):
        yield item.path.name, item.screening if item.error is None else item.error


def test_every_file_has_one_outcome(tmp_path: Path) -> None:
    paths = write(tmp_path, *(str(n).encode() for n in range(20)))

    found = dict(run(FakeService(), paths))

    assert found == {f"{n}.png": str(n).encode() for n in range(20)}


def test_a_missing_a_broken_and_a_failing_file_do_not_stop_the_others(tmp_path: Path) -> None:
    paths = write(tmp_path, b"a", b"broken", b"defect", b"b")
    (tmp_path / "folder").mkdir()

    found = dict(run(FakeService(), [tmp_path / "missing.png", *paths[:2], tmp_path / "folder", *paths[2:]]))

    assert (found["0.png"], found["3.png"], found["2.png"]) == (b"a", b"b", None)
    errors = {name: error.problem_code for name, error in found.items() if isinstance(error, ScreeningError)}
    assert errors == dict.fromkeys(("missing.png", "folder", "1.png"), "unreadable_image")


@pytest.mark.parametrize("at_once", [1, 3])
def test_at_most_twice_as_many_files_as_workers_are_in_memory(tmp_path: Path, at_once: int) -> None:
    service = FakeService()

    found = list(run(service, write(tmp_path, *[b"x"] * 30), at_once))

    assert len(found) == 30
    assert service.most == 2 * at_once


def test_a_queue_smaller_than_the_batch_s_appetite_is_waited_for(tmp_path: Path) -> None:
    service = FakeService(room=3)

    found = list(run(service, write(tmp_path, *[b"x"] * 20), at_once=64))

    assert [outcome for _, outcome in found] == [b"x"] * 20
    assert service.most == 3


def test_a_queue_that_takes_nothing_refuses_each_film(tmp_path: Path) -> None:
    found = list(run(FakeService(room=0), write(tmp_path, b"a", b"b")))

    assert [type(outcome) for _, outcome in found] == [OverloadedError, OverloadedError]

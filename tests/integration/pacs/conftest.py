"""Fixtures of the hospital's test bed: a network of its own, and Orthancs in it."""

import logging
import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pacs import network as networks
from tests.integration.pacs import orthanc as orthancs
from tests.integration.pacs import postgres as postgreses
from tests.integration.pacs.hospital import Hospital
from tests.integration.pacs.network import Network
from tests.integration.pacs.orthanc import Orthanc
from tests.integration.pacs.postgres import Postgres
from tests.toy_models import write_release_with_lungs


@pytest.fixture(scope="session")
def net() -> Iterator[Network]:
    """A network namespace with a cable to this machine."""
    reason = networks.why_not()
    if reason:
        pytest.skip(reason)
    with networks.network() as made:
        yield made


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, int], Path]]:
    """Mount small file systems on folders, for the length of a test."""
    with ExitStack() as stack:
        yield lambda folder, size_bytes: stack.enter_context(networks.small_disk(folder, size_bytes))


@pytest.fixture
def start_orthanc(net: Network, tmp_path: Path) -> Iterator[Callable[..., Orthanc]]:
    """Start Orthancs, each in a folder of its own name and on ports of its own; ended after the test.

    Arguments are those of `Orthanc`, the first being a name.
    """
    reason = orthancs.why_not()
    if reason:
        pytest.skip(reason)
    started: list[Orthanc] = []

    def start(name: str = "pacs", **options: Any) -> Orthanc:  # Any: passed through to Orthanc's own parameters
        number = len(started)
        made = Orthanc(net, tmp_path / name, **({"http_port": 8042 + number, "dicom_port": 4242 + number} | options))
        started.append(made)
        return made.start()

    yield start
    for each in started:
        each.close()


@pytest.fixture
def pacs(start_orthanc: Callable[..., Orthanc]) -> Orthanc:
    """One Orthanc as hospitals configure it, empty."""
    return start_orthanc()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of the test's own, with an empty database."""
    reason = postgreses.why_not()
    if reason:
        pytest.skip(reason)
    made = Postgres()
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of toy networks: small, quick, and real in everything else."""
    return write_release_with_lungs(tmp_path_factory.mktemp("toy-models"))


@pytest.fixture
def hospital(net: Network, tmp_path: Path, toy_models: Path) -> Iterator[Callable[..., Hospital]]:
    """Make hospitals, each in a folder of its own; what runs of them is ended after the test.

    Arguments are those of `Hospital` after the models, and ``models_dir``.
    """
    made: list[Hospital] = []

    def make(**options: Any) -> Hospital:  # Any: passed through to Hospital's own parameters
        models_dir = options.pop("models_dir", toy_models)
        made.append(Hospital(net, tmp_path / f"hospital{len(made)}", models_dir, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def randomness() -> random.Random:
    """Chance with a logged seed; ``TESTBED_SEED`` repeats it."""
    seed = int(os.environ.get("TESTBED_SEED") or random.SystemRandom().randrange(1 << 30))
    logging.getLogger(__name__).warning("TESTBED_SEED=%d", seed)
    return random.Random(seed)

"""The thin whole: films arrive by C-STORE, are answered, and their results are found in the archive."""

from pathlib import Path

import pytest

from tests.integration.pacs import films, oracle, senders
from tests.integration.pacs.orthanc import Orthanc, wait_until
from tests.integration.pacs.ports import free_port
from tests.integration.pacs.processes import Discern

pytestmark = pytest.mark.integration


def test_films_sent_by_c_store_are_answered_exactly_once(pacs: Orthanc, release: Path, tmp_path: Path) -> None:
    port = free_port()
    worker = Discern(
        tmp_path / "discern",
        ["pacs", "serve"],
        {
            "MODELS_DIR": str(release),
            "PACS__PORT": str(port),
            "DEVICE": "cpu",
            "DESTINATIONS": [
                {"name": "archive", "kind": "stow", "url": f"{pacs.url}/dicom-web", "user": "svc", "password": "svc"}
            ],
        },
        [("127.0.0.1", port)],
    )
    sent = [films.film(number) for number in range(10)]
    try:
        worker.start()
        statuses = senders.c_store(("127.0.0.1", port), [each.content for each in sent])
        assert statuses == [0] * len(sent)
        wait_until(lambda: worker.status()["idle"], "idle", 60)
        oracle.assert_answered_exactly_once(pacs, {each.sop_instance_uid: "*" for each in sent})
    finally:
        worker.kill()

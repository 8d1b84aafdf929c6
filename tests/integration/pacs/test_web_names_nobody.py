"""The web service at debug level: no log line, metric, file name or temporary file names the patient of a film."""

from pathlib import Path

import httpx2
import pytest

from tests.integration.pacs import films, hostile, oracle, senders
from tests.integration.pacs.ports import free_port
from tests.integration.pacs.processes import Discern

pytestmark = pytest.mark.integration

CANARY = films.CANARY


def test_whatever_is_sent_to_the_web_service_nothing_of_a_patient_is_logged(release: Path, tmp_path: Path) -> None:
    port = free_port()
    service = Discern(
        tmp_path,
        ["serve", "--port", str(port)],
        {"MODELS_DIR": str(release), "DEVICE": "cpu", "LOG_LEVEL": "debug", "SPOOL__RESERVE_BYTES": "0"},
        [("127.0.0.1", port)],
    )
    whole = [films.film(number).content for number in range(3)]
    contents = [
        *whole,
        *(film.content for film in films.refusals().values()),
        *(whole[0][: len(whole[0]) * share // 9] for share in range(1, 9)),
        whole[0].replace(b"MONOCHROME2", b"MONOCHROME7"),
        hostile.nested(40, CANARY),
        CANARY.encode() * 50,
    ]
    try:
        service.start()
        answers = []
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for content in contents:
                dicom = {"Content-Type": "application/dicom"}
                answers.append(client.post("/v1/screenings", content=content, headers=dicom))
                named = {"image": (f"{CANARY}.dcm", content, "application/dicom")}
                answers.append(client.post("/v1/screenings", files=named))
                answers.append(client.post("/v1/jobs", content=content, headers=dicom))
                answers.append(client.post("/v1/jobs", files={"file": (f"{CANARY}.dcm", content, "application/dicom")}))
                answers.append(senders.stow(f"http://127.0.0.1:{port}/dicomweb/studies", [content]))
            for method, path in (("GET", f"/{CANARY}"), ("GET", f"/v1/jobs/{CANARY}"), ("POST", f"/v1/models/{CANARY}"),
                                 ("GET", f"/v1/jobs?state={CANARY}"), ("POST", f"/v1/screenings?interest={CANARY}"),
                                 ("GET", "/v1/jobs")):  # fmt: skip
                answers.append(client.request(method, path, headers={"Referer": CANARY, "User-Agent": CANARY}))
            metrics = client.get("/metrics").content
        assert {200} <= {answer.status_code for answer in answers}
        assert max(answer.status_code for answer in answers) < 500
        assert service.stop() == 0
    finally:
        service.kill()

    word = CANARY[:6].lower().encode()
    assert word not in service.log.read_bytes().lower(), [
        line for line in service.log.read_bytes().splitlines() if word in line.lower()
    ]
    assert word not in metrics.lower()
    assert oracle.traces_of_patients(service.temporary) == []
    jobs = [answer.content for answer in answers if "jobs" in str(answer.url) and answer.status_code == 200]
    assert jobs
    assert not any(word in content.lower() for content in jobs)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(word in path.name.lower().encode() for path in left)

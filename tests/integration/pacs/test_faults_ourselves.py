"""We are killed, upgraded, and our clock jumps: work goes on where it was (docs/faults.md, X4, X9, X16, X17)."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.integration.pacs import films, oracle, senders
from tests.integration.pacs.hospital import Hospital, store_destination, stow_destination
from tests.integration.pacs.orthanc import Orthanc, wait_until
from tests.integration.pacs.postgres import Postgres
from tests.toy_models import write_catalogue, write_model

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MakeHospital = Callable[..., Hospital]
StartOrthanc = Callable[..., Orthanc]
STEPS = ("arrival", "answered", "delivery")


@pytest.fixture
def archive(start_orthanc: StartOrthanc) -> Orthanc:
    return start_orthanc("archive", aet="ARCHIVE")


def send_until_taken(ours: Hospital, wanted: list[films.Film]) -> None:
    """Send as a modality does: until each film is acknowledged."""
    left = list(wanted)
    deadline = time.monotonic() + 120
    while left:
        assert time.monotonic() < deadline
        statuses = ours.send(left, timeout_s=10)
        left = [each for each in left if not senders.is_taken(statuses[each.sop_instance_uid])]
        if left:
            time.sleep(0.2)


@pytest.mark.parametrize("way_out", ["stow", "c-store"])
@pytest.mark.parametrize("step", STEPS)
def test_x4_killed_after_a_step_every_film_is_answered_once(
    archive: Orthanc, hospital: MakeHospital, step: str, way_out: str
) -> None:
    destination = stow_destination(archive) if way_out == "stow" else store_destination(archive)
    ours = hospital(destinations=[destination]).start()
    sent = [films.film(number) for number in range(6)]
    for each in sent:
        seen = steps_seen(ours, step)
        send_until_taken(ours, [each])
        wait_until(lambda seen=seen: steps_seen(ours, step) > seen, step, 30, 0.005)  # type: ignore[misc]  # bound early
        ours.pacs.kill()
        ours.pacs.start()

    ours.wait_idle(6)

    found = oracle.assert_answered_exactly_once(archive, dict.fromkeys(each.sop_instance_uid for each in sent))
    oracle.assert_audited(ours.audit_folder, 6, {"archive": len(found)})
    assert oracle.traces_of_patients(ours.pacs.temporary) == []


def steps_seen(ours: Hospital, step: str) -> int:
    return sum(each.get("event") == step for each in ours.pacs.events())


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_x9_a_restart_goes_on_with_what_was_queued(
    archive: Orthanc, hospital: MakeHospital, database: str, request: pytest.FixtureRequest
) -> None:
    settings = {}
    if database == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        settings["SPOOL__DATABASE_URL"] = server.url
    ours = hospital(destinations=[stow_destination(archive)], settings=settings)
    ours.web.start()
    sent = [films.film(number) for number in range(20)]
    assert ours.stow([each.content for each in sent]).status_code == 200
    ours.web.stop()

    for pause in (1.5, 2.0, 2.5):
        ours.pacs.begin()
        time.sleep(pause)
        ours.pacs.kill()
    ours.start()
    ours.wait_idle(20)

    oracle.assert_answered_exactly_once(archive, dict.fromkeys(each.sop_instance_uid for each in sent))


def test_x17_a_new_release_answers_what_waited_under_its_own_version(
    archive: Orthanc, hospital: MakeHospital, tmp_path: Path
) -> None:
    releases = [tmp_path / name for name in ("old", "new")]
    for number, models in enumerate(releases):
        write_model(models, "covid19", version=f"1.{number}.0", seed=number)
        write_model(models, "pneumonia", seed=8)
        write_model(models, "ensemble-toy", kind="multilabel", seed=3)
        write_catalogue(models, "covid19", "pneumonia", ["ensemble-toy"])
    ours = hospital(destinations=[stow_destination(archive)], models_dir=releases[0]).start(web=True)
    early, late = ([films.film(number) for number in numbers] for numbers in (range(4), range(4, 14)))
    ours.send(early)
    ours.wait_idle(4)
    before = {each.sop_instance_uid: each.dataset_sha256 for each in oracle.results(archive)}

    ours.pacs.kill()
    assert ours.stow([each.content for each in late]).status_code == 200
    ours.pacs.settings["MODELS_DIR"] = str(releases[1])
    ours.start()
    ours.wait_idle(14)

    found = oracle.assert_answered_exactly_once(archive, dict.fromkeys(each.sop_instance_uid for each in early + late))
    after = {each.sop_instance_uid: each.dataset_sha256 for each in found}
    assert before.items() <= after.items()
    versions = {each["source_uid"]: each["model_version"] for each in ours.jobs()}
    old, new = ({versions[each.sop_instance_uid] for each in part} for part in (early, late))
    assert (len(old), len(new)) == (1, 1)
    assert old != new

    again = ours.jobs()[-1]
    assert again["source_uid"] in {each.sop_instance_uid for each in early}
    url = f"{ours.url}/v1/jobs/{again['id']}/screen-again"
    httpx2.post(url, timeout=30, trust_env=False).raise_for_status()
    ours.wait_idle(15)
    corrected = [each for each in oracle.results(archive) if each.sources == {again["source_uid"]}]
    assert sum(each.kind == oracle.FINDINGS for each in corrected) == 2
    assert before.items() <= {each.sop_instance_uid: each.dataset_sha256 for each in corrected}.items() | after.items()
    (newer,) = [each for each in corrected if each.kind == oracle.FINDINGS and each.sop_instance_uid not in before]
    assert "PredecessorDocumentsSequence" in newer.dataset


def test_x4_killed_at_random_moments_every_film_is_answered_once(
    archive: Orthanc, hospital: MakeHospital, randomness: random.Random
) -> None:
    ours = hospital(destinations=[stow_destination(archive)]).start(web=True)
    sent = [films.film(number) for number in range(40)]
    assert ours.stow([each.content for each in sent]).status_code == 200

    for _ in range(10):
        time.sleep(randomness.uniform(0.0, 1.5))
        ours.pacs.kill()
        ours.pacs.start()
    ours.wait_idle(40)

    oracle.assert_answered_exactly_once(archive, dict.fromkeys(each.sop_instance_uid for each in sent))

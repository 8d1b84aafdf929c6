"""The operators' page and the reading list in a real Chromium, over a real spool, job table and answers."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Page, expect, sync_playwright

from app.bootstrap import open_services
from app.bootstrap.hospital import HospitalSide, open_hospital
from app.bootstrap.worker import make_answering
from app.main import create_app
from app.services.hospital.records import Arrival, Failure, Origin
from tests.acceptance.test_page import CHROMIUM, CHROMIUM_ARGS
from tests.api.conftest import settings_with_spool
from tests.integration.pacs import films
from tests.integration.pacs.ports import free_port

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no Chromium at {CHROMIUM} (apt-get install chromium)"),
]
ARRIVAL = Arrival(Origin.C_STORE, "MODALITY")


@pytest.fixture(scope="module")
def hospital(release_with_lungs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, HospitalSide]]:
    """Two films of one patient, a refusal and a parked film, and the service that shows them."""
    settings = settings_with_spool(release_with_lungs, tmp_path_factory.mktemp("hospital"))
    port = free_port()
    with open_hospital(settings) as side:
        refused = next(iter(films.refusals().values())).content
        for content in (
            films.film(1, PatientID="P-1", AcquisitionDate="20260101").content,
            films.film(2, PatientID="P-1", AcquisitionDate="20260111").content,
            refused,
        ):
            side.receiver.receive(content, ARRIVAL)
        with open_services(settings) as services:
            answering = make_answering(side, services, {})
            for job, _ in side.table.claim_films(10, 60.0):
                answering.answer(job)
        parked = side.receiver.receive(films.film(3).content, ARRIVAL).job_id
        assert parked is not None
        side.table.begin(parked, "models-1")
        side.table.failed(parked, Failure("storage_unavailable", "the spool does not answer"), None)
        server = uvicorn.Server(
            uvicorn.Config(create_app(settings), host="127.0.0.1", port=port, log_config=None, lifespan="on")
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        limit = time.monotonic() + 60
        while not server.started and time.monotonic() < limit:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", side
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        made = browser.new_page(viewport={"width": 1400, "height": 1000})
        made.set_default_timeout(20_000)
        problems: list[str] = []
        made.on("pageerror", lambda error: problems.append(str(error)))
        yield made
        browser.close()
        assert problems == []


def test_operators_see_what_needs_them_and_try_again(page: Page, hospital: tuple[str, HospitalSide]) -> None:
    url, side = hospital
    page.goto(f"{url}/operations")
    expect(page.locator("#jobs tbody tr")).to_have_count(4)
    expect(page.locator("#alerts")).to_contain_text("parked")
    page.select_option("#state", "failed")
    row = page.locator("#jobs tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("the spool does not answer")

    row.get_by_role("button", name="Try again").click()

    expect(page.locator("#jobs tbody tr")).to_have_count(0)
    assert [job.state for job in side.table.jobs(limit=1)] == ["queued"]


def test_one_film_is_shown_whole_and_purged_only_when_sure(page: Page, hospital: tuple[str, HospitalSide]) -> None:
    url, side = hospital
    page.goto(f"{url}/operations")
    page.select_option("#state", "succeeded")
    expect(page.locator("#jobs tbody tr")).to_have_count(3)
    row = page.locator("#jobs tbody tr", has_text="not analysed")
    row.get_by_role("button", name="Look").click()
    expect(page.locator("#detail")).to_contain_text("arrival accepted")
    bundle = page.locator("#detail").get_by_role("link", name="FHIR (JSON)").get_attribute("href")
    assert page.request.get(f"{url}/{bundle}").json()["type"] == "transaction"
    page.get_by_role("button", name="Purge", exact=True).click()
    page.get_by_role("button", name="Keep it").click()
    assert len(side.table.jobs()) == 4

    page.locator("#detail").get_by_role("button", name="Purge").click()
    page.locator("#sure").get_by_role("button", name="Purge").click()

    expect(page.locator("#jobs tbody tr")).to_have_count(2)
    assert len(side.table.jobs()) == 3


def test_readers_see_a_film_with_its_maps_beside_the_one_before(page: Page, hospital: tuple[str, HospitalSide]) -> None:
    url, _ = hospital
    page.goto(f"{url}/reading-list")
    page.check("#negative")
    later = page.locator("#films button", has_text="1/11/26")
    expect(later).to_have_count(1)

    later.click()

    film = page.locator("#film")
    expect(film).to_contain_text("temporal comparison")
    expect(film.get_by_text("10 days before")).to_be_visible()
    expect(film.locator("img").first).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("Canarybird")

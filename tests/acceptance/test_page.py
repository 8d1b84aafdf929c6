"""The page in a real Chromium.

The tests run against the stand-in of ``fake_service.py``, or against a running service named by
``DISCERN_ACCEPTANCE_URL`` (expectations are computed from its answers, errors are made at the browser's border).
"""

import base64
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, Page, Playwright, Route, expect, sync_playwright

from tests.acceptance.fake_service import phantom

CHROMIUM = os.environ.get("DISCERN_CHROMIUM", "/usr/bin/chromium")
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
GOLDEN = Path(__file__).parents[1] / "golden" / "addk.json"
LIFETIME_S = 600

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no Chromium at {CHROMIUM} (apt-get install chromium)"),
]


# --- the service and the browser --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service_url() -> Iterator[str]:
    """Address of the service under test, without a trailing slash."""
    if given := os.environ.get("DISCERN_ACCEPTANCE_URL"):
        yield given.rstrip("/")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(__file__).with_name("fake_service.py")
    process = subprocess.Popen([sys.executable, str(script), str(port), str(LIFETIME_S)])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{url}/v1/models", timeout=1).close()
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, "the stand-in ended at start"
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    driver: Playwright
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def _ready(page: Page, service_url: str) -> Page:
    page.goto(f"{service_url}/")
    page.wait_for_selector("html[data-ready]")
    return page


@pytest.fixture(scope="module")
def desk(browser: Browser, service_url: str) -> Iterator[Page]:
    """One page for many failures in a row, as at a reader's desk."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    yield _ready(context.new_page(), service_url)
    context.close()


@pytest.fixture
def opened(page: Page, service_url: str) -> Page:
    """The page, loaded and listening."""
    return _ready(page, service_url)


@lru_cache
def film_png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(phantom(width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def choose(page: Page, content: bytes, name: str = "film.png") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})


def _is_screening(response: Any) -> bool:  # Any: Playwright's Response, a predicate's argument
    return "/v1/screenings" in response.url


def screened(page: Page, act: Callable[[], object]) -> dict[str, Any]:
    """Do something that sends a film; return the answer, forced where a real input check refuses a phantom."""
    with page.expect_response(_is_screening) as waiting:
        act()
    response = waiting.value
    if response.status == 422:
        with page.expect_response(_is_screening) as waiting:
            page.click("#force")
        response = waiting.value
    body: dict[str, Any] = response.json()
    page.wait_for_selector("#result:not([hidden])")
    settle(page)
    return body


def settle(page: Page) -> None:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def pixels(page: Page, selector: str, nth: int = 0) -> NDArray[np.uint8]:
    url: str = page.locator(selector).nth(nth).evaluate("(canvas) => canvas.toDataURL('image/png')")
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
        return np.asarray(image.convert("RGB"))


def opaque(page: Page) -> None:
    """Draw maps as pure colour: full opacity, everywhere."""
    page.evaluate(
        "() => { const o = document.getElementById('opacity'); o.value = '100'; o.dispatchEvent(new Event('input')); }"
    )
    page.uncheck("#fades")
    page.select_option("#colour-map", "viridis")
    settle(page)


def drawn_values(page: Page, nth: int) -> NDArray[np.float64]:
    """Read a map back from its colours, by the colours of its own legend."""
    table = pixels(page, ".legend canvas", nth)[5].astype(int)
    film = pixels(page, "canvas.film", nth).astype(int)
    colours, inverse = np.unique(film.reshape(-1, 3), axis=0, return_inverse=True)
    distance = ((colours[:, None, :] - table[None]) ** 2).sum(-1)
    assert distance.min(1).max() <= 3, "a colour on the film is not on the legend"
    return np.asarray((distance.argmin(1) / 255.0)[inverse].reshape(film.shape[:2]))


def on_film(
    grid: NDArray[np.float64], extent: list[float], image: dict[str, Any], width: int, height: int
) -> NDArray[np.float64]:
    """Half-pixel bilinear interpolation of a grid over its rectangle, edges clamped: an oracle of its own."""
    x0, y0, x1, y1 = extent
    x = (np.arange(width) + 0.5) * image["width"] / width
    y = (np.arange(height) + 0.5) * image["height"] / height
    centres_x = x0 + (np.arange(grid.shape[1]) + 0.5) * (x1 - x0) / grid.shape[1]
    centres_y = y0 + (np.arange(grid.shape[0]) + 0.5) * (y1 - y0) / grid.shape[0]
    rows = np.stack([np.interp(x, centres_x, row) for row in grid])
    return np.stack([np.interp(y, centres_y, column) for column in rows.T], axis=1)


def display_of(interest: Any, overlap: Any, alpha: float) -> NDArray[np.float64]:  # Any: nested lists of JSON
    x, x_prime = np.asarray(interest, float), np.asarray(overlap, float)
    k = np.exp(alpha * (x / x.max() - x_prime / x_prime.max()))
    return np.asarray((k - k.min()) / (k.max() - k.min()))


def pair(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["divergence"]["interest"], answer["divergence"]["overlap"]


def problem(
    status: int, code: str, detail: str = "for the engineer", headers: dict[str, str] | None = None
) -> Callable[[Route], None]:
    body = {"type": f"/problems/{code}", "title": code, "status": status, "detail": detail, "code": code}

    def answer(route: Route) -> None:
        route.fulfill(
            status=status,
            headers={"Content-Type": "application/problem+json", **(headers or {})},
            body=json.dumps(body),
        )

    return answer


# --- the kernel, against the golden cases -----------------------------------------------------------------------------

KERNEL = """async (cases) => {
  const { directedDivergence } = await import('/web/divergence.js');
  const number = (v) => (v === 'nan' ? NaN : v === 'inf' ? Infinity : v);
  const grid = (map) => map.map((row) => row.map(number));
  return cases.map((c) => {
    try { return directedDivergence(grid(c.x), grid(c.x_prime), number(c.alpha), c.clamp_negative); }
    catch (error) { return { error: error.code ?? String(error) }; }
  });
}"""


def test_the_kernel_of_the_page_reproduces_every_golden_case(opened: Page) -> None:
    cases = json.loads(GOLDEN.read_text())["cases"]

    results = opened.evaluate(KERNEL, cases)

    assert len(cases) > 25
    for case, result in zip(cases, results, strict=True):
        expected, name = case["expected"], case["id"]
        if "error" in expected:
            assert result == {"error": expected["error"]}, name
            continue
        # ln K: relative to alpha, the scale of its two terms, since their difference may cancel.
        scale = 1e-12 * max(1.0, case["alpha"])
        np.testing.assert_allclose(result["logK"], expected["log_K"], rtol=1e-12, atol=scale, err_msg=name)
        np.testing.assert_allclose(result["display"], expected["display_0_1"], rtol=1e-9, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(
            [result["logKMin"], result["logKMax"]],
            [expected["log_K_min"], expected["log_K_max"]],
            rtol=1e-12,
            atol=scale,
        )
        assert set(result["flags"]) == set(expected["flags"]), name
        assert (result["k"] is None) == (expected["K"] is None), name
        if expected["K"] is not None:
            np.testing.assert_allclose(np.asarray(result["k"], float), expected["K"], rtol=1e-11, err_msg=name)


def test_concentration_grows_with_alpha_as_in_figure_6(opened: Page) -> None:
    golden = json.loads(GOLDEN.read_text())
    case = next(c for c in golden["cases"] if c["id"] == "grid7x7_alpha15")

    results = opened.evaluate(KERNEL, [{**case, "alpha": row["alpha"]} for row in golden["concentration_fig6"]])

    for result, row in zip(results, golden["concentration_fig6"], strict=True):
        assert result["entropyNats"] == pytest.approx(row["entropy_nats"], rel=1e-9)
        assert result["topCellShare"] == pytest.approx(row["top1_mass"], rel=1e-9)


def test_upsampling_has_half_pixel_centres(opened: Page) -> None:
    golden = json.loads(GOLDEN.read_text())
    grid = next(c for c in golden["cases"] if c["id"] == "grid7x7_alpha15")["x"]
    expected = golden["upsampling"]["modes"]["half_pixel"]

    flat = opened.evaluate(
        """async (grid) => { const { gridOnFilm } = await import('/web/resampling.js');
        return Array.from(gridOnFilm(grid, [0, 0, 224, 224], { width: 224, height: 224 }, 224, 224)); }""",
        grid,
    )

    values = np.asarray(flat).reshape(224, 224)
    for sample in expected["samples"]:
        assert values[sample["row"], sample["col"]] == pytest.approx(sample["value"], abs=1e-5)
    assert list(np.unravel_index(values.argmax(), values.shape)) == expected["argmax"]


# --- loading and opening a film ---------------------------------------------------------------------------------------


def test_loads_without_outside_requests_or_console_errors(page: Page, service_url: str) -> None:
    requested: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))

    _ready(page, service_url)
    screened(page, lambda: choose(page, film_png(500, 640)))

    assert complaints == []
    assert all(url.startswith((f"{service_url}/", "blob:", "data:")) for url in requested), requested
    expect(page.locator("#notice")).to_have_text("Research use. Not for diagnostic use.")
    expect(page.locator("#notice")).to_be_in_viewport()


def test_dropping_a_film_opens_it_under_a_neutral_name(opened: Page) -> None:
    opened.evaluate(
        """() => { const send = window.fetch; window.fetch = (url, options) => {
        if (options?.body) window.sentName = options.body.get('image').name;
        return send(url, options); }; }"""
    )
    content = base64.b64encode(film_png(400, 500)).decode()

    def drop() -> None:
        opened.evaluate(
            """(content) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], 'Doe^Jane.png', { type: 'image/png' }));
            for (const type of ['dragenter', 'dragover', 'drop']) {
              const init = { dataTransfer: transfer, bubbles: true, cancelable: true };
              document.body.dispatchEvent(new DragEvent(type, init));
            } }""",
            content,
        )

    answer = screened(opened, drop)

    assert answer["image"]["format"] == "png"
    assert (answer["image"]["width"], answer["image"]["height"]) == (400, 500)
    assert opened.evaluate("window.sentName") == "film"
    expect(opened.locator("#dropping")).to_be_hidden()


def test_pasting_a_film_opens_it(opened: Page) -> None:
    content = base64.b64encode(film_png(400, 500)).decode()

    answer = screened(
        opened,
        lambda: opened.evaluate(
            """(content) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            transfer.items.add(new File([bytes], 'x.png', { type: 'image/png' }));
            document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true })); }""",
            content,
        ),
    )

    assert answer["image"]["width"] == 400


def test_the_example_opens_with_its_source(opened: Page) -> None:
    if not opened.locator("#example").is_visible():
        pytest.skip("this service ships no example film")

    answer = screened(opened, lambda: opened.click("#example"))

    assert answer["image"]["format"] == "dicom"
    expect(opened.locator("#credit")).not_to_be_empty()
    expect(opened.locator("#facts")).to_contain_text("DICOM")


@pytest.mark.parametrize("answer", [(404, "{}"), (200, '{"available": false}')])
def test_the_example_is_hidden_where_there_is_none(page: Page, service_url: str, answer: tuple[int, str]) -> None:
    status, body = answer
    page.route("**/v1/example*", lambda route: route.fulfill(status=status, content_type="application/json", body=body))

    _ready(page, service_url)

    expect(page.locator("#example")).to_be_hidden()
    expect(page.locator("label[for=file]")).to_be_visible()


# --- the three maps ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(600, 800), (900, 500)])
def test_all_three_maps_lie_where_they_belong_on_a_padded_film(opened: Page, width: int, height: int) -> None:
    answer = screened(opened, lambda: choose(opened, film_png(width, height)))
    opaque(opened)

    drawn = [drawn_values(opened, nth) for nth in range(3)]

    interest, overlap = (answer["experts"][name]["map"] for name in pair(answer))
    x, x_prime = np.asarray(interest["values"]), np.asarray(overlap["values"])
    expected = [
        np.maximum(x, 0) / x.max(),
        np.maximum(x_prime, 0) / x_prime.max(),
        display_of(x, x_prime, 15),
    ]
    for found, grid in zip(drawn, expected, strict=True):
        rendered = on_film(grid, interest["extent"], answer["image"], found.shape[1], found.shape[0])
        assert np.abs(found - rendered).max() < 2.5 / 255
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[1], drawn[2])


def test_the_hottest_pixel_of_the_divergence_lies_in_its_cell(opened: Page) -> None:
    answer = screened(opened, lambda: choose(opened, film_png(600, 800)))
    opaque(opened)

    drawn = drawn_values(opened, 2)

    x0, y0, x1, y1 = answer["divergence"]["maps"][0]["extent"]
    log_k = np.asarray(answer["divergence"]["maps"][0]["log_k"])
    row, column = np.unravel_index(log_k.argmax(), log_k.shape)
    centre_x = x0 + (column + 0.5) * (x1 - x0) / log_k.shape[1]
    centre_y = y0 + (row + 0.5) * (y1 - y0) / log_k.shape[0]
    if not (0 <= centre_x < 600 and 0 <= centre_y < 800):
        pytest.skip("the hottest cell lies in this film's padding")
    hot_y, hot_x = np.nonzero(drawn >= drawn.max())
    assert hot_x.mean() * 600 / drawn.shape[1] == pytest.approx(centre_x, abs=600 / drawn.shape[1] * 4)
    assert hot_y.mean() * 800 / drawn.shape[0] == pytest.approx(centre_y, abs=800 / drawn.shape[0] * 4)


def test_the_high_end_of_the_legend_is_the_colour_of_the_hottest_cell(opened: Page) -> None:
    answer = screened(opened, lambda: choose(opened, film_png(600, 800)))
    opaque(opened)

    bar, film = pixels(opened, ".legend canvas", 2)[5].astype(int), pixels(opened, "canvas.film", 2)

    x0, y0, x1, y1 = answer["divergence"]["maps"][0]["extent"]
    log_k = np.asarray(answer["divergence"]["maps"][0]["log_k"])
    row, column = np.unravel_index(log_k.argmax(), log_k.shape)
    x = (x0 + (column + 0.5) * (x1 - x0) / log_k.shape[1]) * film.shape[1] / 600
    y = (y0 + (row + 0.5) * (y1 - y0) / log_k.shape[0]) * film.shape[0] / 800
    if not (0 <= x < film.shape[1] and 0 <= y < film.shape[0]):
        pytest.skip("the hottest cell lies in this film's padding")
    hottest = film[int(y), int(x)].astype(int)
    assert np.abs(hottest - bar[-1]).sum() < np.abs(hottest - bar[0]).sum()
    assert np.abs(hottest - bar[-1]).max() <= 12
    expect(opened.locator(".panel[data-kind=divergence] .high")).to_contain_text(
        re.compile("speaks more for .* than for")
    )
    expect(opened.locator(".panel[data-kind=divergence] .low")).to_contain_text("no difference or less")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(-3, 4, ("speaks more for COVID-19 than for pneumonia", "no difference or less")),
     (-3, 0, ("no or least difference", "speaks more for pneumonia than for COVID-19")),
     (0, 0, ("no difference anywhere", ""))],
)  # fmt: skip
def test_legend_words_follow_the_sign_of_ln_k(opened: Page, low: float, high: float, words: tuple[str, str]) -> None:
    legend = opened.evaluate(
        "async ([low, high]) => (await import('/web/readings.js')).divergenceLegend('covid19', 'pneumonia', low, high)",
        [low, high],
    )

    assert (legend["high"], legend["low"]) == words


def test_alpha_redraws_without_a_request(opened: Page) -> None:
    answer = screened(opened, lambda: choose(opened, film_png(600, 800)))
    opaque(opened)
    before = [pixels(opened, "canvas.film", nth) for nth in range(3)]
    requests: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))

    opened.locator("#alpha-slider").focus()
    opened.keyboard.press("End")
    settle(opened)

    after = [pixels(opened, "canvas.film", nth) for nth in range(3)]
    assert requests == []
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])
    assert opened.input_value("#alpha-number") == "50"
    interest, overlap = (answer["experts"][name]["map"] for name in pair(answer))
    drawn = drawn_values(opened, 2)
    rendered = on_film(
        display_of(interest["values"], overlap["values"], 50),
        interest["extent"],
        answer["image"],
        drawn.shape[1],
        drawn.shape[0],
    )
    assert np.abs(drawn - rendered).max() < 2.5 / 255


def test_a_bad_alpha_is_explained_and_changes_nothing(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(400, 500)))
    before = pixels(opened, "canvas.film", 2)
    above, below, none = "at most 700", "greater than 0", "Type a number"

    for typed, words in [("0", below), ("-5", below), ("701", above), ("1e9", above), ("abc", none), ("", none)]:
        opened.fill("#alpha-number", typed)
        settle(opened)

        expect(opened.locator("#alpha-error")).to_contain_text(words)
        expect(opened.locator("#alpha-number")).to_have_attribute("aria-invalid", "true")
        assert np.array_equal(before, pixels(opened, "canvas.film", 2))


def test_alpha_may_be_typed_beyond_the_slider(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(400, 500)))

    for typed in ("0.5", "120", "700"):
        opened.fill("#alpha-number", typed)
        settle(opened)

        expect(opened.locator("#alpha-error")).to_be_empty()
        expect(opened.locator(".panel[data-kind=divergence] .subtitle")).to_contain_text(
            f"\N{GREEK SMALL LETTER ALPHA} = {typed}"
        )


def test_swapping_the_direction_needs_no_request(opened: Page) -> None:
    answer = screened(opened, lambda: choose(opened, film_png(600, 800)))
    opaque(opened)
    requests: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))

    opened.click("#swap")
    settle(opened)

    interest, overlap = pair(answer)
    a, b = (answer["experts"][name]["map"] for name in (overlap, interest))
    drawn = drawn_values(opened, 2)
    rendered = on_film(
        display_of(a["values"], b["values"], 15), a["extent"], answer["image"], drawn.shape[1], drawn.shape[0]
    )
    assert requests == []
    assert np.abs(drawn - rendered).max() < 2.5 / 255
    assert opened.input_value("#interest") == overlap
    assert opened.input_value("#overlap") == interest


def test_contrast_evidence_asks_again_with_the_same_film(opened: Page) -> None:
    first = screened(opened, lambda: choose(opened, film_png(400, 500)))

    second = screened(opened, lambda: opened.check("input[name=evidence][value=contrast]"))

    assert second["image"]["sha256"] == first["image"]["sha256"]
    name = pair(first)[0]
    assert second["experts"][name]["map"]["values"] != first["experts"][name]["map"]["values"]


def test_hiding_the_maps_shows_the_bare_film(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(400, 500)))

    opened.uncheck("#heat")
    settle(opened)

    film = pixels(opened, "canvas.film", 2)
    assert np.array_equal(film[..., 0], film[..., 1])
    assert np.array_equal(film, pixels(opened, "canvas.film", 0))


# --- numbers and words ------------------------------------------------------------------------------------------------


def test_experts_show_probability_decision_and_operating_point(opened: Page) -> None:
    answer = screened(opened, lambda: choose(opened, film_png(600, 800)))

    cards = opened.locator("#experts .expert")

    expect(cards).to_have_count(2)
    for nth, name in enumerate(pair(answer)):
        expert = answer["experts"][name]
        expect(cards.nth(nth)).to_contain_text(expert["decision"])
        for share in (
            expert["probability"],
            *(expert["operating_point"][key] for key in ("threshold", "sensitivity", "specificity")),
        ):
            expect(cards.nth(nth)).to_contain_text(f"{100 * share:.0f} %")


def test_a_band_of_probabilities_that_decide_nothing_is_named(opened: Page) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["experts"][body["divergence"]["interest"]]["operating_point"]["indeterminate"] = [0.31, 0.86]
        route.fulfill(response=response, json=body)

    opened.route("**/v1/screenings*", altered)

    screened(opened, lambda: choose(opened, film_png(400, 500)))

    cards = opened.locator("#experts .expert")
    expect(cards.nth(0)).to_contain_text("positive from 86 %, indeterminate from 31 %")
    expect(cards.nth(1)).not_to_contain_text("indeterminate")


def type_pretest(page: Page, text: str) -> None:
    page.fill("#pretest", text)
    page.keyboard.press("Enter")


def test_a_pretest_probability_is_sent_as_a_share_and_its_answer_is_shown(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(600, 800)))
    cards = opened.locator("#experts .expert")
    expect(cards.locator(".post-test")).to_have_count(0)

    with opened.expect_request(_is_screening) as sent:
        answer = screened(opened, lambda: type_pretest(opened, "12,5 %"))

    interest, overlap = pair(answer)
    found = answer["experts"][interest]["post_test"]
    odds = 0.125 / 0.875 * found["likelihood_ratio"]
    assert "pretest_probability=0.125" in sent.value.url
    assert found["probability"] == pytest.approx(odds / (1 + odds))
    line = cards.nth(0).locator(".post-test")
    expect(line).to_contain_text(f"{100 * found['probability']:.0f} % after the film")
    expect(line).to_contain_text("12.5 % before it")
    expect(line).to_contain_text(f"likelihood ratio {found['likelihood_ratio']:.3g} of a")
    expect(cards.nth(1).locator(".post-test")).to_have_count(0)
    assert answer["experts"][overlap]["post_test"] is None


def test_a_pretest_probability_that_is_none_is_explained_and_not_sent(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(400, 500)))
    requests: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))

    within, none = "above 0 and below 100", "Type a percentage"
    for typed, words in [("0", within), ("100", within), ("250", within), ("-5", none), ("1e1", none), ("x", none)]:
        type_pretest(opened, typed)

        expect(opened.locator("#pretest-error")).to_contain_text(words)
        expect(opened.locator("#pretest")).to_have_attribute("aria-invalid", "true")
    assert requests == []


def test_an_empty_field_takes_the_post_test_probability_away(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(400, 500)))
    screened(opened, lambda: type_pretest(opened, "20"))
    expect(opened.locator(".post-test")).to_have_count(1)

    answer = screened(opened, lambda: type_pretest(opened, ""))

    assert answer["experts"][pair(answer)[0]]["post_test"] is None
    expect(opened.locator(".post-test")).to_have_count(0)


def test_a_pretest_probability_goes_with_its_patient_and_its_class(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(400, 500)))
    screened(opened, lambda: type_pretest(opened, "20"))

    opened.click("#swap")

    expect(opened.locator("#pretest")).to_have_value("")
    expect(opened.locator("label[for=pretest]")).to_contain_text("Pneumonia")
    screened(opened, lambda: type_pretest(opened, "30"))
    expect(opened.locator("#experts .expert").nth(0).locator(".post-test")).to_contain_text("30.0 % before it")

    answer = screened(opened, lambda: choose(opened, film_png(420, 500)))

    assert all(expert["post_test"] is None for expert in answer["experts"].values())
    expect(opened.locator("#pretest")).to_have_value("")
    expect(opened.locator(".post-test")).to_have_count(0)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("indeterminate", "answer is indeterminate"),
        ("not_measured", "is not known"),
        ("ratio_zero", "no diseased patient"),
        ("ratio_unbounded", "no patient without the disease"),
    ],
)
def test_where_there_is_no_post_test_probability_the_page_says_why(opened: Page, reason: str, words: str) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["experts"][body["divergence"]["interest"]]["post_test"] = {
            "pretest_probability": 0.2, "probability": None, "likelihood_ratio": None, "measured_on": "all",
            "reason": reason,
        }  # fmt: skip
        route.fulfill(response=response, json=body)

    opened.route("**/v1/screenings*", altered)

    screened(opened, lambda: choose(opened, film_png(400, 500)))

    line = opened.locator("#experts .expert").nth(0).locator(".post-test")
    expect(line).to_contain_text("No probability after the film: ")
    expect(line).to_contain_text(words)


def test_labels_stand_in_a_tree_by_parent_and_unevaluated_ones_say_so(opened: Page) -> None:
    answer = screened(opened, lambda: choose(opened, film_png(600, 800)))

    for label in answer["ensemble"]["labels"]:
        item = opened.locator(f'.label[data-label="{label["name"]}"]')
        expect(item).to_have_count(1)
        above = item.evaluate(
            "(row) => row.closest('ul').closest('li')?.querySelector(':scope > .label').dataset.label ?? null"
        )
        assert above == label["parent"]
        if not label["evaluated"]:
            expect(item).to_contain_text("not evaluated")


def test_a_finding_shows_what_its_mean_logit_is_made_of(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(600, 800)))
    opaque(opened)
    sent: list[str] = []
    opened.on("request", lambda request: sent.append(request.url) if "/v1/screenings" in request.url else None)

    with opened.expect_response(_is_screening) as waiting:
        opened.click('[data-map="viral"]')
    label = next(one for one in waiting.value.json()["ensemble"]["labels"] if one["name"] == "viral")
    panel = opened.locator("#label-map .panel")
    expect(panel).to_be_visible()
    settle(opened)

    found = drawn_values(opened, 3)
    values, image = np.asarray(label["map"]["values"]), {"width": 600, "height": 800}
    rendered = on_film(np.maximum(values, 0) / values.max(), label["map"]["extent"], image, *found.shape[::-1])
    assert np.abs(found - rendered).max() < 2.5 / 255
    expect(panel).to_contain_text("mean logit of viral is made of")
    assert np.isclose(values.mean() + label["map"]["bias"], label["map"]["mean_logit"], atol=1e-4)
    for part in (label["map"]["mean_logit"], label["map"]["mean_logit"] - label["map"]["bias"], label["map"]["bias"]):
        expect(panel).to_contain_text(f"{part:.2f}".replace("-", "\u2212"))
    expect(opened.locator('[data-map="viral"]')).to_have_attribute("aria-pressed", "true")

    opened.click('[data-map="covid19"]')
    expect(panel).to_contain_text("COVID-19")
    opened.click('[data-map="covid19"]')
    expect(panel).to_be_hidden()
    assert len(sent) == 1
    assert "include=ensemble_maps" in sent[0]


def test_maps_of_findings_go_with_their_film(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(600, 800)))
    opened.click('[data-map="viral"]')
    expect(opened.locator("#label-map .panel")).to_be_visible()

    screened(opened, lambda: choose(opened, film_png(900, 500)))

    expect(opened.locator("#label-map")).to_be_hidden()
    expect(opened.locator('[data-map="viral"]')).to_have_attribute("aria-pressed", "false")


def test_maps_of_findings_that_cannot_be_had_are_told_and_may_be_tried_again(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(600, 800)))
    opened.route("**/v1/screenings*", lambda route: route.fulfill(status=503, body="{}"), times=1)

    opened.click('[data-map="viral"]')
    expect(opened.locator("#label-map")).to_contain_text("could not be had")
    opened.click('[data-map="viral"]')

    expect(opened.locator("#label-map .panel")).to_be_visible()


def test_networks_of_exclusive_classes_have_a_card_where_there_are_any(opened: Page) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        shares = {"covid19": 0.7, "normal": 0.1, "pneumonia": 0.2}
        classes = [{"name": name, "probability": share} for name, share in shares.items()]
        body["multiclass"] = [
            {"name": "covidnet", "title": "COVID-Net", "classes": classes, "predicted": "covid19",
             "flags": ["inverted"], "explanation": {
                 "kind": "none", "reason": "no_global_average_pooling", "detail": "flattened grid"
             }, "map": None, "overlay": None}
        ]  # fmt: skip
        route.fulfill(response=response, json=body)

    screened(opened, lambda: choose(opened, film_png(400, 500)))
    expect(opened.locator("#classes-card")).to_be_hidden()
    opened.route("**/v1/screenings*", altered)
    screened(opened, lambda: choose(opened, film_png(400, 500)))

    card = opened.locator("#classes-card")
    expect(card).to_be_visible()
    expect(card.locator('[data-class="covid19"]')).to_contain_text("70 %")
    expect(card.locator('[data-class="covid19"]')).to_contain_text("most probable")
    expect(card).to_contain_text("No map: flattened grid.")
    expect(card).to_contain_text("an inverted film")
    expect(card).to_contain_text("never compared")


def test_outside_the_intended_use_the_page_says_why(opened: Page) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["divergence"] |= {"intended_use": False, "reason": "the pneumonia expert is negative"}
        body["image"]["flags"] = ["converted_from_colour", "some_future_flag"]
        route.fulfill(response=response, json=body)

    opened.route("**/v1/screenings*", altered)

    screened(opened, lambda: choose(opened, film_png(400, 500)))

    expect(opened.locator("#intended-use")).to_contain_text("The pneumonia expert is negative.")
    expect(opened.locator("#notes")).to_contain_text("converted to grey")
    expect(opened.locator("#notes")).to_contain_text("some_future_flag")


def test_maps_that_hold_hardly_any_evidence_are_not_painted(opened: Page) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["experts"][body["divergence"]["interest"]]["map"]["flags"] = ["negligible_evidence"]
        route.fulfill(response=response, json=body)

    opened.route("**/v1/screenings*", altered)

    screened(opened, lambda: choose(opened, film_png(400, 500)))

    expect(opened.locator(".panel").first.locator(".empty-note")).to_contain_text(
        "Hardly anything on the film speaks for"
    )
    divergence = opened.locator(".panel[data-kind=divergence]")
    expect(divergence.locator(".empty-note")).to_contain_text("there is nothing to contrast")
    expect(opened.locator("#notes")).to_contain_text("nothing is drawn")


def test_maps_without_positive_evidence_are_named(opened: Page) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        expert = body["experts"][body["divergence"]["interest"]]["map"]
        expert["values"] = [[-abs(value) - 0.1 for value in row] for row in expert["values"]]
        body["divergence"]["maps"] = []
        route.fulfill(response=response, json=body)

    opened.route("**/v1/screenings*", altered)

    screened(opened, lambda: choose(opened, film_png(400, 500)))

    expect(opened.locator(".panel").first.locator(".empty-note")).to_contain_text("No part of the film speaks for")
    expect(opened.locator("#notes")).to_contain_text("no cell in favour")


def test_a_divergence_that_differs_from_the_service_is_called_out(opened: Page) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["divergence"]["maps"][0]["log_k"][0][0] += 1.0
        route.fulfill(response=response, json=body)

    opened.route("**/v1/screenings*", altered)

    screened(opened, lambda: choose(opened, film_png(400, 500)))

    expect(opened.locator("#notes .warning").filter(has_text="Do not rely on this map")).to_have_count(1)


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "title"),
    [
        (422, "not_a_chest_radiograph", "does not look like a frontal chest film"),
        (422, "lateral_view", "lateral view"),
        (422, "low_contrast", "almost no contrast"),
        (422, "for_processing", "raw detector data"),
        (422, "too_small", "too small"),
        (413, "too_large", "too large"),
        (415, "unsupported_format", "cannot be read"),
        (400, "unreadable_image", "damaged"),
        (503, "overloaded", "busy"),
        (500, "surprise", "could not be examined"),
    ],
)
def test_failures_are_told_in_words_with_the_detail_folded_away(desk: Page, status: int, code: str, title: str) -> None:
    desk.route(
        "**/v1/screenings*",
        problem(status, code, "(0028,0004) is RGB", {"Retry-After": "3"} if status == 503 else None),
    )

    choose(desk, film_png(64, 64))

    error = desk.locator("#error")
    expect(error.locator("h2")).to_contain_text(title)
    expect(error.locator("pre")).to_be_hidden()
    error.locator("summary").click()
    expect(error.locator("pre")).to_contain_text("(0028,0004) is RGB")
    expect(desk.locator("#force")).to_have_count(1 if status == 422 else 0)
    expect(desk.locator("#retry")).to_have_count(1 if status >= 500 else 0)
    expect(desk.locator("#result")).to_be_hidden()
    if status == 503:
        expect(error).to_contain_text("wait 3 seconds")


def test_a_refused_film_may_be_answered_anyway(opened: Page) -> None:
    def refuse(route: Route) -> None:
        if "force=true" in route.request.url:
            route.continue_()
        else:
            problem(422, "lateral_view")(route)

    opened.route("**/v1/screenings*", refuse)
    choose(opened, film_png(400, 500))

    opened.click("#force")

    expect(opened.locator("#result")).to_be_visible()
    expect(opened.locator("#banners")).to_contain_text("Answered on request")
    expect(opened.locator("#error")).to_be_hidden()


def test_a_refusal_says_what_the_check_found(opened: Page) -> None:
    opened.route(
        "**/v1/screenings*", problem(422, "not_a_chest_radiograph", "the probability of a frontal film is 0.02")
    )

    choose(opened, film_png(400, 500))

    expect(opened.locator("#error .finding")).to_have_text(
        "What the check found: the probability of a frontal film is 0.02."
    )
    expect(opened.locator("#force")).to_be_visible()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["lungs_not_found", "gate_not_a_chest_radiograph", "forced"], "does not take this image for a frontal"),
        (["forced"], "had nothing against this image"),
    ],
)
def test_a_forced_answer_says_what_the_check_had_against_it(opened: Page, flags: list[str], words: str) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"flags": flags})

    opened.route("**/v1/screenings*", refused_once(altered))

    choose(opened, film_png(400, 500))
    opened.click("#force")

    expect(opened.locator("#banners .warning")).to_contain_text(words)
    for flag in flags:
        expect(opened.locator(f'#notes [data-flag="{flag}"]').first).to_be_visible()
        expect(opened.locator(f'#notes [data-flag="{flag}"] code')).to_have_count(0)


def test_a_note_is_said_once_and_lowered_findings_share_one(opened: Page) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["image"]["flags"] = ["cropped"]
        body["flags"] = ["cropped", "forced"]
        body["ensemble"]["flags"] = ["child_above_parent:covid19", "child_above_parent:sars", "child_above_parent:mers"]
        route.fulfill(response=response, json=body)

    opened.route("**/v1/screenings*", altered)

    screened(opened, lambda: choose(opened, film_png(400, 500)))

    notes = opened.locator("#notes li")
    expect(opened.locator('#notes [data-flag="cropped"]')).to_have_count(1)
    expect(opened.locator('#notes [data-flag="forced"]')).to_have_count(1)
    expect(notes.filter(has_text="they were lowered to the groups' probabilities")).to_have_count(1)
    expect(notes.filter(has_text="COVID-19, SARS and MERS scored higher")).to_have_count(1)


def refused_once(then: Callable[[Route], None]) -> Callable[[Route], None]:
    """Refuse the first film and answer the same one when asked again."""
    refusal = problem(422, "not_a_chest_radiograph")
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        (refusal if len(asked) == 1 else then)(route)

    return answer


def test_an_expert_that_decides_nothing_says_why(opened: Page) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["experts"][body["divergence"]["interest"]] |= {"decision": "indeterminate", "flags": ["inverted"]}
        route.fulfill(response=response, json=body)

    opened.route("**/v1/screenings*", altered)

    screened(opened, lambda: choose(opened, film_png(400, 500)))

    cards = opened.locator("#experts .expert")
    expect(cards.nth(0).locator(".doubt")).to_contain_text("not measured on such films: an inverted film.")
    expect(cards.nth(0).locator(".chip")).to_have_text("indeterminate")
    expect(cards.nth(1).locator(".doubt")).to_have_count(0)


def test_shares_outside_the_lungs_and_zones_are_shown(opened: Page) -> None:
    def altered(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        for number, expert in enumerate(body["experts"].values()):
            expert["map"]["outside_lungs"] = 0.12 + 0.2 * number
        body["divergence"]["maps"][0]["outside_lungs"] = 0.07
        body["divergence"]["maps"][0]["regions"][0]["zone"] = "right lower"
        route.fulfill(response=response, json=body)

    opened.route("**/v1/screenings*", altered)

    screened(opened, lambda: choose(opened, film_png(400, 500)))

    for nth, share in enumerate(("12 %", "32 %", "7 %")):
        expect(opened.locator(".panel").nth(nth).locator(".figures")).to_contain_text(f"outside the lungs{share}")
    expect(opened.locator("#notes")).to_contain_text("right lower")


def test_a_service_out_of_reach_is_told_and_may_be_tried_again(opened: Page) -> None:
    opened.route("**/v1/screenings*", lambda route: route.abort("connectionrefused"))
    choose(opened, film_png(400, 500))
    expect(opened.locator("#error h2")).to_contain_text("cannot be reached")
    opened.unroute("**/v1/screenings*")

    screened(opened, lambda: opened.click("#retry"))

    expect(opened.locator("#error")).to_be_hidden()


def test_a_proxy_in_html_and_an_answer_that_is_no_json_are_failures_too(opened: Page) -> None:
    opened.route(
        "**/v1/screenings*", lambda route: route.fulfill(status=413, content_type="text/html", body="<h1>413</h1>")
    )
    choose(opened, film_png(400, 500))
    expect(opened.locator("#error h2")).to_contain_text("too large")
    opened.unroute("**/v1/screenings*")
    opened.route(
        "**/v1/screenings*", lambda route: route.fulfill(status=200, content_type="text/html", body="<h1>hello</h1>")
    )

    choose(opened, film_png(400, 500))

    expect(opened.locator("#error h2")).to_contain_text("could not be understood")


def test_a_new_film_that_fails_takes_the_old_result_away(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(400, 500)))
    opened.route("**/v1/screenings*", problem(400, "unreadable_image"))

    choose(opened, film_png(401, 500))

    expect(opened.locator("#error")).to_be_visible()
    expect(opened.locator("#result")).to_be_hidden()


def test_an_empty_file_is_not_sent(opened: Page) -> None:
    requests: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))

    choose(opened, b"")

    expect(opened.locator("#error h2")).to_contain_text("empty")
    assert requests == []


# --- keyboard, phone, saving, memory ----------------------------------------------------------------------------------


def test_everything_works_by_keyboard(opened: Page) -> None:
    if not opened.locator("#example").is_visible():
        pytest.skip("this service ships no example film")

    def tab_to(selector: str) -> None:
        for _ in range(60):
            opened.keyboard.press("Tab")
            if opened.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"Tab never reaches {selector}")

    def open_example() -> None:
        tab_to("#file")
        tab_to("#example")
        opened.keyboard.press("Enter")

    answer = screened(opened, open_example)
    assert opened.evaluate("document.activeElement.id") == "result-title"
    tab_to("#swap")
    opened.keyboard.press("Enter")
    assert opened.input_value("#interest") == pair(answer)[1]
    tab_to("#alpha-slider")
    opened.keyboard.press("ArrowRight")
    assert opened.input_value("#alpha-number") == "16"
    tab_to(".panel[data-kind=divergence] .stage")
    outline = opened.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    opened.keyboard.press("Home")
    expect(opened.locator("#spoken")).to_contain_text("Row")
    expect(opened.locator(".panel[data-kind=divergence] .cell-line")).to_contain_text("ln K")
    opened.keyboard.press("h")
    assert not opened.is_checked("#heat")
    opened.keyboard.press("Escape")
    expect(opened.locator(".panel[data-kind=divergence] .cell-line")).to_be_empty()


def test_pointing_reads_the_cell_under_the_pointer_on_all_three_films(opened: Page) -> None:
    answer = screened(opened, lambda: choose(opened, film_png(600, 800)))
    frame = opened.locator("canvas.film").first.bounding_box()
    assert frame is not None

    opened.mouse.move(frame["x"] + 0.31 * frame["width"], frame["y"] + 0.4 * frame["height"])

    shown = answer["experts"][pair(answer)[0]]["map"]
    x0, y0, x1, y1 = shown["extent"]
    values = np.asarray(shown["values"])
    row = int((0.4 * 800 - y0) / (y1 - y0) * values.shape[0])
    column = int((0.31 * 600 - x0) / (x1 - x0) * values.shape[1])
    text = f"{values[row, column]:.2f}".replace("-", "\N{MINUS SIGN}")
    expect(opened.locator(".cell-line").first).to_contain_text(text)
    expect(opened.locator(".cell-line").nth(2)).to_contain_text("ln K")


def test_on_a_phone_nothing_scrolls_sideways(browser: Browser, service_url: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True, has_touch=True
    )
    page = _ready(context.new_page(), service_url)

    screened(page, lambda: choose(page, film_png(600, 800)))
    page.click("#more summary")

    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    lefts = [page.locator(".panel").nth(nth).bounding_box() for nth in range(3)]
    assert widths[0] <= 390
    assert widths[1] == 390
    assert len({round(box["x"]) for box in lefts if box}) == 1
    expect(page.locator("#notice")).to_be_in_viewport()
    context.close()


def test_the_answer_and_the_films_can_be_saved(opened: Page) -> None:
    answer = screened(opened, lambda: choose(opened, film_png(600, 800)))
    saved: dict[str, bytes] = {}

    for button in ("save-json", "save-cam-1", "save-cam-2", "save-divergence", "save-sheet"):
        with opened.expect_download() as download:
            opened.click(f"#{button}")
        saved[button] = Path(download.value.path()).read_bytes()
        assert download.value.suggested_filename.startswith(f"discern-{answer['image']['sha256'][:8]}")

    assert json.loads(saved["save-json"]) == answer
    sizes = {}
    for name, content in saved.items():
        if name != "save-json":
            with Image.open(io.BytesIO(content)) as image:
                sizes[name] = image.size
    assert sizes["save-divergence"][0] == answer["film"]["width"]
    assert sizes["save-divergence"][1] > answer["film"]["height"]
    assert sizes["save-sheet"][0] > 3 * answer["film"]["width"]
    assert len({saved["save-cam-1"], saved["save-cam-2"], saved["save-divergence"]}) == 3


def test_a_region_is_predicted_on_request_and_never_called_an_explanation(opened: Page) -> None:
    first = screened(opened, lambda: choose(opened, film_png(600, 800)))
    card = opened.locator("#predicted-card")
    if card.is_hidden():
        pytest.skip("this service ships no network that predicts regions")
    assert first["predicted_regions"] is None
    expect(card).to_contain_text("not an explanation of the classifier")

    answer = screened(opened, lambda: opened.click("#predict-region"))

    (found,) = answer["predicted_regions"]
    drawn = card.locator("canvas")
    expect(drawn).to_have_attribute("aria-label", re.compile("outline of the predicted region"))
    expect(opened.locator("#predict-region")).to_be_hidden()
    expect(card.locator(".agreement li")).to_have_count(len(found["agreement"]))
    seen = pixels(opened, "#predicted-card canvas")
    is_line = (seen[..., :3] == (64, 224, 255)).all(axis=2)
    values = np.array(found["region"]["values"])
    if values.max() >= 0.5 > values.min():
        assert 0.0005 < is_line.mean() < 0.2
        rows, columns = np.nonzero(is_line)
        grey = seen[~is_line][:, :3]
        assert (grey[:, 0] == grey[:, 1]).all()  # nothing but the outline is coloured
        inside = np.argwhere(values >= 0.5)
        x0, y0, x1, y1 = found["region"]["extent"]
        scale = seen.shape[0] / answer["image"]["height"]
        middle = (inside.mean(axis=0) + 0.5) / len(values)
        expected = (y0 + middle[0] * (y1 - y0)) * scale, (x0 + middle[1] * (x1 - x0)) * scale
        assert abs(rows.mean() - expected[0]) < 0.06 * seen.shape[0]
        assert abs(columns.mean() - expected[1]) < 0.06 * seen.shape[0]


def test_another_film_forgets_the_predicted_region(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(600, 800)))
    if opened.locator("#predicted-card").is_hidden():
        pytest.skip("this service ships no network that predicts regions")
    screened(opened, lambda: opened.click("#predict-region"))
    expect(opened.locator("#predicted-answers canvas")).to_have_count(1)

    screened(opened, lambda: choose(opened, film_png(400, 500), "other.png"))

    expect(opened.locator("#predict-region")).to_be_visible()
    expect(opened.locator("#predicted-answers canvas")).to_have_count(0)


def test_a_region_flagged_empty_says_so(opened: Page) -> None:
    def emptied(route: Route) -> None:
        response = route.fetch()
        content = response.json()
        for region in content["predicted_regions"] or ():
            region["region"] |= {"flags": ["empty_region"], "area_share": 0.0}
        route.fulfill(response=response, json=content)

    screened(opened, lambda: choose(opened, film_png(600, 800)))
    if opened.locator("#predicted-card").is_hidden():
        pytest.skip("this service ships no network that predicts regions")
    opened.route("**/v1/screenings?*", emptied)
    screened(opened, lambda: opened.click("#predict-region"))

    expect(opened.locator("#predicted-card [data-flag=empty_region]")).to_contain_text("nothing to outline")


def test_an_expert_that_predicts_a_region_is_no_choice_of_a_pair(opened: Page) -> None:
    screened(opened, lambda: choose(opened, film_png(600, 800)))

    offered = opened.locator("#interest option").evaluate_all("options => options.map((option) => option.value)")

    assert "covid19" in offered
    assert not [name for name in offered if name.endswith("-region")]


def test_only_viewing_preferences_are_remembered(opened: Page, service_url: str) -> None:
    screened(opened, lambda: choose(opened, film_png(400, 500)))
    opened.fill("#alpha-number", "22")
    opened.select_option("#colour-map", "cividis")
    settle(opened)

    stored = opened.evaluate("() => ({ ...localStorage })")
    _ready(opened, service_url)

    assert set(stored) == {"discern.viewing"}
    assert set(json.loads(stored["discern.viewing"])) == {"alpha", "colourMap", "opacity", "fades", "boxes"}
    assert opened.evaluate("sessionStorage.length") == 0
    assert opened.url == f"{service_url}/"
    assert opened.input_value("#alpha-number") == "22"
    assert opened.input_value("#colour-map") == "cividis"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 %"),
        (0.004, "< 1 %"),
        (0.006, "1 %"),
        (0.5, "50 %"),
        (0.994, "99 %"),
        (0.9951, "> 99 %"),
        (1.0, "100 %"),
    ],
)
def test_a_probability_short_of_certain_is_not_shown_as_certain(desk: Page, value: float, text: str) -> None:
    shown = desk.evaluate("async (value) => (await import('/web/dom.js')).percent(value)", value)

    assert shown == text

"""The OHIF viewer of npm before a PACS, and a browser that looks at a study in it (docs/faults.md, F12)."""

import base64
import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as NotShownError

from tests.integration.npm import kept
from tests.integration.pacs.orthanc import PASSWORD, USER, Orthanc
from tests.integration.pacs.ports import free_port

PACKAGE, VERSION = "@ohif/app", "3.13.2"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)  # fmt: skip
CONFIGURATION = """window.config = {
  routerBasename: null, extensions: [], modes: [], showStudyList: true, maxNumberOfWebWorkers: 1,
  showErrorDetails: 'always', useCPURendering: false, investigationalUseDialog: {option: 'never'},
  defaultDataSourceName: 'pacs',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'pacs',
    configuration: {
      friendlyName: 'PACS', name: 'pacs', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web', wadoUriRoot: '/wado',
      qidoSupportsIncludeField: true, imageRendering: 'wadors', thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true, supportsFuzzyMatching: false, supportsWildcard: true, dicomUploadEnabled: false,
      omitQuotationForMultipartRequest: true, bulkDataURI: {enabled: true},
    },
  }],
};
"""
NGINX_CONFIGURATION = """
daemon off; master_process off; pid FOLDER/nginx.pid; error_log FOLDER/error.log;
events { worker_connections 256; }
http {
  types { text/html html; text/css css; application/javascript js; application/wasm wasm; application/json json; }
  access_log off; client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/f;
  uwsgi_temp_path FOLDER/u; scgi_temp_path FOLDER/s;
  server {
    listen 127.0.0.1:PORT;
    location = /app-config.js { alias FOLDER/app-config.js; }
    location / { root DIST; try_files $uri /index.html; }
    location ~ ^/(dicom-web|wado) {
      proxy_pass UPSTREAM; proxy_set_header Authorization "Basic SECRET"; proxy_set_header Host $http_host;
      proxy_buffering off;
    }
  }
}
"""


def why_not() -> str | None:
    """Say why the viewer cannot be shown here; None where it can."""
    for command, package in ((NGINX, "nginx-light"), (CHROMIUM, "chromium"), (shutil.which("npm"), "npm")):
        if command is None:
            return f"no {package} here (apt-get install {package})"
    return None


def viewer_files() -> Path:
    """The prebuilt viewer, fetched from npm on first use."""
    return kept(f"ohif-app-{VERSION}", ["pack", "--loglevel=error", f"{PACKAGE}@{VERSION}"]) / "package" / "dist"


@contextlib.contextmanager
def viewer(pacs: Orthanc, folder: Path) -> Iterator[str]:
    """Serve the viewer before a PACS on loopback; gives its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "app-config.js").write_text(CONFIGURATION, encoding="utf-8")
    text = NGINX_CONFIGURATION
    for word, value in {
        "FOLDER": str(folder),
        "PORT": str(port),
        "DIST": str(viewer_files()),
        "UPSTREAM": pacs.url,
        "SECRET": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
    }.items():
        text = text.replace(word, value)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        deadline = time.monotonic() + 10
        address = f"http://127.0.0.1:{port}"
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if httpx2.get(address, trust_env=False).status_code == 200:
                    break
            assert time.monotonic() < deadline, (folder / "error.log").read_text("utf-8")
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def browser_page(width: int = 1400, height: int = 900) -> Iterator[Page]:
    """A page of a Chromium with an empty profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()


def open_study(page: Page, address: str, study_instance_uid: str) -> None:
    """Open a study and wait until its series are listed."""
    page.goto(f"{address}/viewer?StudyInstanceUIDs={study_instance_uid}", wait_until="load", timeout=120_000)
    page.locator("[data-cy='study-browser-thumbnail'], [data-cy='study-browser-thumbnail-no-image']").first.wait_for(
        timeout=120_000
    )
    with contextlib.suppress(NotShownError):  # the viewer's tour lies over everything, once for each profile
        page.get_by_text("Skip all").click(timeout=5_000)


def open_series(page: Page, description: str) -> None:
    """Show the series of a description in the viewport."""
    page.get_by_text(re.compile(description)).first.dblclick()
    page.wait_for_timeout(4_000)

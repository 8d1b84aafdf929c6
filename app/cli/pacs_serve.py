"""The hospital side's process: listener, pollers and worker, until it is told to stop."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator

from app.bootstrap import open_services
from app.bootstrap.certificates import make_certificate_watch
from app.bootstrap.configuration import note_configuration
from app.bootstrap.hospital import HospitalSide, open_hospital, spool_dir
from app.bootstrap.listener import make_listener
from app.bootstrap.sources import make_pollers
from app.bootstrap.worker import make_worker
from app.cli.exit_codes import OK
from app.domain.errors import ScreeningError
from app.services.hospital.refused_callers import RefusedCallers
from app.settings import Settings
from app.storage.patient_key import patient_key

_log = logging.getLogger(__name__)
_CLEAN_EVERY_S = 600.0
_REFUSALS_EVERY_S = 30.0
_CERTIFICATES_EVERY_S = 60.0


def serve(settings: Settings, roles: frozenset[str]) -> int:
    """Run roles until SIGTERM or SIGINT; what was acknowledged is on disk whatever happens."""
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    with contextlib.ExitStack() as running:
        side = running.enter_context(open_hospital(settings))
        side.audit.record("started", user="discern")
        running.callback(side.audit.record, "stopped", user="discern")
        folder = spool_dir(settings)
        changed = note_configuration(settings, side.audit, folder, patient_key(folder), roles)
        if changed:
            _log.info("configuration_changed", extra={"parts": ",".join(changed)})
        certificates = make_certificate_watch(side, roles)
        running.enter_context(_repeated("certificates", certificates.look, _CERTIFICATES_EVERY_S, stop))
        if "work" in roles:
            services = running.enter_context(open_services(settings))
            running.enter_context(make_worker(side, services).running(settings.shutdown_timeout_s))
            running.enter_context(_repeated("housekeeping", side.housekeeping.clean, _CLEAN_EVERY_S, stop))
        if "poll" in roles:
            for name, poll, every_s in make_pollers(side):
                running.enter_context(_repeated(name, poll, every_s, stop))
        if "listen" in roles:
            refused = RefusedCallers(side.audit)
            running.callback(refused.close)
            running.enter_context(_repeated("refused callers", refused.write_due, _REFUSALS_EVERY_S, stop))
            port = running.enter_context(_listener(side, refused))
            _log.info("listening", extra={"ae_title": settings.pacs.ae_title, "port": port})
        _log.info("running", extra={"roles": ",".join(sorted(roles))})
        stop.wait()
        _log.info("stopping")
    return OK


@contextlib.contextmanager
def _listener(side: HospitalSide, refused: RefusedCallers) -> Iterator[int]:
    settings = side.settings.pacs
    listener = make_listener(side, refused)
    with listener.listening(settings.host, settings.port, side.settings.shutdown_timeout_s) as port:
        yield port


@contextlib.contextmanager
def _repeated(name: str, act: Callable[[], object], every_s: float, stop: threading.Event) -> Iterator[None]:
    """Do something again and again in a thread of its own; what fails is logged and done again."""
    ended = threading.Event()

    def loop() -> None:
        while not (stop.is_set() or ended.is_set()):
            try:
                act()
            except ScreeningError as error:
                _log.warning(
                    "repeated_failed", extra={"what": name, "code": error.problem_code, "detail": error.detail}
                )
            except Exception:  # noqa: BLE001 - the loop that must survive
                _log.exception("repeated_defect", extra={"what": name})
            ended.wait(every_s) if not stop.is_set() else None

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30.0)

"""``discern serve``: the HTTP service."""

import argparse
import contextlib
import math
import signal
from typing import TYPE_CHECKING

from app.cli.exit_codes import OK, UNUSABLE
from app.settings import Settings
from app.telemetry import configure_logging

if TYPE_CHECKING:
    from app.cli.verbs import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Describe the verb."""
    parser = verbs.add_parser("serve", help="start the HTTP service")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Serve on one process, whose workers are threads, until it is told to stop; accepted films are finished."""
    import uvicorn

    from app.bootstrap import open_services
    from app.main import create_app, open_hospital_side

    configure_logging(settings.log_format, settings.log_level)
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)  # uvicorn shuts down first, then raises the signal once more
    print(
        f"Discern opens its page at http://{parsed.host}:{parsed.port}/ as soon as the models are verified", flush=True
    )
    # Opened here and not by the lifespan: a broken model is then a sentence, not uvicorn's traceback.
    with open_services(settings) as services, open_hospital_side(settings) as hospital:
        config = uvicorn.Config(
            create_app(
                settings, lambda _: contextlib.nullcontext(services), lambda _: contextlib.nullcontext(hospital)
            ),
            host=parsed.host,
            port=parsed.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(settings.shutdown_timeout_s),
        )
        server = uvicorn.Server(config)
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
    return OK if server.started else UNUSABLE

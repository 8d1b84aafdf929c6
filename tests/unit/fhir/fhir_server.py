"""A FHIR server on the loopback, as much of R4 as transactions, conditional creates and searches by identifier need."""

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Resource = dict[str, Any]  # Any: JSON


class RefusedError(Exception):
    """A transaction that cannot be done."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Store:
    """Resources by type and id; ``requests`` are the paths asked for."""

    resources: dict[tuple[str, str], Resource] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    token: str = ""

    def of(self, kind: str) -> list[Resource]:
        return [resource for (found, _), resource in self.resources.items() if found == kind]

    def search(self, kind: str, query: str) -> list[Resource]:
        asked = parse_qs(query, keep_blank_values=True, strict_parsing=True)
        assert list(asked) == ["identifier"], query
        system, value = asked["identifier"][0].split("|")
        return [
            resource
            for resource in self.of(kind)
            if any(each.get("system") == system and each["value"] == value for each in resource["identifier"])
        ]

    def transaction(self, bundle: Resource) -> Resource:
        """All of it or nothing (hl7.org/fhir/R4/http.html#transaction)."""
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "transaction")
        staged: list[tuple[str, str, Resource | None, str]] = []
        where: dict[str, str] = {}
        for entry in bundle["entry"]:
            resource, request = entry["resource"], entry["request"]
            kind = resource["resourceType"]
            status, keep, ident = "201 Created", resource, ""
            if request["method"] == "POST":
                assert request["url"] == kind
                assert "id" not in resource
                matches = self.search(kind, request["ifNoneExist"])
                if len(matches) > 1:
                    raise RefusedError(412, "several matches")
                ident = matches[0]["id"] if matches else uuid.uuid4().hex
                status, keep = ("200 OK", None) if matches else (status, resource)
            else:
                assert request["method"] == "PUT"
                ident = resource["id"]
                assert request["url"] == f"{kind}/{ident}"
                known = self.resources.get((kind, ident))
                status = "201 Created" if known is None else "200 OK"
            if "fullUrl" in entry:
                assert entry["fullUrl"] not in where, "a fullUrl comes twice"
                where[entry["fullUrl"]] = f"{kind}/{ident}"
            staged.append((kind, ident, keep, status))
        for kind, ident, keep, _ in staged:
            if keep is not None:
                self.resources[kind, ident] = resolved(keep, where) | {"id": ident}
        return {
            "resourceType": "Bundle",
            "type": "transaction-response",
            "entry": [
                {"response": {"status": status, "location": f"{kind}/{ident}"}} for kind, ident, _, status in staged
            ],
        }


def resolved(value: Any, where: dict[str, str]) -> Any:  # Any: JSON of any shape
    if isinstance(value, dict):
        found = {name: resolved(each, where) for name, each in value.items()}
        if "reference" in found:
            target = found["reference"]
            assert target in where or target in where.values(), f"{target} is not in the bundle"
            found["reference"] = where.get(target, target)
        return found
    return [resolved(each, where) for each in value] if isinstance(value, list) else value


@dataclass
class Conduct:
    """What the server does instead of its work; ``always`` the answer to everything."""

    always: tuple[int, str, bytes] | None = None
    hang_s: float = 0.0
    drop: bool = False
    forget: bool = False


@dataclass
class FhirServer:
    url: str
    store: Store
    conduct: Conduct


@contextlib.contextmanager
def fhir_server() -> Iterator[FhirServer]:
    store, conduct = Store(), Conduct()
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            self._answer(b"")

        def _answer(self, content: bytes) -> None:
            store.requests.append(self.path)
            if conduct.hang_s:
                stopping.wait(conduct.hang_s)
            if conduct.drop:
                self.close_connection = True
                return
            if conduct.always is not None:
                self._say(*conduct.always)
                return
            if store.token and self.headers.get("Authorization") != f"Bearer {store.token}":
                self._say(401, "application/json", b"{}")
                return
            if content:
                assert self.headers["Content-Type"].startswith("application/fhir+json")
                try:
                    bundle = json.loads(content)
                    before = dict(store.resources)
                    done = store.transaction(bundle)
                    if conduct.forget:
                        store.resources = before
                    self._resource(200, done)
                except RefusedError as refused:
                    outcome = {"severity": "error", "code": "conflict", "diagnostics": str(refused)}
                    self._resource(refused.status, {"resourceType": "OperationOutcome", "issue": [outcome]})
                return
            parts = urlsplit(self.path)
            found = store.search(parts.path.rpartition("/")[2], parts.query)
            entries = [{"resource": resource, "search": {"mode": "match"}} for resource in found]
            hits = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}
            self._resource(200, hits)

        def _resource(self, status: int, body: Resource) -> None:
            self._say(status, "application/fhir+json", json.dumps(body).encode())

        def _say(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield FhirServer(f"http://127.0.0.1:{server.server_address[1]}/fhir", store, conduct)
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(10)

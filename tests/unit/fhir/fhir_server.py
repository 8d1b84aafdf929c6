"""A FHIR server on the loopback, as much of R4 as transactions, conditional creates and searches by identifier need."""

import contextlib
import json
import sys
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

    def create(self, kind: str, resource: Resource, if_none_exist: str) -> tuple[int, Resource]:
        """One conditional create (hl7.org/fhir/R4/http.html#ccreate); references lead to what is here."""
        matches = self.search(kind, if_none_exist)
        if len(matches) > 1:
            raise RefusedError(412, "several matches")
        if matches:
            return 200, matches[0]
        self._check_references(resource)
        kept = resource | {"id": uuid.uuid4().hex}
        self.resources[kind, kept["id"]] = kept
        return 201, kept

    def put(self, kind: str, ident: str, resource: Resource) -> tuple[int, Resource]:
        self._check_references(resource)
        assert resource["id"] == ident
        status = 200 if (kind, ident) in self.resources else 201
        self.resources[kind, ident] = resource
        return status, resource

    def _check_references(self, value: Any) -> None:  # Any: JSON of any shape
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            self._check_references(each)
        if isinstance(value, dict) and "reference" in value:
            kind, _, ident = value["reference"].partition("/")
            assert (kind, ident) in self.resources, f"{value['reference']} leads nowhere"

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
        held = {f"{kind}/{ident}" for kind, ident in self.resources}
        for kind, ident, keep, _ in staged:
            if keep is not None:
                self.resources[kind, ident] = resolved(keep, where, {*where.values(), *held}) | {"id": ident}
        return {
            "resourceType": "Bundle",
            "type": "transaction-response",
            "entry": [
                {"response": {"status": status, "location": f"{kind}/{ident}"}} for kind, ident, _, status in staged
            ],
        }


def resolved(value: Any, where: dict[str, str], there: set[str]) -> Any:  # Any: JSON of any shape
    if isinstance(value, dict):
        found = {name: resolved(each, where, there) for name, each in value.items()}
        if "reference" in found:
            target = found["reference"]
            assert target in where or target in there, f"{target} is neither in the bundle nor here"
            found["reference"] = where.get(target, target)
        return found
    return [resolved(each, where, there) for each in value] if isinstance(value, list) else value


@dataclass
class Conduct:
    """What the server does instead of its work; ``always`` the answer to everything."""

    always: tuple[int, str, bytes] | None = None
    hang_s: float = 0.0
    drop: bool = False
    forget: bool = False
    transactions: bool = True
    silent: bool = False
    """Answers a create with the place alone, as servers may."""
    fails_after: int | None = None
    """Answers so many creates, then 503."""


@dataclass
class FhirServer:
    url: str
    store: Store
    conduct: Conduct


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, store: Store, conduct: Conduct) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store, self.conduct, self.stopping = store, conduct, threading.Event()
        self.one_at_a_time = threading.Lock()
        """Of two transactions that create the same resource unless it exists, the second one finds it."""

    def handle_error(self, request: Any, client_address: Any) -> None:  # Any: the base class's
        if not isinstance(sys.exc_info()[1], ConnectionError):  # callers who leave are no error
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def do_PUT(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self) -> None:
        self._answer(b"")

    def _answer(self, content: bytes) -> None:
        store, conduct = self.server.store, self.server.conduct
        store.requests.append(self.path)
        if conduct.hang_s:
            self.server.stopping.wait(conduct.hang_s)
        if conduct.drop:
            self.close_connection = True
        elif conduct.always is not None:
            self._say(*conduct.always)
        elif store.token and self.headers.get("Authorization") != f"Bearer {store.token}":
            self._say(401, "application/json", b"{}")
        else:
            with self.server.one_at_a_time:
                self._work(content)

    def _work(self, content: bytes) -> None:
        if not content:
            self._search()
        elif self.path != "/fhir":
            self._one(content)
        elif self.server.conduct.transactions:
            self._transaction(content)
        else:
            self._resource(400, {"resourceType": "OperationOutcome", "issue": [{"code": "too-costly"}]})

    def _transaction(self, content: bytes) -> None:
        store = self.server.store
        assert self.headers["Content-Type"].startswith("application/fhir+json")
        before = dict(store.resources)
        try:
            done = store.transaction(json.loads(content))
        except RefusedError as refused:
            outcome = {"severity": "error", "code": "conflict", "diagnostics": str(refused)}
            self._resource(refused.status, {"resourceType": "OperationOutcome", "issue": [outcome]})
            return
        if self.server.conduct.forget:
            store.resources = before
        self._resource(200, done)

    def _search(self) -> None:
        parts = urlsplit(self.path)
        found = self.server.store.search(parts.path.rpartition("/")[2], parts.query)
        entries = [{"resource": resource, "search": {"mode": "match"}} for resource in found]
        hits = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}
        self._resource(200, hits)

    def _one(self, content: bytes) -> None:
        store, conduct = self.server.store, self.server.conduct
        if conduct.fails_after is not None:
            conduct.fails_after -= 1
            if conduct.fails_after < 0:
                self._say(503, "text/plain", b"")
                return
        kind, _, ident = self.path.removeprefix("/fhir/").partition("/")
        if self.command == "PUT":
            status, found = store.put(kind, ident, json.loads(content))
        else:
            try:
                status, found = store.create(kind, json.loads(content), self.headers["If-None-Exist"])
            except RefusedError as refused:
                self._say(refused.status, "application/fhir+json", b"{}")
                return
        place = f"http://127.0.0.1/fhir/{kind}/{found['id']}/_history/1"
        body = b"" if conduct.silent else json.dumps(found).encode()
        self._say(status, "application/fhir+json", body, place)

    def _resource(self, status: int, body: Resource) -> None:
        self._say(status, "application/fhir+json", json.dumps(body).encode())

    def _say(self, status: int, content_type: str, body: bytes, place: str = "") -> None:
        self.send_response(status)
        if place:
            self.send_header("Location", place)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def fhir_server() -> Iterator[FhirServer]:
    store, conduct = Store(), Conduct()
    server = _Server(store, conduct)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield FhirServer(f"http://127.0.0.1:{server.server_address[1]}/fhir", store, conduct)
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(10)

"""Until when certificates hold, told from their files."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.errors import DestinationError
from app.pacs.certificates import RenewedContext, holds_until
from tests.unit.pacs.certificates import authority, signed


def end_by_openssl(certificate: Path) -> datetime:
    said = subprocess.run(
        ["openssl", "x509", "-in", str(certificate), "-noout", "-enddate"], check=True, capture_output=True, text=True
    ).stdout
    return datetime.strptime(said.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)


@pytest.mark.parametrize("days", [-1, 1, 400, 40_000], ids=["expired", "soon", "later", "beyond 2050"])
def test_the_end_is_the_one_that_openssl_tells(tmp_path: Path, days: int) -> None:
    certificate, key = signed(tmp_path, "server", authority(tmp_path), days=days)

    assert holds_until(certificate, key) == end_by_openssl(certificate)


def test_a_chain_holds_as_long_as_what_ends_first(tmp_path: Path) -> None:
    by = authority(tmp_path)
    certificate, key = signed(tmp_path, "server", by, days=400)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(certificate.read_bytes() + by[0].read_bytes())

    assert holds_until(chain, key) == end_by_openssl(by[0])


def test_a_file_that_is_missing_or_none_or_belongs_to_another_key_is_said(tmp_path: Path) -> None:
    by = authority(tmp_path)
    certificate, key = signed(tmp_path, "one", by)
    _, other = signed(tmp_path, "two", by)
    none = tmp_path / "none.pem"
    none.write_text("nothing\n", "utf-8")

    for files in [(tmp_path / "missing.pem", key), (none, key), (certificate, other)]:
        with pytest.raises(DestinationError, match=r"it cannot be read: .") as raised:
            holds_until(*files)
        assert raised.value.reason == "configuration"


def test_a_context_is_made_anew_only_of_files_that_changed_and_can_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    by = authority(tmp_path)
    certificate, key = signed(tmp_path, "one", by)
    context = RenewedContext(certificate, key, by[0])
    first = context()
    assert context() is first

    working = key.read_bytes()
    key.write_bytes(b"half of a k")
    assert context() is context() is first
    key.unlink()
    assert context() is first
    key.write_bytes(working)
    renewed = context()

    assert renewed is not first
    assert context() is renewed
    assert [record.message for record in caplog.records] == ["certificate_not_renewed", "certificate_not_renewed"]


def test_files_that_cannot_be_used_at_the_start_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DestinationError):
        RenewedContext(tmp_path / "none.pem", tmp_path / "none.key", None)

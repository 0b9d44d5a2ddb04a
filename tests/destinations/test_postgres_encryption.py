"""A Postgres that encrypts: whose certificate is believed, and for which host."""

import gc
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.registry import parse_url
from connector.errors import DestinationRefused
from tests.rigs.postgres import Database, Server
from tests.rigs.relay import ASKS, Relay

from .items import A
from .needs import checked
from .story import Story, put

HOST = "db.example.com"
Serve = Callable[[str], str]


def certificate(host: str, folder: Path) -> Path:
    """A certificate for a host, which is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}.pem"
    file.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.fixture
def serve(server: Server, own: Database, tmp_path: Path) -> Iterator[Serve]:
    """Starts a server with a certificate for a host; returns the url of HOST, which leads to it."""
    with ExitStack() as stack:

        def start(host: str) -> str:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate(host, tmp_path))
            relay = stack.enter_context(Relay(server.socket, tls, asked=True))
            return f"postgresql://postgres@{HOST}:{relay.port}/{own.name}?hostaddr=127.0.0.1"

        yield start


def test_the_right_certificate_is_believed(serve, tmp_path):
    url = parse_url(f"{serve(HOST)}&sslrootcert={tmp_path}/{HOST}.pem")
    story = Story(PostgresDestination(url))
    assert "PostgreSQL" in checked(story.destination)
    story.plan()
    story.tail(put(A))
    story.shows(A)


@pytest.mark.parametrize("host", ["other.example.com", "example.com", "127.0.0.1"])
def test_a_certificate_of_another_host_is_refused(serve, tmp_path, host):
    url = parse_url(f"{serve(host)}&sslrootcert={tmp_path}/{host}.pem")
    with pytest.raises(DestinationRefused, match="no verified, encrypted connection"):
        checked(PostgresDestination(url))


def test_a_certificate_of_an_unknown_authority_is_refused(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    other = certificate("other.example.com", tmp_path)
    right = serve(HOST)
    for url in (right, f"{right}&sslrootcert={other}", f"{right}&sslrootcert=system"):
        with pytest.raises(DestinationRefused, match="no verified, encrypted") as caught:
            checked(PostgresDestination(parse_url(url)))
        assert "sslrootcert" in caught.value.hint


def test_only_a_url_that_says_so_goes_without_the_certificate(serve):
    url = serve("other.example.com")
    assert checked(PostgresDestination(parse_url(f"{url}&sslmode=require")))


def test_the_relay_leaves_nothing_open(tmp_path, recwarn):
    """Nor where a client never answers: else its warning would fail some later test."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate(HOST, tmp_path))
    trusting = ssl.create_default_context(cafile=tmp_path / f"{HOST}.pem")
    with socket.create_server(("127.0.0.1", 0)) as target:
        with Relay(target.getsockname(), tls, asked=True) as relay:
            client = socket.create_connection(("127.0.0.1", relay.port))
            client.sendall(ASKS["tls"])
            assert client.recv(1) == b"S"
            client = trusting.wrap_socket(client, server_hostname=HOST)
        gc.collect()
        client.close()
    assert not recwarn.list

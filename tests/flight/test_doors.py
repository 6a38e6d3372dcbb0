"""Ways in: tokens, passwords, TLS, client certificates, Unix sockets."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as fl
import pytest
from endpoint import Endpoint

TABLE = pa.table({"k": [1]})


def round_trip(client: fl.FlightClient, options: fl.FlightCallOptions | None = None) -> None:
    writer, _ = client.do_put(fl.FlightDescriptor.for_path("t"), TABLE.schema, options)
    with writer:
        writer.write_table(TABLE)
    assert client.do_get(fl.Ticket("t"), options).read_all().equals(TABLE)


@pytest.fixture
def tokens(tmp_path: Path) -> str:
    file = tmp_path / "tokens"
    lines = [
        f"{name}:{right}:{hashlib.sha256(token.encode()).hexdigest()}"
        for name, right, token in (("w", "write", "writer"), ("r", "read", "reader"))
    ]
    file.write_text("\n".join(lines))
    return str(file)


def bearer(token: str) -> fl.FlightCallOptions:
    return fl.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])


def test_tokens_say_who_may_read_and_who_may_write(
    serve: Callable[..., Endpoint], tokens: str
) -> None:
    client = serve("--token-file", tokens).client()

    with pytest.raises(fl.FlightUnauthenticatedError):
        list(client.list_flights())
    with pytest.raises(fl.FlightUnauthenticatedError):
        list(client.list_flights(b"", bearer("wrong")))
    round_trip(client, bearer("writer"))
    assert client.do_get(fl.Ticket("t"), bearer("reader")).read_all().equals(TABLE)
    with pytest.raises(fl.FlightUnauthorizedError):
        round_trip(client, bearer("reader"))


def test_a_password_becomes_a_bearer_token(serve: Callable[..., Endpoint], tokens: str) -> None:
    client = serve("--token-file", tokens).client()

    pair = client.authenticate_basic_token("anybody", "writer")

    assert pair[0] == b"authorization"
    round_trip(client, fl.FlightCallOptions(headers=[pair]))
    with pytest.raises(fl.FlightUnauthenticatedError):
        client.authenticate_basic_token("anybody", "wrong")


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not at hand")
    folder = tmp_path / "tls"
    folder.mkdir()
    for name in ("ca", "server", "client", "stranger"):
        key, subject = str(folder / f"{name}.key"), f"/CN={name}"
        if name in ("ca", "stranger"):
            openssl(
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                subject,
                "-keyout",
                key,
                "-out",
                str(folder / f"{name}.pem"),
            )
            continue
        request, extensions = str(folder / f"{name}.csr"), folder / f"{name}.ext"
        extensions.write_text(
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
        )
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            subject,
            "-keyout",
            key,
            "-out",
            request,
        )
        openssl(
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            str(folder / "ca.pem"),
            "-CAkey",
            str(folder / "ca.key"),
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            str(extensions),
            "-out",
            str(folder / f"{name}.pem"),
        )
    return folder


def test_tls_encrypts_and_is_checked(serve: Callable[..., Endpoint], certificates: Path) -> None:
    endpoint = serve(
        "--tls-cert",
        str(certificates / "server.pem"),
        "--tls-key",
        str(certificates / "server.key"),
    )
    assert endpoint.urls[0].startswith("grpc+tls://")

    round_trip(endpoint.client(tls_root_certs=(certificates / "ca.pem").read_bytes()))
    with pytest.raises(fl.FlightUnavailableError):
        list(
            endpoint.client(
                tls_root_certs=(certificates / "stranger.pem").read_bytes()
            ).list_flights()
        )


def test_client_certificates_are_asked_for(
    serve: Callable[..., Endpoint], certificates: Path
) -> None:
    endpoint = serve(
        "--tls-cert",
        str(certificates / "server.pem"),
        "--tls-key",
        str(certificates / "server.key"),
        "--tls-client-ca",
        str(certificates / "ca.pem"),
    )
    ca = (certificates / "ca.pem").read_bytes()

    def client(name: str) -> fl.FlightClient:
        chain, key = (
            (certificates / f"{name}.pem").read_bytes(),
            (certificates / f"{name}.key").read_bytes(),
        )
        return endpoint.client(tls_root_certs=ca, cert_chain=chain, private_key=key)

    round_trip(client("client"))
    for stranger in (endpoint.client(tls_root_certs=ca), client("stranger")):
        with pytest.raises(fl.FlightError):
            list(stranger.list_flights())


def test_a_unix_socket_serves_too(serve: Callable[..., Endpoint], tmp_path: Path) -> None:
    endpoint = serve("--flight", f"unix:{tmp_path}/flight.sock")

    # gRPC makes the path the authority, which HTTP libraries refuse.
    options = [("grpc.default_authority", "localhost")]
    round_trip(endpoint.client(generic_options=options))


def test_several_addresses_lead_to_one_store(serve: Callable[..., Endpoint]) -> None:
    endpoint = serve("--flight", "127.0.0.1:0", "--flight", "127.0.0.1:0")
    assert len(set(endpoint.urls)) == 2

    round_trip(fl.FlightClient(endpoint.urls[0]))
    assert fl.FlightClient(endpoint.urls[1]).do_get(fl.Ticket("t")).read_all().equals(TABLE)

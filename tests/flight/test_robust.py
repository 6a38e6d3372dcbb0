"""Clients that die, stall or come in crowds: nothing is left of them, and nobody else notices."""

from __future__ import annotations

import multiprocessing as mp
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.flight as fl
from endpoint import Endpoint

PATIENCE = 60.0
SOAK_SECONDS = float(os.environ.get("SHEAF_SOAK_SECONDS", "3"))


def eventually(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not claim():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def table(rows: int = 1_000_000) -> pa.Table:
    return pa.table({"k": pa.array(range(rows), pa.int64())})


def put(client: fl.FlightClient, name: str, data: pa.Table) -> None:
    writer, _ = client.do_put(fl.FlightDescriptor.for_path(name), data.schema)
    with writer:
        writer.write_table(data)


def upload_for_ever(url: str) -> None:
    data = table(100_000)
    writer, _ = fl.FlightClient(url).do_put(fl.FlightDescriptor.for_path("never"), data.schema)
    for _ in range(20):
        writer.write_table(data)
    time.sleep(PATIENCE)


def download_slowly(url: str) -> None:
    reader = fl.FlightClient(url).do_get(fl.Ticket("t"))
    reader.read_chunk()
    time.sleep(PATIENCE)


def test_a_client_that_is_killed_leaves_nothing(endpoint: Endpoint) -> None:
    client = endpoint.client()
    put(client, "t", table(4_000_000))
    context = mp.get_context("spawn")
    for work, begun in (
        (upload_for_ever, lambda: endpoint.near.stat()["drafts"] == 1),
        (download_slowly, lambda: endpoint.near.stat()["held"] >= 1),
    ):
        process = context.Process(target=work, args=[endpoint.urls[0]])
        process.start()
        eventually(begun)

        process.kill()
        process.join()

        eventually(lambda: endpoint.near.stat()["drafts"] == 0)
        eventually(lambda: endpoint.near.stat()["held"] == 0)
    assert client.do_get(fl.Ticket("t")).read_all().num_rows == 4_000_000


def test_a_reader_that_stalls_costs_no_memory_and_stops_nobody(endpoint: Endpoint) -> None:
    client = endpoint.client()
    put(client, "t", table(8_000_000))
    client.do_get(fl.Ticket("t")).read_chunk()
    before = endpoint.memory_bytes()

    stalled = [endpoint.client().do_get(fl.Ticket("t")) for _ in range(20)]
    for reader in stalled:
        reader.read_chunk()

    assert client.do_get(fl.Ticket("t")).read_all().num_rows == 8_000_000
    grown = endpoint.memory_bytes() - before
    # 20 readers of 64 MB each: a hundredth of what they read, at most.
    assert grown < 20 * 64_000_000 / 100, grown


def test_idle_connections_cost_little(endpoint: Endpoint) -> None:
    host, port = endpoint.urls[0].removeprefix("grpc://").split(":")
    list(endpoint.client().list_flights())
    before = endpoint.memory_bytes()

    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    idle = []
    for _ in range(1000):
        connection = socket.create_connection((host, int(port)))
        connection.sendall(preface)
        idle.append(connection)
    for connection in idle:
        assert connection.recv(9)  # The server's settings: it has taken the connection.

    assert list(endpoint.client().list_flights()) == []
    assert (endpoint.memory_bytes() - before) / 1000 < 64 << 10
    for connection in idle:
        connection.close()
    eventually(lambda: endpoint.descriptors() < 200)


def test_bytes_that_mean_nothing_end_their_connection_only(endpoint: Endpoint) -> None:
    host, port = endpoint.urls[0].removeprefix("grpc://").split(":")
    chance = random.Random(7)
    for _ in range(50):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            connection.sendall(chance.randbytes(chance.randrange(1, 2000)))

    client = endpoint.client()
    put(client, "t", table(10))
    assert client.do_get(fl.Ticket("t")).read_all().num_rows == 10


class Proxy:
    """Passes connections on, in pieces, slowly, and cuts some of them."""

    def __init__(self, url: str, seed: int) -> None:
        host, port = url.removeprefix("grpc://").split(":")
        self.target = (host, int(port))
        self.chance = random.Random(seed)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"grpc://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            left = [self.chance.choice([10**9, 10**9, 300_000, 3_000_000])]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=[*pair, left], daemon=True).start()

    def pump(self, source: socket.socket, target: socket.socket, left: list[int]) -> None:
        chance = random.Random(self.chance.random())
        try:
            while left[0] > 0 and (data := source.recv(chance.randrange(1, 65_536))):
                left[0] -= len(data)
                if chance.random() < 0.02:
                    time.sleep(chance.random() / 50)
                target.sendall(data)
        except OSError:
            pass
        for side in (source, target):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def test_a_network_that_cuts_and_delays_loses_and_leaves_nothing(endpoint: Endpoint) -> None:
    proxy = Proxy(endpoint.urls[0], seed=11)
    put(endpoint.client(), "t", table(500_000))
    kept, outcomes = set(), {"whole": 0, "cut": 0}
    for number in range(24):
        client = fl.FlightClient(proxy.url)
        try:
            if number % 2:
                assert client.do_get(fl.Ticket("t")).read_all().num_rows == 500_000
            else:
                put(client, f"p{number}", table(200_000))
                kept.add(f"p{number}")
            outcomes["whole"] += 1
        except (fl.FlightError, pa.ArrowException):
            outcomes["cut"] += 1

    assert outcomes["whole"] and outcomes["cut"], outcomes
    eventually(lambda: endpoint.near.stat()["drafts"] == 0)
    eventually(lambda: endpoint.near.stat()["held"] == 0)
    # An upload whose answer was lost may be there; one that was acknowledged is.
    assert kept <= {info.name for info in endpoint.near.list("p")}
    for name in kept:
        assert endpoint.near.get(name).num_rows == 200_000


def test_a_soak_ends_where_it_began(endpoint: Endpoint) -> None:
    def work(seed: int, until: float) -> None:
        chance, client = random.Random(seed), endpoint.client()
        while time.monotonic() < until:
            name = f"s{seed}"
            put(client, name, table(chance.randrange(1, 200_000)))
            reader = client.do_get(fl.Ticket(name))
            if chance.random() < 0.3:
                reader.cancel()
            else:
                reader.read_all()
            list(client.list_flights())
            [_] = client.do_action(fl.Action("delete", f'{{"name": "{name}"}}'.encode()))

    def soak(seconds: float) -> None:
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(lambda seed: work(seed, until), range(6)))
        eventually(lambda: endpoint.near.stat()["held"] == 0)
        eventually(lambda: endpoint.near.stat()["retired_bytes"] == 0)

    soak(1)
    memory, descriptors = endpoint.memory_bytes(), endpoint.descriptors()
    soak(SOAK_SECONDS)

    stat = endpoint.near.stat()
    assert (stat["objects"], stat["drafts"], stat["sealed_bytes"]) == (0, 0, 0)
    assert endpoint.memory_bytes() - memory < 32 << 20
    assert endpoint.descriptors() - descriptors < 40

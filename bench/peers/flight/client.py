"""One measurement by a stock pyarrow client, in a process of its own.

`client.py URL CA get|put|info|list NAME STREAMS`. Prints a JSON object: seconds and bytes, or
the median microseconds of a call.
"""

import json
import sys
import threading
import time
from statistics import median

import pyarrow.flight as fl
from table import make

CALLS = 400


def connect(url: str, ca: str) -> fl.FlightClient:
    options = {}
    if url.startswith("grpc+unix"):
        # gRPC makes the path the authority, which HTTP libraries refuse.
        options["generic_options"] = [("grpc.default_authority", "localhost")]
    if ca:
        options["tls_root_certs"] = open(ca, "rb").read()
    client = fl.FlightClient(url, **options)
    client.wait_for_available()
    return client


def get(client: fl.FlightClient, name: str) -> int:
    ticket = client.get_flight_info(fl.FlightDescriptor.for_path(name)).endpoints[0].ticket
    total = 0
    for chunk in client.do_get(ticket):
        total += chunk.data.nbytes
    return total


def put(client: fl.FlightClient, name: str) -> int:
    table = make(int(name.lstrip("t")), TABLE_ROWS)
    BARRIER.wait()
    descriptor = fl.FlightDescriptor.for_path(f"put-{name}-{id(table)}")
    writer, reader = client.do_put(descriptor, table.schema)
    for batch in table.to_batches():
        writer.write_batch(batch)
    writer.done_writing()
    while reader.read() is not None:
        pass
    writer.close()
    return table.nbytes


def calls(client: fl.FlightClient, what: str, name: str) -> float:
    descriptor = fl.FlightDescriptor.for_path(name)
    call = {
        "info": lambda: client.get_flight_info(descriptor),
        "list": lambda: list(client.list_flights()),
    }[what]
    seconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return median(seconds[CALLS // 4 :]) * 1e6


def moved(url: str, ca: str, what: str, name: str, streams: int) -> dict[str, float]:
    clients = [connect(url, ca) for _ in range(streams)]
    totals = [0] * streams

    def run(number: int) -> None:
        if what == "get":
            BARRIER.wait()
        totals[number] = (get if what == "get" else put)(clients[number], name)

    threads = [threading.Thread(target=run, args=[number]) for number in range(streams)]
    for thread in threads:
        thread.start()
    BARRIER.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return {"seconds": time.perf_counter() - start, "bytes": sum(totals)}


if __name__ == "__main__":
    url, ca, what, name, streams, rows = sys.argv[1:]
    TABLE_ROWS = int(rows)
    BARRIER = threading.Barrier(int(streams) + 1)
    if what in ("info", "list"):
        print(json.dumps({"us": calls(connect(url, ca), what, name)}))
    else:
        print(json.dumps(moved(url, ca, what, name, int(streams))))

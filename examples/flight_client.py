"""A stock pyarrow client puts a table by Arrow Flight, finds it, and reads it back.

Start `sheaf serve`, then: python examples/flight_client.py [grpc://127.0.0.1:8815]
"""

import sys

import pyarrow as pa
import pyarrow.flight as fl

URL = sys.argv[1] if len(sys.argv) > 1 else "grpc://127.0.0.1:8815"


def main() -> None:
    client = fl.connect(URL)
    table = pa.table({"carrier": ["AA", "UA", None], "delay": [1.5, -2.0, 0.0]})
    descriptor = fl.FlightDescriptor.for_path("delays")

    replacing = fl.FlightCallOptions(headers=[(b"sheaf-replace", b"true")])
    writer, _ = client.do_put(descriptor, table.schema, replacing)
    with writer:
        writer.write_table(table)

    for info in client.list_flights():
        name = info.descriptor.path[0].decode()
        print(f"{name}: {info.total_records} rows, {info.total_bytes} bytes")

    [endpoint] = client.get_flight_info(descriptor).endpoints
    back = client.do_get(endpoint.ticket).read_all()
    assert back.equals(table)
    print("what came back is what went")


if __name__ == "__main__":
    main()

"""A plain pyarrow Flight server (C++ underneath) that keeps tables in memory: the peer.

`server.py LOCATION ROWS [CERT KEY]`. Serves `t65536` and `t1048576`, the table in batches of so
many rows, and keeps what was put last. Prints its port once it serves; ends with its standard input.
"""

import sys
import threading

import pyarrow as pa
import pyarrow.flight as fl
from table import BATCH_ROWS, make


class Server(fl.FlightServerBase):
    def __init__(self, location: str, rows: int, certificates: list[tuple[bytes, bytes]]) -> None:
        super().__init__(location, tls_certificates=certificates)
        self.tables = {f"t{of}".encode(): make(of, rows) for of in BATCH_ROWS}

    def info(self, name: bytes) -> fl.FlightInfo:
        table = self.tables[name]
        return fl.FlightInfo(
            table.schema,
            fl.FlightDescriptor.for_path(name),
            [fl.FlightEndpoint(name, [])],
            table.num_rows,
            table.nbytes,
        )

    def list_flights(self, _context, _criteria):
        return (self.info(name) for name in list(self.tables))

    def get_flight_info(self, _context, descriptor):
        return self.info(descriptor.path[0])

    def do_get(self, _context, ticket):
        table = self.tables[ticket.ticket]
        reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
        return fl.RecordBatchStream(reader)

    def do_put(self, _context, descriptor, reader, _writer):
        self.tables[b"put"] = reader.read_all()


def main() -> None:
    location, rows, *files = sys.argv[1:]
    pair = [tuple(open(file, "rb").read() for file in files)] if files else []
    server = Server(location, int(rows), pair)
    print(server.port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve()


if __name__ == "__main__":
    main()

"""Sheaf's Flight endpoint beside a pyarrow Flight server, as a table of ratios.

Both serve the same table to the same stock client, in turns; who begins changes every round, and
every measurement has a client process of its own. README.md says what the columns are.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Iterator

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import programs  # noqa: E402

MEMORY = "6GiB"
TICK = os.sysconf("SC_CLK_TCK")
ROWS = 16 << 20

#: (transport, what, rows of a batch, streams)
BATCHES = (65_536, 1_048_576)
FULL = [
    *(("tcp", what, rows, n) for what in ("get", "put") for rows in BATCHES for n in (1, 2, 4)),
    *((door, what, 1_048_576, 1) for door in ("unix", "tls") for what in ("get", "put")),
]
QUICK = [("tcp", what, 65_536, 1) for what in ("get", "put")]

#: Throughput at least, CPU at most, beside the peer's.
REACH = {
    ("get", 65_536): (1.2, 0.6),
    ("get", 1_048_576): (1.5, 0.6),
    ("put", 65_536): (1.5, 0.5),
    ("put", 1_048_576): (1.5, 0.5),
}
CALL_REACH = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="default 7, quick 1")
    parser.add_argument("--quick", action="store_true", help="one row each, a small table")
    parser.add_argument("--only", choices=["get", "put", "calls"], help="a part")
    parser.add_argument("--door", choices=["tcp", "unix", "tls"], help="one transport")
    parser.add_argument("--sheaf", metavar="PROGRAM", help="default: built for release")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 7)
    global ROWS
    ROWS = 1 << 20 if arguments.quick else ROWS
    cases = [
        case
        for case in (QUICK if arguments.quick else FULL)
        if arguments.only in (None, case[1]) and arguments.door in (None, case[0])
    ]
    python, sheaf = str(programs.environment("flight")), arguments.sheaf or program()
    print(f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    print(head())
    for door in ("tcp", "unix", "tls"):
        of_door = [case for case in cases if case[0] == door]
        with_calls = door == "tcp" and arguments.only in (None, "calls")
        with_calls = with_calls and arguments.door in (None, "tcp")
        if of_door or with_calls:
            measure(python, sheaf, door, of_door, with_calls, rounds)
    print(f"median of {rounds} rounds; load at the end {os.getloadavg()[0]:.1f}")


def program() -> str:
    programs.output(["cargo", "build", "--quiet", "--release", "--package=sheaf"])
    metadata = programs.output(["cargo", "metadata", "--no-deps", "--format-version=1"])
    return str(Path(json.loads(metadata)["target_directory"], "release", "sheaf"))


class Peer:
    """A server: where it is, and the processor time that it has taken."""

    def __init__(self, process: subprocess.Popen, url: str, ca: str) -> None:
        self.process, self.url, self.ca = process, url, ca

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def measure(self, python: str, what: str, name: str, streams: int) -> dict[str, float]:
        before = self.cpu_seconds()
        command = [python, str(HERE / "client.py"), self.url, self.ca, what, name, str(streams)]
        told = json.loads(subprocess.check_output([*command, str(ROWS)], text=True))
        if "bytes" in told:
            gigabytes = told["bytes"] / 1e9
            cpu = (self.cpu_seconds() - before) / gigabytes
            return {"rate": gigabytes / told["seconds"], "cpu": cpu}
        return told


def measure(python: str, sheaf: str, door: str, cases: list, with_calls: bool, rounds: int) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate = make_certificate(folder) if door == "tls" else []
        peers = {
            "sheaf": stack.enter_context(serve_sheaf(sheaf, python, folder, door, certificate)),
            "pyarrow": stack.enter_context(serve_pyarrow(python, folder, door, certificate)),
        }
        for _, what, rows, streams in cases:
            found: dict[str, list] = {name: [] for name in peers}
            for number in range(rounds + 1):
                order = list(peers) if number % 2 else list(peers)[::-1]
                for name in order:
                    one = peers[name].measure(python, what, f"t{rows}", streams)
                    if number:  # The first round warms both up.
                        found[name].append(one)
                    clear(sheaf, folder, peers[name], what)
            print(line(door, what, rows, streams, found), flush=True)
        for what in ("list", "info") if with_calls else ():
            found = {name: [] for name in peers}
            for number in range(rounds):
                for name in list(peers) if number % 2 else list(peers)[::-1]:
                    found[name].append(peers[name].measure(python, what, "t65536", 1)["us"])
            print(call_line(what, found), flush=True)


def clear(sheaf: str, folder: Path, peer: Peer, what: str) -> None:
    """What was put goes, so that both always have room; neither is timed for it."""
    if what != "put":
        return
    if "sheaf" in peer.process.args[0]:
        store = ["--store", f"unix:{folder}/store.sock"]
        listed = json.loads(subprocess.check_output([sheaf, "ls", "--json", *store], text=True))
        names = [row["name"] for row in listed if row["name"].startswith("put-")]
        if names:
            subprocess.run([sheaf, "rm", *names, *store], check=True)


@contextmanager
def serve_sheaf(
    sheaf: str, python: str, folder: Path, door: str, certificate: list[str]
) -> Iterator[Peer]:
    at = f"unix:{folder}/sheaf-flight.sock" if door == "unix" else "127.0.0.1:18815"
    tls = ["--tls-cert", certificate[0], "--tls-key", certificate[1]] if certificate else []
    command = [sheaf, "serve", "--memory", MEMORY, "--socket", f"{folder}/store.sock"]
    process = subprocess.Popen([*command, "--flight", at, *tls], stderr=subprocess.PIPE, text=True)
    try:
        for said in process.stderr:
            if "serving at" in said:
                break
        fill = "import sys; sys.path.insert(0, sys.argv[2]); import table, pyarrow.ipc as ipc\n"
        fill += "for rows in table.BATCH_ROWS:\n"
        fill += f"  t = table.make(rows, {ROWS})\n"
        fill += "  f = f'{sys.argv[1]}/t{rows}.arrow'\n"
        fill += "  w = ipc.new_file(f, t.schema); [w.write(b) for b in t.to_batches()]; w.close()"
        subprocess.run([python, "-c", fill, str(folder), str(HERE)], check=True)
        for name in ("t65536", "t1048576"):
            store = ["--store", f"unix:{folder}/store.sock"]
            put = [sheaf, "put", name, f"{folder}/{name}.arrow", *store]
            subprocess.run(put, check=True, stderr=subprocess.DEVNULL)
        scheme = {"tcp": "grpc://", "tls": "grpc+tls://", "unix": "grpc+"}[door]
        yield Peer(process, scheme + at.replace("127.0.0.1", "localhost"), (certificate or [""])[0])
    finally:
        process.terminate()
        process.wait()


@contextmanager
def serve_pyarrow(python: str, folder: Path, door: str, certificate: list[str]) -> Iterator[Peer]:
    scheme = {"tcp": "grpc://127.0.0.1:0", "tls": "grpc+tls://127.0.0.1:0"}
    at = scheme.get(door, f"grpc+unix://{folder}/pyarrow.sock")
    process = subprocess.Popen(
        [python, str(HERE / "server.py"), at, str(ROWS), *certificate],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = process.stdout.readline().strip()
        url = at if door == "unix" else at.replace("127.0.0.1:0", f"localhost:{port}")
        yield Peer(process, url, (certificate or [""])[0])
    finally:
        process.kill()
        process.wait()


def make_certificate(folder: Path) -> list[str]:
    if not shutil.which("openssl"):
        raise SystemExit("openssl is not on PATH, and the TLS rows need a certificate")
    paths = [str(folder / name) for name in ("cert.pem", "key.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-out", paths[0], "-keyout", paths[1]]
    subprocess.run(command, check=True, capture_output=True)
    return paths


def head() -> str:
    return (
        f"{'':30}{'GB/s':>8}{'pyarrow':>9}{'ratio':>8}{'reach':>7}"
        f"{'CPU s/GB':>11}{'pyarrow':>9}{'ratio':>8}{'reach':>7}"
    )


def line(door: str, what: str, rows: int, streams: int, found: dict) -> str:
    def column(key: str) -> tuple[float, float, float]:
        ours, theirs = ([one[key] for one in found[name]] for name in ("sheaf", "pyarrow"))
        ratio = median(a / b if b else float("nan") for a, b in zip(ours, theirs, strict=True))
        return median(ours), median(theirs), ratio

    rate, cpu = column("rate"), column("cpu")
    reach = REACH.get((what, rows), ("", "")) if streams == 1 else ("", "")
    label = f"{door} Do{what.title()} {rows // 1024}K rows, {streams} stream{'s' * (streams > 1)}"
    return (
        f"{label:30}{rate[0]:8.2f}{rate[1]:9.2f}{floored(rate[2]):>8}{reach[0]:>7}"
        f"{cpu[0]:11.3f}{cpu[1]:9.3f}{cpu[2]:8.2f}{reach[1]:>7}"
    )


def call_line(what: str, found: dict) -> str:
    ratio = median(a / b for a, b in zip(found["sheaf"], found["pyarrow"], strict=True))
    name = {"list": "ListFlights", "info": "GetFlightInfo"}[what]
    ours, theirs = median(found["sheaf"]), median(found["pyarrow"])
    return f"{name + ', µs':30}{ours:8.0f}{theirs:9.0f}{ratio:8.2f}{CALL_REACH:>7}"


def floored(value: float) -> str:
    """Two digits, never rounded up: 1.499 is no 1.5."""
    return f"{int(value * 100) / 100:.2f}"


if __name__ == "__main__":
    main()

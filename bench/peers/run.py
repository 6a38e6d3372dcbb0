"""Sheaf, Plasma and Ray's object store on the same workloads, side by side, as one table.

    python3.11 bench/peers/run.py            about ten minutes
    python3.11 bench/peers/run.py --quick    a smoke test; its figures mean nothing

Every round runs every peer's program once, each with a server of its own, in an order that
changes from round to round. README.md says what is measured, and what a program must print.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile

import programs
from report import figures, report, table

PEERS = ["sheaf", "plasma", "ray"]
WORKLOADS = "memcpy sum put-fresh put-recycled churn get put-small get-small".split()

FULL = {"sizes": "67108864,1073741824", "repeats": 5, "readers": 3, "churn": 200, "small": 1000}
QUICK = {"sizes": "8388608,33554432", "repeats": 2, "readers": 1, "churn": 10, "small": 100}
TIMEOUT_SECONDS = 900
GRACE_SECONDS = 20
BUSY_LOAD = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="default 5, quick 2")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it all work?")
    parser.add_argument("--json", action="store_true", help="all figures as JSON, no table")
    parser.add_argument("--peers", type=peer_list, default=PEERS, help="default sheaf,plasma,ray")
    parser.add_argument("--sheaf", metavar="PROGRAM", help="a ready sheaf-peer, not cargo's build")
    arguments = parser.parse_args()
    options = QUICK if arguments.quick else FULL
    rounds = arguments.rounds or (2 if arguments.quick else 5)

    # A termination unwinds like an exception, so that what was started also ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    commands = {
        peer: [arguments.sheaf] if peer == "sheaf" and arguments.sheaf else programs.command(peer)
        for peer in arguments.peers
    }
    if (load := os.getloadavg()[0]) > BUSY_LOAD:
        print(f"the machine is busy (load {load:.1f}): expect noise", file=sys.stderr)
    found = measure(commands, options, rounds)
    print(json.dumps(found, indent=2, ensure_ascii=False) if arguments.json else table(found))


def peer_list(text: str) -> list[str]:
    peers = text.split(",")
    if unknown := set(peers) - set(PEERS):
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)}")
    return peers


def measure(commands: dict[str, list[str] | None], options: dict, rounds: int) -> dict:
    """Runs all peers in every round; one without a program stays an empty column."""
    peers = list(commands)
    versions = dict.fromkeys(peers)
    done = []
    for number in range(rounds):
        results = {}
        for peer in rotated(peers, number):
            if command := commands[peer]:
                print(f"round {number + 1} of {rounds}: {peer}", file=sys.stderr)
                header, *results[peer] = run(command, options)
                versions[peer] = header["version"]
        done.append(figures(results))
    return report(done, versions)


def rotated(peers: list[str], by: int) -> list[str]:
    by %= len(peers)
    return peers[by:] + peers[:by]


def run(command: list[str], options: dict) -> list[dict]:
    """The lines that a peer's program prints. It is over when this returns, however it returns."""
    flags = [f"--{name}={value}" for name, value in options.items()]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [*command, *flags, *WORKLOADS],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        finally:
            end(process)
        if process.returncode != 0:
            errors.seek(0)
            raise SystemExit(f"{errors.read()}\n{command[-1]} failed ({process.returncode})")
    return [json.loads(line) for line in output.splitlines()]


def end(process: subprocess.Popen) -> None:
    """Asks the program to end, which ends its server; then makes sure of both.

    The program leads a session and a process group of its own, so nobody else is met here.
    """
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # The rule: nothing is left.
    process.wait()


if __name__ == "__main__":
    main()

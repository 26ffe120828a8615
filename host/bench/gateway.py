#!/usr/bin/env python3
"""The gateway beside a peer: one process each over standard input and output, the same raw JSON-RPC client.

    gateway.py NANOHOST PEER [--calls N] [--rounds R] [--folder DIR]

NANOHOST is the executable; PEER is `nano-vm-mcp` 0.4.6 (pip; it needs mcp<2). The calls of both alternate in
rounds, so that a machine that is busy is busy for both. DIR is where both keep what they keep: on a disk both
pay for it as they do by default (nanohost waits for the disk, the peer does not); in memory, such as below
/dev/shm, neither waits. A call of nanohost runs a program with one WebAssembly tool, with all its evidence; one
of the peer runs a program of one condition, which is the least it can run without a model.

Prints one JSON document: the median and the least of each in microseconds, the ratio of the medians, the time
from start to first answer, and the memory of each.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class Client:
    """A peer that speaks JSON-RPC, one message a line."""

    def __init__(self, command, environment):
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )
        self.last = 0
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        self.ask("initialize", hello)
        self.first_answer = time.perf_counter() - self.began
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method, params):
        self.last += 1
        self.send({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params})
        while True:
            line = self.process.stdout.readline()
            if not line:
                sys.exit(f"the peer closed its end: {self.process.args}")
            message = json.loads(line)
            if message.get("id") == self.last:
                return message["result"]

    def call(self, name, arguments):
        began = time.perf_counter()
        result = self.ask("tools/call", {"name": name, "arguments": arguments})
        took = time.perf_counter() - began
        if result.get("isError"):
            sys.exit(f"{name} failed: {json.dumps(result)[:2000]}")
        return took, result

    def memory(self):
        """Megabytes in memory now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return round(int(line.split()[1]) / 1024, 1)
        return None

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nanohost", type=Path)
    parser.add_argument("peer", type=Path)
    parser.add_argument("--calls", type=int, default=100, help="of each, in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        places = {f"NANOHOST_{place}": f"{folder}/{place.lower()}" for place in ("STORE", "CONFIG", "CACHE")}
        policy = Path(folder) / "policy.toml"
        policy.write_text("# The tool reaches nothing and needs no row.\n")
        tool = f"{REPOSITORY}/tools/text-digest:digest"
        command = [given.nanohost.resolve(), "mcp", "--tool", tool, "--policy", policy]
        # Once, so that the tool is built and its compiled code is kept.
        Client(command, places).close()
        own = Client(command, places)
        idle = own.memory()
        peer = Client([given.peer.resolve()], {"NANO_VM_MCP_DB": f"{folder}/peer.db", "HOME": folder})
        peer_idle = peer.memory()
        program = {"name": "least", "steps": [
            {"id": "a", "type": "condition", "condition": "1 == 1", "then": "b", "otherwise": "b"},
            {"id": "b", "type": "condition", "condition": "1 == 1", "then": "c", "otherwise": "c", "is_terminal": True},
            {"id": "c", "type": "condition", "condition": "1 == 1", "then": "b", "otherwise": "b", "is_terminal": True},
        ]}
        ours = ("text_digest_digest", {"text": "hello", "algorithm": "sha256"})
        theirs = ("run_program", {"program": program})
        seen = peer.call(*theirs)[1]
        times = {"nanohost": [], "peer": []}
        own.call(*ours)
        for _ in range(given.rounds):
            for name, client, what in (("nanohost", own, ours), ("peer", peer, theirs)):
                times[name] += [client.call(*what)[0] for _ in range(given.calls)]
        median = {name: statistics.median(took) * 1e6 for name, took in times.items()}
        print(json.dumps({
            "folder": str(given.folder or "the default"),
            "calls": given.calls * given.rounds,
            "nanohost": {
                "median_us": round(median["nanohost"]), "least_us": round(min(times["nanohost"]) * 1e6),
                "first_answer_ms": round(own.first_answer * 1e3, 1), "idle_mb": idle, "after_mb": own.memory(),
            },
            "peer": {
                "median_us": round(median["peer"]), "least_us": round(min(times["peer"]) * 1e6),
                "first_answer_ms": round(peer.first_answer * 1e3, 1), "idle_mb": peer_idle, "after_mb": peer.memory(),
                "said": json.dumps(seen)[:200],
            },
            "times": round(median["peer"] / median["nanohost"], 2),
        }, indent=1))
        own.close()
        peer.process.kill()


if __name__ == "__main__":
    main()

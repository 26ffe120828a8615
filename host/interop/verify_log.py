#!/usr/bin/env python3
"""Verifies a mirror of a nanohost log with libraries that nobody here wrote.

    verify_log.py MIRROR KEY [PROOF]

MIRROR is a folder that `nanohost log export` wrote, KEY what `nanohost log key` prints, PROOF what
`nanohost log prove` wrote. `cryptography` checks the signature under the checkpoint, `pymerkle`
computes the tree from the entries: its root has to be the checkpoint's, and its proof of the entry
the same hashes. Then single bytes of checkpoint and entries are changed in memory, and each change
has to be refused. Exit 0: all hold. Exit 1: the first failure, on stderr.
"""

import base64
import hashlib
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pymerkle import InmemoryTree


class Refused(Exception):
    """What was read does not hold."""


def check(holds, what):
    if not holds:
        raise Refused(what)


def read_key(vkey):
    """Name, hash and key of a C2SP verifier key."""
    name, digest, key = vkey.split("+", 2)
    key = base64.b64decode(key, validate=True)
    expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    check(key[0] == 1 and expected.hex() == digest, "the key is not in its form")
    return name, expected, Ed25519PublicKey.from_public_bytes(key[1:])


def open_checkpoint(note, key):
    """Size and root of a checkpoint that the key signed."""
    name, digest, public = key
    text, lines = note.rsplit("\n\n", 1)
    text += "\n"
    signed = False
    for line in lines.splitlines():
        dash, signer, signature = line.split(" ")
        signature = base64.b64decode(signature, validate=True)
        if dash == "\u2014" and signer == name and signature[:4] == digest:
            try:
                public.verify(signature[4:], text.encode())
            except InvalidSignature:
                raise Refused("the signature is not the log's") from None
            signed = True
    check(signed, "the log did not sign it")
    origin, size, root = text.splitlines()
    check(origin == name, "another log")
    return int(size), base64.b64decode(root, validate=True)


def read_entries(mirror, size):
    """All entries, from the bundles in order."""
    entries = []
    for index in range((size + 255) // 256):
        width = min(256, size - 256 * index)
        groups = [f"{index % 1000:03}"]
        while index >= 1000:
            index //= 1000
            groups.insert(0, f"x{index % 1000:03}")
        part = f".p/{width}" if width < 256 else ""
        bundle = (mirror / ("tile/entries/" + "/".join(groups) + part)).read_bytes()
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            entries.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
    check(len(entries) == size, "the bundles hold another number of entries")
    return entries


def tree_of(entries):
    tree = InmemoryTree(algorithm="sha256")
    for entry in entries:
        tree.append_entry(entry)
    return tree


def refuses(what, attempt):
    try:
        attempt()
    except (Refused, ValueError, UnicodeDecodeError):
        return
    raise Refused(f"a changed {what} passes")


def main(mirror, vkey, proof=None):
    mirror = pathlib.Path(mirror)
    key = read_key(vkey)
    note = (mirror / "checkpoint").read_text()
    size, root = open_checkpoint(note, key)
    entries = read_entries(mirror, size)
    tree = tree_of(entries)
    check(tree.get_root() == root, "pymerkle computes another root")

    if proof is not None:
        head, checkpoint = pathlib.Path(proof).read_text().split("\n\n", 1)
        first, index, *hashes = head.splitlines()
        check(first == "c2sp.org/tlog-proof@v1", "not a proof")
        proven_size, proven_root = open_checkpoint(checkpoint, key)
        check(tree.get_root(proven_size) == proven_root, "the proof is under another root")
        index = int(index.removeprefix("index "))
        # pymerkle counts from one, and its path begins with the leaf itself.
        leaf, *path = tree.prove_inclusion(index + 1, proven_size).path
        check(leaf == tree.get_leaf(index + 1), "the proof is of another entry")
        check(path == [base64.b64decode(digest) for digest in hashes], "the proof has other hashes")

    for at in range(0, len(note), 7):
        changed = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        refuses("checkpoint", lambda: open_checkpoint(changed, key))
    for at, entry in enumerate(entries):
        changed = bytes([entry[0] ^ 1]) + entry[1:]
        other = tree_of(entries[:at] + [changed] + entries[at + 1 :])
        refuses("entry", lambda: check(other.get_root() == root, "another root"))
    print(f"{size} entries, one root, one signature")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Refused, OSError, ValueError) as error:
        sys.exit(f"refused: {error}")

#!/usr/bin/env python3
"""Runs libraries that nobody here wrote over the vectors of whole exports.

    verify_vectors.py [--list] RUNS.json

`securesystemslib`, `rfc8785` and `in-toto-attestation` look at each envelope of each case, acts included.
They know nothing of runs, so they have to accept every envelope of a case that is good, or bad for what
runs say; and they have to refuse one where the signatures or the canonical form are what is wrong. Exit
0: they do. Exit 1: the first case that differs, on stderr.
"""

import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives import serialization
from securesystemslib.signer import SSlibKey

from verify_dsse import load_json, verify

# What only nanohost's narrower form refuses: DSSE lets an envelope be written in many ways, and the in-toto
# libraries do not know which members a predicate of this project has.
NARROWER = {
    "a space in an envelope",
    "a member more in an envelope",
    "a payload with a fraction",
    "a predicate of another version",
    "a member more in a predicate",
    "an unknown kind",
    "a commitment named as a digest",
    "commitments in another order",
    "an act in the place of an envelope",
    "a signature whose first half is of small order",
    "a time in other digits",
    "a time in a month that is none",
    "a time in a second that is none",
    "a time with an offset",
    "a principal that is no text",
    "a step that is no object",
    "a step with a member more",
    "a visit of a step that is a text",
    "an end that is no object",
    "an end in the midst",
    "a signer that is a text",
}


def keys(*pems):
    for pem in pems:
        public = serialization.load_pem_public_key(pem.encode())
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        yield SSlibKey.from_crypto(public, keyid=hashlib.sha256(der).hexdigest())


def envelopes(lines, trusted, both):
    """Each envelope, with those who may have signed it. An act may be by a key that another act introduces."""
    for line in lines:
        if line.startswith('{"payload"'):
            yield line, trusted
        elif line.startswith('{"act":"'):
            act = base64.b64decode(load_json(line)["act"]).decode()
            if load_json(act)["signatures"][0]["keyid"] in {key.keyid for key in both}:
                yield act, both


def accepted(line, trusted):
    """Whether one of the keys signed it, and the libraries find nothing wrong."""
    for key in trusted:
        try:
            verify(load_json(line), key)
            return True
        except Exception:  # whatever the libraries raise, they did not accept it
            continue
    return False


def main():
    *options, path = sys.argv[1:]
    with open(path, encoding="ascii") as file:
        vectors = json.load(file)
    both = list(keys(vectors["publicKey"], vectors["secondKey"]))
    looked = refused = 0
    known = {}
    for case in vectors["cases"]:
        if case["exit"] == 2:
            continue
        trusted = both if case.get("trust") == "both" else both[:1]
        good = True
        for line, by in envelopes((vectors["pool"][at] for at in case["lines"]), trusted, both):
            place = (line, len(by))
            if place not in known:
                known[place] = accepted(line, by)
            good = good and known[place]
        wrong = case["check"] in ("signatures", "canonical") and case["name"] not in NARROWER
        if "--list" in options:
            print(good, wrong, case["check"], case["name"])
        elif good == wrong:
            print(f"{case['name']}: {'accepted' if good else 'refused'}", file=sys.stderr)
            return 1
        looked, refused = looked + 1, refused + (not good)
    if not looked or not refused:
        print("there was nothing to refuse", file=sys.stderr)
        return 1
    print(f"{looked} cases, {refused} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())

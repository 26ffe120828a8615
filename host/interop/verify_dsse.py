#!/usr/bin/env python3
"""Verifies the envelopes of a nanohost export with libraries that nobody here wrote.

    verify_dsse.py [--flip] EXPORT PUBLIC_KEY.pem

`securesystemslib` checks every DSSE signature, `rfc8785` that every payload is in its canonical
form, `in-toto-attestation` that it is a statement. With `--flip` it also changes single bytes of every payload and signature in memory and
demands that each change is refused. Exit 0: all hold. Exit 1: the first failure, on stderr.

It knows nothing of what envelopes say: chain, sequence and transitions are `nanohost verify`'s.
"""

import argparse
import copy
import hashlib
import json
import sys

import rfc8785
from cryptography.hazmat.primitives import serialization
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class Refused(Exception):
    """What was read does not hold."""


def load_key(path):
    """The key, named as nanohost names it: SHA-256 of the SPKI DER."""
    with open(path, "rb") as file:
        public = serialization.load_pem_public_key(file.read())
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return SSlibKey.from_crypto(public, keyid=hashlib.sha256(der).hexdigest())


def load_json(text):
    def no_duplicates(pairs):
        members = dict(pairs)
        if len(members) != len(pairs):
            raise Refused("an object has the same key twice")
        return members

    return json.loads(text, object_pairs_hook=no_duplicates)


def envelopes(path):
    """Line number and JSON object of every envelope in the export."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            document = load_json(line)
            if "payload" in document:
                yield number, document


def verify(document, key):
    # Envelope.from_dict rewrites the signatures it is given.
    envelope = Envelope.from_dict(copy.deepcopy(document))
    if envelope.payload_type != PAYLOAD_TYPE:
        raise Refused(f"unexpected payload type {envelope.payload_type!r}")
    envelope.verify([key], threshold=1)
    if rfc8785.dumps(load_json(envelope.payload)) != envelope.payload:
        raise Refused("the payload is not in its RFC 8785 form")
    check_statement(load_json(envelope.payload))
    return envelope


def check_statement(document):
    # The wrapper's own would already say its type.
    statement = json_format.ParseDict(document, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    if not statement.predicate_type.startswith("https://nanohost.dev/"):
        raise Refused(f"unexpected predicate type {statement.predicate_type!r}")


def damaged_statements(envelope):
    """The statement with what in-toto demands taken out, or said wrongly."""
    document = load_json(envelope.payload)
    for member in ("_type", "subject", "predicateType", "predicate"):
        yield f"no {member}", {key: value for key, value in document.items() if key != member}
    yield "another type", document | {"_type": "https://in-toto.io/Statement/v0.1"}
    yield "no subjects", document | {"subject": []}
    yield "a subject without a digest", document | {"subject": [{"name": "x"}]}
    yield "an unknown member", document | {"note": "x"}


def flipped(envelope):
    """The envelope with one byte changed, at the first, middle and last place of each part."""
    for part in ("payload", "signature"):
        (keyid, signature), = envelope.signatures.items()
        whole = envelope.payload if part == "payload" else bytes.fromhex(signature.signature)
        for at in {0, len(whole) // 2, len(whole) - 1}:
            changed = bytearray(whole)
            changed[at] ^= 0x01
            other = copy.deepcopy(envelope)
            if part == "payload":
                other.payload = bytes(changed)
            else:
                other.signatures[keyid].signature = changed.hex()
            yield f"byte {at} of the {part}", other.to_dict()


def raises(check, *arguments):
    try:
        check(*arguments)
    except Exception:  # whatever the libraries raise, they did not accept it
        return True
    return False


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--flip", action="store_true", help="demand that changed bytes are refused")
    arguments.add_argument("export")
    arguments.add_argument("public_key")
    arguments = arguments.parse_args()

    count = flips = number = 0
    try:
        key = load_key(arguments.public_key)
        for number, document in envelopes(arguments.export):
            envelope = verify(document, key)
            count += 1
            if arguments.flip:
                for what, changed in damaged_statements(envelope):
                    if not raises(check_statement, changed):
                        raise Refused(f"accepted as a statement: {what}")
                for what, changed in flipped(envelope):
                    if not raises(verify, changed, key):
                        raise Refused(f"accepted although {what} was changed")
                    flips += 1
        if count == 0:
            raise Refused("there is no envelope in it")
    except Exception as error:  # a hostile file may make the libraries raise anything
        where = f"{arguments.export}:{number}" if number else arguments.export
        print(f"{where}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{count} envelopes verified")
    if arguments.flip:
        print(f"{flips} changed bytes refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())

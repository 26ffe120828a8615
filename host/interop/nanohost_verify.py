#!/usr/bin/env python3
"""A second verifier of nanohost's exports, for auditors: one file, to be read before it is used.

    nanohost_verify.py EXPORT --trust KEY.pem [--log-key KEY [--log-proof FILE]] [--strict] [--json]

It was written from host/docs/envelope.md and shares no code with the host. It needs Python 3.9 and
the package `cryptography`, and nothing else: no network, no store, no nanohost.

What it checks: that every envelope is in its one form and signed by a key you trust, that every
payload is canonical, that the numbers have no gap, that each envelope names the one before it and
all agree on run, program, table and state, that every value that is disclosed is the one that was
committed to, that what was erased is gone and a key that may speak for the run says so, that the run
has its end, and, given the log's key, that each such act and, given a proof, its last envelope stand in
the log.

What it does NOT check, and says so: whether the decision what the tools may do follows from the
recorded policy (admission), whether the program allows each step (transitions), whether each call
had the authority of its row (authority), who else signed the log's head (witnesses) and when (age), and whether
something was cut off since an earlier look (rollback). `nanohost-verify` checks these.

Exit codes are nanohost's: 0 verified, as far as this goes; 2 wrong usage, or no export; 10 tampered;
11 truncated; 13 a key that is not trusted; 14 the run has no end.
"""

import argparse
import base64
import binascii
import datetime
import hashlib
import hmac
import json
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

OK, USAGE, TAMPERED, TRUNCATED, UNTRUSTED, OPEN = 0, 2, 10, 11, 13, 14
KINDS = {TAMPERED: "tampered", TRUNCATED: "truncated", UNTRUSTED: "untrusted-key"}
VERDICTS = {TAMPERED: "TAMPERED", TRUNCATED: "TRUNCATED", UNTRUSTED: "UNTRUSTED KEY"}

# Bounds that stop a hostile file from filling memory or time.
MAX_FILE = 512 << 20
MAX_LINE = 48 << 20
MAX_LINES = 1 << 20
MAX_ENVELOPE = 8 << 20
MAX_PAYLOAD = 4 << 20
MAX_CONTENT = 32 << 20
MAX_DEPTH = 120
MAX_INTEGER = 2**53 - 1
MAX_PROOF = 320 << 10

CHECKS = [
    "signatures",
    "canonical",
    "sequence",
    "chain",
    "commitments",
    "erasures",
    "admission",
    "transitions",
    "authority",
    "closed",
    "log",
    "witnesses",
    "age",
    "rollback",
]
# Values that serve only to go on with a run: nothing is withheld where they are not.
SECRET_ROLES = {"seed", "launch"}

HEADER = re.compile(rb'\{"nanohostExport":1,"run":"([0-9a-f]{32})"\}')
ENVELOPE = re.compile(
    rb'\{"payload":"([A-Za-z0-9+/=]*)","payloadType":"application/vnd\.in-toto\+json",'
    rb'"signatures":\[\{"keyid":"([0-9a-f]{64})","sig":"([A-Za-z0-9+/]{86}==)"\}\]\}'
)
CONTENT = re.compile(
    rb'\{"bytes":"([A-Za-z0-9+/=]*)","encoding":"(json|text|bytes)",'
    rb'"ref":"run/([0-9a-f]{32})/(0|[1-9][0-9]{0,15})/([a-z][a-z0-9_./-]{0,63})","salt":"([0-9a-f]{64})"\}'
)
ACT = re.compile(rb'\{"act":"([A-Za-z0-9+/=]+)"(?:,"proof":"([A-Za-z0-9+/=]+)")?\}')
REF = re.compile(r"run/([0-9a-f]{32})/(0|[1-9][0-9]{0,15})/([a-z][a-z0-9_./-]{0,63})")
BASES = {"request", "no-longer-needed", "consent-withdrawn", "objection", "unlawful", "legal-obligation"}
DIGEST = re.compile(r"[0-9a-f]{64}")
CHECKPOINT = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*")
ROLE = re.compile(r"[a-z][a-z0-9_./-]{0,63}")
RUN_ID = re.compile(r"[0-9a-f]{32}")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*")
STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
STATEMENT = {"_type", "predicate", "predicateType", "subject"}
REQUIRED = {"kind", "principal", "run", "time"}
OPTIONAL = {
    "authority", "call", "close", "denials", "failure", "host", "model", "models",
    "policies", "resolver", "signer", "step", "usage", "used",
}  # fmt: skip
RUN_REQUIRED = {"id", "program", "seq", "state"}
RUN_OPTIONAL = {"plan", "prev"}
EVENTS = {"run-open", "plan", "intent", "result", "denied", "transition", "resume", "run-close"}


class Fault(Exception):
    """The first thing that is wrong: exit code, check, position of the envelope, words."""

    def __init__(self, code, check, at, message):
        super().__init__(message)
        self.code, self.check, self.at, self.message = code, check, at, message


class Unusable(Exception):
    """Nothing can be judged: a file cannot be read, or is not what it should be."""


def unbase64(text):
    """The bytes, if the text is their one form: standard alphabet, padded, no stray bits."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data) == text else None


# --- JSON ------------------------------------------------------------------------------------


class Number(str):
    """A number that is no integer, as it is written."""


def load_json(data):
    """JSON with every key once; no NaN or infinity, which are no JSON."""

    def once(pairs):
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("an object has the same key twice")
        return members

    def refuse(text):
        raise ValueError(f"{text} is no JSON")

    return json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_float=Number, parse_constant=refuse)


def write_json(value, sort, depth=0):
    """The compact text of a value; with `sort` its RFC 8785 form, narrowed to what is signed."""
    if sort and depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Number):
        if sort:
            raise ValueError("it holds a number that is no integer")
        return str(value)
    if isinstance(value, int):
        if sort and abs(value) > MAX_INTEGER:
            raise ValueError("it holds an integer beyond 2^53")
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(write_json(item, sort, depth + 1) for item in value) + "]"
    # By UTF-16 code units, as RFC 8785 sorts.
    keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass")) if sort else value
    members = (json.dumps(key, ensure_ascii=False) + ":" + write_json(value[key], sort, depth + 1) for key in keys)
    return "{" + ",".join(members) + "}"


# --- keys and envelopes ----------------------------------------------------------------------


def read_bounded(path, bound):
    try:
        with open(path, "rb") as file:
            data = file.read(bound + 1)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    if len(data) > bound:
        raise Unusable(f"{path}: it is too long")
    return data


def key_id(key):
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def read_trust(path):
    """The public keys of a PEM file, by their names."""
    pem = read_bounded(path, 1 << 20)
    form = rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----"
    # A trust file in TOML bounds its keys, which this does not read: passing over it would trust more.
    if re.sub(form, b"", pem, flags=re.DOTALL).strip():
        raise Unusable(f"{path}: there is something else than public keys in it")
    blocks = re.findall(form, pem, re.DOTALL)
    keys = {}
    for block in blocks:
        try:
            key = serialization.load_pem_public_key(block)
        except ValueError as error:
            raise Unusable(f"{path}: {error}") from None
        if not isinstance(key, Ed25519PublicKey):
            raise Unusable(f"{path}: not an Ed25519 key")
        try:
            public_key(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))
        except ValueError as error:
            raise Unusable(f"{path}: {error}") from None
        keys[key_id(key)] = key
    if not keys:
        raise Unusable(f"{path}: there is no public key in it")
    return keys


# Points of small order, in all their forms but for the sign: a signature under one, or with one as its
# first half, fits any message. And the field and curve of RFC 8032, section 5.1.
PRIME = 2**255 - 19
SMALL_ORDER = {
    0,
    1,
    PRIME - 1,
    PRIME,
    PRIME + 1,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
}
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME


def height(point):
    """The y of a point, without the sign of its x."""
    return int.from_bytes(point, "little") & (2**255 - 1)


def is_on_curve(point):
    y2 = pow(height(point), 2, PRIME)
    x2 = (y2 - 1) * pow(CURVE * y2 + 1, -1, PRIME) % PRIME
    return x2 == 0 or pow(x2, (PRIME - 1) // 2, PRIME) == 1


def public_key(raw):
    """A key whose signatures prove something; ValueError for others."""
    if height(raw) in SMALL_ORDER or not is_on_curve(raw):
        raise ValueError("no Ed25519 key that proves anything")
    return Ed25519PublicKey.from_public_bytes(raw)


def verifies(key, signature, message):
    if height(signature[:32]) in SMALL_ORDER:
        return False
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def need(holds, what):
    """What a payload has to be like."""
    if not holds:
        raise ValueError(what)


def counts(number, bound=MAX_INTEGER):
    return type(number) is int and 0 <= number <= bound


def is_name(form, text, shortest=1, longest=128):
    return isinstance(text, str) and shortest <= len(text) <= longest and bool(form.fullmatch(text))


def is_principal(text):
    return is_name(PRINCIPAL, text) and text not in ("starter", "operator")


def is_time(text):
    """A moment from 1970 to 9999, in the one form that it has."""
    if not (isinstance(text, str) and TIME.fullmatch(text)):
        return False
    try:
        moment = datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return False
    return moment.year >= 1970


def members(value, required, optional=frozenset()):
    """Whether it is an object with these members."""
    return isinstance(value, dict) and set(required) <= set(value) <= set(required) | set(optional)


class Envelope:
    """An envelope whose signature and form are good."""

    def __init__(self, at, line, trust):
        def tampered(check, why):
            return Fault(TAMPERED, check, at, why)

        parts = ENVELOPE.fullmatch(line) if len(line) <= MAX_ENVELOPE else None
        payload = unbase64(parts[1]) if parts else None
        signature = unbase64(parts[3]) if parts else None
        if payload is None or signature is None:
            raise tampered("signatures", "not an envelope in its canonical form")
        named = parts[2].decode()
        message = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
        if named not in trust:
            # The name is only a hint, and not signed: where a trusted key did sign, it was changed.
            if any(verifies(key, signature, message) for key in trust.values()):
                raise tampered("signatures", "its key id is not that of the key that signed it")
            raise Fault(UNTRUSTED, "signatures", at, f"signed by key {named}, which is not trusted")
        if not verifies(trust[named], signature, message):
            raise tampered("signatures", "the signature does not fit the bytes")
        self.key = named
        self.digest = hashlib.sha256(line).hexdigest()
        try:
            if len(payload) > MAX_PAYLOAD:
                raise ValueError("it is too long")
            statement = load_json(payload)
            if write_json(statement, sort=True).encode("utf-8") != payload:
                raise ValueError("it is not in its RFC 8785 form")
            self.read(statement)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise tampered("canonical", f"the payload is not evidence in its canonical form: {error}") from None

    def read(self, statement):
        need(members(statement, STATEMENT), "it has other members than a statement")
        need(statement["_type"] == "https://in-toto.io/Statement/v1", "it is of another type")
        need(statement["predicateType"] == "https://nanohost.dev/evidence/v1", "it is of another type or version")
        predicate = statement["predicate"]
        need(members(predicate, REQUIRED, OPTIONAL), "its predicate has other members")
        run = predicate["run"]
        need(members(run, RUN_REQUIRED, RUN_OPTIONAL), "its run has other members")
        need(predicate["kind"] in EVENTS, "it is of an unknown kind")
        need(counts(run["seq"]), "a bad number")
        need(RUN_ID.fullmatch(run["id"]), "a bad run")
        need(is_time(predicate["time"]), "a bad time")
        need(isinstance(predicate["principal"], str), "a bad principal")
        self.read_parts(predicate)
        for member in ("program", "state", "prev", "plan"):
            need(member not in run or DIGEST.fullmatch(run[member]), f"a bad {member}")
        self.predicate, self.run, self.seq = predicate, run["id"], run["seq"]
        self.kind, self.time = predicate["kind"], predicate["time"]
        need(isinstance(statement["subject"], list) and statement["subject"], "it has no subjects")
        first, *rest = statement["subject"]
        need(set(first) == {"digest", "name"} and first["name"] == f"run/{self.run}", "its first subject is not its run")
        need(set(first["digest"]) == {"sha256"} and DIGEST.fullmatch(first["digest"]["sha256"]), "a bad anchor")
        self.anchor = first["digest"]["sha256"]
        self.commitments = {}
        before = ""
        for subject in rest:
            need(set(subject) == {"digest", "name"}, "a subject has other members")
            prefix = f"run/{self.run}/{self.seq}/"
            role = subject["name"][len(prefix) :] if subject["name"].startswith(prefix) else ""
            digest = subject["digest"]
            need(ROLE.fullmatch(role) and role > before, "its subjects are not its commitments in order")
            need(set(digest) == {"nanohostCommitV1"}, "a commitment under another name")
            need(DIGEST.fullmatch(digest["nanohostCommitV1"]), "a bad commitment")
            self.commitments[role] = digest["nanohostCommitV1"]
            before = role

    def read_parts(self, predicate):
        """The members that the checks below look into; of the others it is enough that they are objects."""
        for part in ("call", "failure", "host", "model", "resolver", "usage"):
            need(isinstance(predicate.get(part, {}), dict), f"a bad {part}")
        for part in ("authority", "denials", "models", "policies", "used"):
            need(isinstance(predicate.get(part, []), list), f"bad {part}")
        if "signer" in predicate:
            signer = predicate["signer"]
            need(members(signer, ("development", "key")), "its signer has other members")
            need(DIGEST.fullmatch(signer["key"]) and isinstance(signer["development"], bool), "a bad signer")
        if "step" in predicate:
            step = predicate["step"]
            need(members(step, ("attempt", "event", "from", "id", "to", "visit")), "its step has other members")
            need(is_name(STEP, step["id"]), "a bad step")
            need(all(counts(step[number], 2**32 - 1) for number in ("attempt", "visit")), "a bad count of a step")
            need(all(isinstance(step[text], str) for text in ("event", "from", "to")), "a bad step")
        need(("close" in predicate) == (predicate["kind"] == "run-close"), "an end that is none")
        if "close" in predicate:
            close = predicate["close"]
            need(members(close, ("count", "status"), ("error", "step")), "its end has other members")
            need(counts(close["count"]) and isinstance(close["status"], str), "a bad end")
            need(isinstance(close.get("error", ""), str), "a bad error")
            need("step" not in close or is_name(STEP, close["step"]), "a bad step")


class Act(Envelope):
    """An act about a run, or about the keys that sign: an envelope with another predicate."""

    def __init__(self, line, trust):
        try:
            super().__init__(None, line, trust)
        except Fault as fault:
            raise Fault(fault.code, "erasures", None, f"an act about the run: {fault.message}") from None

    def read(self, statement):
        need(members(statement, STATEMENT), "it has other members than a statement")
        need(statement["_type"] == "https://in-toto.io/Statement/v1", "it is of another type")
        need(statement["predicateType"] == "https://nanohost.dev/act/v1", "it is no act, or of another version")
        predicate = statement["predicate"]
        need(members(predicate, ("act", "chain", "principal", "time")), "its predicate has other members")
        act, chain = predicate["act"], predicate["chain"]
        need(isinstance(act, dict) and isinstance(chain, dict), "its act or its place is none")
        self.refs, self.change, self.about, self.public = [], None, None, None
        self.act, self.of, self.damaged = act.get("kind"), None, False
        if self.act == "erasure":
            self.read_erasure(act)
        elif self.act == "hold":
            self.read_hold(act)
        elif self.act == "ending":
            self.read_ending(act)
        else:
            self.read_key(act)
        need(DIGEST.fullmatch(act["reason"]), "a bad reason")
        need({"id", "seq"} <= set(chain) <= {"id", "prev", "seq"}, "its place has other members")
        need(counts(chain["seq"]) and RUN_ID.fullmatch(chain["id"]), "a bad place")
        need((chain["seq"] == 0) == ("prev" not in chain), "only the first act has none before it")
        need("prev" not in chain or DIGEST.fullmatch(chain["prev"]), "a bad place")
        need(is_time(predicate["time"]), "a bad time")
        need(is_principal(predicate["principal"]), "a bad principal")
        first, reason = statement["subject"]
        name = f"acts/{chain['id']}"
        need(set(first) == {"digest", "name"} and first["name"] == name, "its first subject is not its chain")
        need(set(first["digest"]) == {"sha256"} and DIGEST.fullmatch(first["digest"]["sha256"]), "a bad anchor")
        expected = {"digest": {"nanohostCommitV1": act["reason"]}, "name": f"{name}/{chain['seq']}/reason"}
        need(reason == expected, "its commitments are not its subjects")
        self.chain, self.seq, self.prev = chain["id"], chain["seq"], chain.get("prev")
        self.anchor, self.time = first["digest"]["sha256"], predicate["time"]

    def read_erasure(self, act):
        required = {"basis", "kind", "reason", "refs"}
        optional = {"approver", "damaged", "keyValues", "whole"}
        need(required <= set(act) <= required | optional, "it has other members than an erasure")
        need(act["basis"] in BASES, "a bad basis")
        need(counts(act.get("keyValues", 0)), "a bad count")
        need(all(isinstance(act.get(mark, False), bool) for mark in ("damaged", "whole")), "a bad mark")
        need("approver" not in act or is_principal(act["approver"]), "a bad approver")
        refs = [REF.fullmatch(ref) for ref in act["refs"]]
        need(refs and len(refs) <= 4096 and all(refs), "it erases nothing, or more than one act may")
        self.refs = [(ref[1], int(ref[2]), ref[3]) for ref in refs]
        need(all(a < b and a[0] == b[0] for a, b in zip(self.refs, self.refs[1:])), "its refs are out of order")
        self.of, self.damaged = self.refs[0][0], act.get("damaged", False)

    def read_hold(self, act):
        need(set(act) == {"change", "hold", "kind", "on", "reason"}, "it has other members than a hold")
        need(act["change"] in ("laid", "ended") and counts(act["hold"]), "a bad hold")
        self.hold, self.laid = act["hold"], act["change"] == "laid"
        need(isinstance(act["on"], dict) and len(act["on"]) == 1, "it lies on nothing, or on two things")
        what, name = next(iter(act["on"].items()))
        need(what in ("run", "subject"), "it lies on something else")
        need((RUN_ID if what == "run" else DIGEST).fullmatch(name), "a bad name of what it lies on")
        self.of = name if what == "run" else None

    def read_ending(self, act):
        need(set(act) == {"after", "head", "key", "kind", "reason", "run"}, "it has other members than an ending")
        need(counts(act["after"]) and act["after"] > 0, "it ends a run that has not begun")
        need(DIGEST.fullmatch(act["head"]) and DIGEST.fullmatch(act["key"]), "a bad digest")
        need(RUN_ID.fullmatch(act["run"]), "a bad run")
        self.of, self.after, self.head, self.own = act["run"], act["after"], act["head"], act["key"]

    def read_key(self, act):
        need(act.get("kind") == "key", "it is neither about a run nor about a key")
        introduces = act.get("change") == "introduced"
        members = {"change", "key", "kind", "reason"} | ({"public"} if introduces else set())
        need(set(act) == members, "it has other members than an act about a key")
        need(act["change"] in {"introduced", "accepted", "retired"}, "an unknown change")
        need(DIGEST.fullmatch(act["key"]), "a bad key id")
        self.change, self.about = act["change"], act["key"]
        if introduces:
            need(DIGEST.fullmatch(act["public"]), "a bad key")
            self.public = public_key(bytes.fromhex(act["public"]))
            need(key_id(self.public) == act["key"], "it introduces a key, and does not hold that key")


class Succession:
    """Who may sign the next act, and for whose runs, as the acts so far say."""

    def __init__(self, trust):
        self.keys, self.before, self.introduced, self.retired = dict(trust), {}, None, set()

    def spoken_for(self, key):
        """Those whose runs a key may sign acts about: its own, and those of the keys it took over from."""
        return {key} | self.before.get(key, set())

    def follow(self, act):
        def need(holds, what):
            if not holds:
                raise Fault(TAMPERED, "erasures", None, f"act {act.seq}: {what}")

        # A key that still counts ends its runs itself.
        ends = act.act != "ending" or act.own in self.retired
        pending, self.introduced = self.introduced, None
        need(ends, "it ends a run whose key was not retired before it")
        if pending:
            accepts = act.change == "accepted" and (act.key, act.about) == pending
            need(accepts, "a key was introduced before it, and did not accept")
            self.before.setdefault(act.key, set()).update(self.spoken_for(act.about))
            return
        need(act.change != "accepted", "it accepts, and was not introduced")
        if act.change == "introduced":
            need(act.about not in self.retired, "it introduces a key that was retired")
            need(act.about != act.key, "it introduces the key that signs it")
            self.keys[act.about] = act.public
            self.introduced = (act.about, act.key)
        elif act.change == "retired":
            need(act.about != act.key, "it retires the key that signs it")
            took_over = act.about in self.spoken_for(act.key)
            need(took_over, "it retires a key that the one which signs it did not take over from")
            self.keys.pop(act.about, None)
            self.retired.add(act.about)

    def end(self):
        if self.introduced:
            why = "it introduces a key, and the act by which that key accepts is missing"
            raise Fault(TAMPERED, "erasures", None, f"the acts end with one that is not whole: {why}")


# --- the file --------------------------------------------------------------------------------


class Content:
    """A value that is disclosed."""

    def __init__(self, number, follows, line, run):
        def malformed(why):
            return Fault(TAMPERED, "sequence", None, f"line {number}: {why}")

        parts = CONTENT.fullmatch(line)
        if not parts:
            raise malformed("not a content in its canonical form")
        if parts[3].decode() != run:
            raise malformed("this content is of another run")
        self.bytes, self.encoding = unbase64(parts[1]), parts[2].decode()
        self.seq, self.role, self.salt = int(parts[4]), parts[5].decode(), bytes.fromhex(parts[6].decode())
        if self.bytes is None or len(self.bytes) > MAX_CONTENT or self.seq > MAX_INTEGER:
            raise malformed("bytes or a number that are not in their canonical form")
        self.number, self.follows = number, follows

    def commitment(self):
        message = b"nanohost/commit/v1\0" + self.encoding.encode() + b"\0" + len(self.bytes).to_bytes(8, "big")
        return hmac.new(self.salt, message + self.bytes, hashlib.sha256).hexdigest()

    def is_in_its_form(self):
        """JSON that two readers could take for different values is no value."""
        if self.encoding == "bytes":
            return False
        try:
            text = self.bytes.decode("utf-8")
            return self.encoding == "text" or write_json(load_json(self.bytes), sort=False) == text
        except (ValueError, RecursionError):
            return False


def split(data):
    """The run that the header names, its acts with their proofs, the envelopes, and the values."""
    head = b'{"payload":"'
    begins = data and b'{"nanohostExport":1,"run":"'.startswith(data[:27])
    if not begins and not data.startswith(head) and b"\n" + head not in data:
        raise Unusable("this is not an export of a run")

    def fault(code, number, why):
        return Fault(code, "sequence", None, f"line {number}: {why}")

    lines = data.split(b"\n")
    # What stands after the last line feed is a line that was cut.
    rest = lines.pop()
    run, acts, envelopes, contents, last = None, [], [], [], None
    for number, line in enumerate(lines, start=1):
        if number > MAX_LINES or len(line) > MAX_LINE:
            raise fault(TAMPERED, number, "the file is larger than any export")
        if number == 1:
            header = HEADER.fullmatch(line)
            if not header:
                raise fault(TAMPERED, 1, "not the header of an export")
            run = header[1].decode()
        elif line.startswith(b'{"act":"'):
            parts = ACT.fullmatch(line)
            act = unbase64(parts[1]) if parts else None
            proof = unbase64(parts[2]) if parts and parts[2] else b""
            if act is None or proof is None:
                raise fault(TAMPERED, number, "not an act in its canonical form")
            if envelopes or contents:
                raise fault(TAMPERED, number, "an act stands before all envelopes")
            try:
                proof = parse_proof(proof) if proof else None
            except ValueError as error:
                raise fault(TAMPERED, number, f"a proof of an act that is none: {error}") from None
            acts.append((act, proof))
        elif line.startswith(head):
            if len(line) > MAX_ENVELOPE:
                raise fault(TAMPERED, number, "the envelope is too large")
            envelopes.append(line)
        elif line.startswith(b'{"bytes":"'):
            content = Content(number, len(envelopes) - 1, line, run)
            if last is not None and last >= (content.seq, content.role):
                raise fault(TAMPERED, number, "this content is repeated or not in its place")
            last = (content.seq, content.role)
            contents.append(content)
        else:
            raise fault(TAMPERED, number, "neither an envelope nor a content in its canonical form")
    if rest or run is None:
        raise fault(TRUNCATED, len(lines) + 1, "the line does not end: the file was cut")
    return run, acts, envelopes, contents


# --- the checks ------------------------------------------------------------------------------


class Report:
    def __init__(self):
        self.run, self.count, self.fault, self.open, self.withheld = None, 0, None, False, 0
        self.checks = {name: ("not-checked", "not reached") for name in CHECKS}
        beyond = "NOT CHECKED by this verifier: `nanohost-verify` does"
        for name in ("admission", "transitions", "authority", "witnesses", "age"):
            self.checks[name] = ("not-checked", beyond)
        self.checks["log"] = ("not-checked", "NOT CHECKED: no proof was given (--log-proof)")
        self.checks["rollback"] = ("not-checked", "NOT CHECKED: this verifier remembers nothing")

    def passes(self, name, detail):
        self.checks[name] = ("pass", detail)

    def exit_code(self, strict):
        if self.fault:
            return self.fault.code
        if self.open:
            return OPEN
        # What this verifier does not check has not been checked.
        return TRUNCATED if strict else OK


def sequence(run, envelopes):
    seen = {}
    for at, envelope in enumerate(envelopes):
        if envelope.run != run:
            raise Fault(TAMPERED, "sequence", at, f"it belongs to run {envelope.run}")
        if envelope.seq in seen:
            raise Fault(TAMPERED, "sequence", at, f"envelope {envelope.seq} stands here again")
        seen[envelope.seq] = at
    for expected, seq in enumerate(sorted(seen)):
        if seq != expected:
            raise Fault(TRUNCATED, "sequence", seen[seq], f"envelope {expected} is missing")
    for at, envelope in enumerate(envelopes):
        if envelope.seq != at:
            raise Fault(TAMPERED, "sequence", at, f"envelope {envelope.seq} stands at position {at}")


def ends(envelope):
    """Whether an envelope does nothing but end its run."""
    step = envelope.predicate.get("step", {})
    return envelope.kind == "run-close" or envelope.kind == "transition" and step.get("event") == "cancelled"


def chain(envelopes, endings):
    """`endings`: the acts by which another key may end the run, after its own was retired."""
    first, before = envelopes[0], None
    program = first.predicate["run"]["program"]
    state, plan, time = hashlib.sha256(b"").digest(), None, first.time
    if first.kind != "run-open" or first.predicate.get("signer", {}).get("key") != first.key:
        raise Fault(TAMPERED, "chain", 0, "it does not open a run with the key that signs it")
    for at, envelope in enumerate(envelopes):

        def need(holds, what):
            if not holds:
                raise Fault(TAMPERED, "chain", at, what)

        run = envelope.predicate["run"]
        need(envelope.time >= time, "it is older than the one before it")
        need(run.get("prev") == (before.digest if before else None), "it names another envelope as the one before it")
        need(run["program"] == program, "it belongs to another program")
        need(envelope.anchor == (first.digest if at else program), "it belongs to another beginning")
        if before and envelope.key != before.key:
            may = any(
                act.after == at and act.head == before.digest and act.own == first.key and act.key == envelope.key
                for act in endings
            )
            need(may and before.key == first.key, "it is signed by another key than the first")
        need(envelope.key == first.key or ends(envelope), "it does more than to end the run, whose key did not sign it")
        if envelope.kind == "plan":
            plan = run.get("plan")
        need(run.get("plan") == plan, "it is bound to another capability table")
        if envelope.commitments:
            block = state + b"".join(
                role.encode() + b"\0" + bytes.fromhex(commitment)
                for role, commitment in sorted(envelope.commitments.items())
            )
            state = hashlib.sha256(block).digest()
        need(run["state"] == state.hex(), "its state digest is not that of the commitments so far")
        before, time = envelope, envelope.time


def closed(envelopes):
    """Whether the run is over; raises where it says so wrongly."""
    for at, envelope in enumerate(envelopes):
        if envelope.kind == "run-close":
            if at != len(envelopes) - 1:
                raise Fault(TAMPERED, "closed", at, "the run goes on after its end")
            if envelope.predicate.get("close", {}).get("count") != len(envelopes):
                raise Fault(TAMPERED, "closed", at, "it counts another number of envelopes")
            return True
    return False


def suspended(envelopes):
    steps = [envelope.predicate["step"] for envelope in envelopes if "step" in envelope.predicate]
    return bool(steps) and steps[-1].get("to") == "suspended"


def places(contents, count, over):
    for content in contents:
        if content.follows != content.seq:
            if content.seq >= count and not over:
                raise Fault(TRUNCATED, "sequence", None, f"a value of envelope {content.seq} has no envelope")
            why = "this content does not follow the envelope it names"
            raise Fault(TAMPERED, "sequence", None, f"line {content.number}: {why}")


def endings(run, acts, trust):
    """The acts that let another key end the run. What is wrong with any act is told later."""
    found, succession = [], Succession(trust)
    for line, _ in acts:
        try:
            act = Act(line, succession.keys)
            succession.follow(act)
        except Fault:
            break
        if act.act == "ending" and act.of == run and act.own in succession.spoken_for(act.key):
            found.append(act)
    return found


def erasures(run, acts, envelopes, trust):
    """What acts erased: each by a key that may speak for the run, about this run, of what was committed to."""
    erased, before, succession, by, holds = {}, None, Succession(trust), [], set()
    # Those that an envelope has to have committed to: what a store held of damaged evidence need not be such.
    met = {}

    def need(holds, at, what):
        if not holds:
            raise Fault(TAMPERED, "erasures", at, what)

    for line, _ in acts:
        act = Act(line, succession.keys)
        beginning = hashlib.sha256(f"acts/{act.chain}".encode()).hexdigest() if act.seq == 0 else None
        if before:
            follows = act.chain == before.chain and act.seq > before.seq and act.time >= before.time
            need(follows, None, f"act {act.seq} does not follow the one before it")
            next_one = act.seq != before.seq + 1 or act.prev == before.digest
            need(next_one, None, f"act {act.seq} is of another chain than the one before it")
            beginning = before.digest if before.seq == 0 else before.anchor
        same = beginning is None or act.anchor == beginning
        need(same, None, f"act {act.seq} is of another chain than the one before it")
        succession.follow(act)
        need(act.act == "key" or act.of == run, None, f"act {act.seq} is about another run, or about none")
        if act.act == "hold":
            (holds.add if act.laid else holds.discard)(act.hold)
        for _, seq, role in act.refs:
            erased.setdefault((seq, role), act.seq)
            if not act.damaged:
                met.setdefault((seq, role), act.seq)
        if act.act != "key":
            by.append((act, succession.spoken_for(act.key)))
        before = act
    for act, spoken_for in by:
        if envelopes[0].key not in spoken_for:
            why = f"is signed by {act.key}, which did not take over from the key of the run"
            raise Fault(UNTRUSTED, "erasures", None, f"act {act.seq} {why}")
    for at, envelope in enumerate(envelopes):
        if envelope.predicate.get("close", {}).get("error") == "erased":
            need(erased, at, "it ended for want of an erased value, and no act erased one")
    succession.end()
    for (seq, role), act in sorted(met.items()):
        known = seq < len(envelopes) and role in envelopes[seq].commitments
        need(known, None, f"act {act} erases what no envelope commits to")
    return erased, holds


def commitments(contents, envelopes, erased):
    """How many values are withheld."""
    here = set()
    for content in contents:
        if (content.seq, content.role) in erased:
            raise Fault(TAMPERED, "erasures", content.seq, f"its {content.role} was erased, and is here")
        committed = envelopes[content.seq].commitments.get(content.role)
        if committed is None or not hmac.compare_digest(committed, content.commitment()):
            raise Fault(TAMPERED, "commitments", content.seq, f"its {content.role} is not what was committed to")
        if not content.is_in_its_form():
            raise Fault(TAMPERED, "commitments", content.seq, f"its {content.role} is not valid {content.encoding}")
        here.add((content.seq, content.role))
    return sum(
        (envelope.seq, role) not in here and (envelope.seq, role) not in erased and role not in SECRET_ROLES
        for envelope in envelopes
        for role in envelope.commitments
    )


# --- the log: RFC 9162 tree, C2SP signed notes, checkpoints and proofs ---------------------------


def read_log_key(text):
    name, digest, key = (text.split("+", 2) + ["", ""])[:3]
    key = unbase64(key.encode())
    if key is None or len(key) != 33 or key[0] != 1:
        raise Unusable("--log-key: not the key of a log")
    expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    if expected.hex() != digest:
        raise Unusable("--log-key: its name, hash and key do not fit")
    try:
        return name, expected, public_key(key[1:])
    except ValueError as error:
        raise Unusable(f"--log-key: {error}") from None


def read_proof(path):
    try:
        return parse_proof(read_bounded(path, MAX_PROOF))
    except ValueError as error:
        raise Unusable(f"{path}: not a proof: {error}") from None


def parse_proof(data):
    """Index, hashes and checkpoint of a proof, none of it believed; ValueError where it is none."""
    text = data.decode("utf-8")
    lines, note = text.removeprefix("c2sp.org/tlog-proof@v1\n").split("\n\n", 1)
    first, *hashes = lines.split("\n")
    hashes = [unbase64(line.encode()) for line in hashes]
    if text == lines or not re.fullmatch(r"index (0|[1-9][0-9]{0,18})", first):
        raise ValueError("no header or index")
    if not text.startswith("c2sp.org/tlog-proof@v1\n") or len(hashes) > 64:
        raise ValueError("no header, or too many hashes")
    if any(digest is None or len(digest) != 32 for digest in hashes):
        raise ValueError("a line that is not a hash")
    body, signatures = note.rsplit("\n\n", 1)
    if not signatures.endswith("\n") or not all(line.startswith("\u2014 ") for line in signatures[:-1].split("\n")):
        raise ValueError("its checkpoint is no signed note")
    return int(first[6:]), hashes, body + "\n", signatures[:-1].split("\n")


def logged(last, at, proof, log, check="log", who="it"):
    def need(holds, what):
        if not holds:
            raise Fault(TAMPERED, check, at, f"{who} is not shown to stand in the log: {what}")

    index, hashes, text, signatures = proof
    name, digest, key = log
    signed = False
    for line in signatures:
        signer, _, signature = line[2:].partition(" ")
        signature = unbase64(signature.encode()) or b""
        if signer == name and signature[:4] == digest:
            need(verifies(key, signature[4:], text.encode()), "the signature of the checkpoint does not verify")
            signed = True
    need(signed, "the log did not sign the checkpoint")
    head = CHECKPOINT.fullmatch(text)
    need(head and head[1] == name, "the checkpoint is another log's, or none")
    size, root = int(head[2]), unbase64(head[3].encode())
    # RFC 9162, section 2.1.3.2.
    need(index < size, "the index lies beyond the tree")
    node, last_node = index, size - 1
    value = hashlib.sha256(b"\0" + last).digest()
    for other in hashes:
        need(last_node > 0, "the proof is too long")
        if node & 1 or node == last_node:
            value = hashlib.sha256(b"\1" + other + value).digest()
            while not node & 1 and node:
                node, last_node = node >> 1, last_node >> 1
        else:
            value = hashlib.sha256(b"\1" + value + other).digest()
        node, last_node = node >> 1, last_node >> 1
    need(last_node == 0 and value == root, "its hashes do not lead to the root")
    return f"envelope {at} stands at index {index} of {name}, which has {size} entries"


def placed(acts, log):
    """Whether each act stands in the log."""
    wanting = False
    for act, proof in acts:
        if proof is None:
            # The others are held against theirs all the same.
            wanting = True
        elif CHECKPOINT.fullmatch(proof[2]) is None:
            raise Fault(TAMPERED, "erasures", None, "an act about the run is not shown to stand in the log: no checkpoint")
        elif log is not None:
            logged(act, None, proof, log, check="erasures", who="an act about the run")
    if log is None:
        return "their place in the log: NOT CHECKED (--log-key)"
    if wanting:
        return "their place in the log: NOT CHECKED, for want of a proof"
    return "each stands in the log"


# --- all of it --------------------------------------------------------------------------------


def judge(data, trust, proof, log, report):
    run, acts, lines, contents = split(data)
    report.run, report.count = run, len(lines)
    if not lines:
        raise Fault(TRUNCATED, "sequence", 0, "there are no envelopes")
    envelopes = [Envelope(at, line, trust) for at, line in enumerate(lines)]
    report.passes("signatures", f"{len(lines)} envelopes")
    report.passes("canonical", "every payload is in its one form")
    sequence(run, envelopes)
    report.passes("sequence", f"0 to {len(lines) - 1}")
    chain(envelopes, endings(run, acts, trust))
    report.passes("chain", "every envelope names the one before it")
    over = closed(envelopes)
    places(contents, len(envelopes), over)
    erased, holds = erasures(run, acts, envelopes, trust)
    report.withheld = commitments(contents, envelopes, erased)
    report.passes("commitments", f"{len(contents)} of {len(contents) + report.withheld} values are here")
    where = placed(acts, log)
    held = f"; {len(holds)} legal holds lie on the run" if holds else ""
    gone = f"{len(erased)} values are gone, by acts; {where}" if erased else "none is told of"
    report.passes("erasures", gone + held)
    if over:
        report.passes("closed", "the run is over")
    elif suspended(envelopes):
        report.passes("closed", "the run is suspended")
    else:
        report.open = True
        report.checks["closed"] = ("fail", "the run has no end: it goes on, or was interrupted, or its tail was cut")
    if proof is not None:
        report.passes("log", logged(lines[-1], len(lines) - 1, proof, log))


def shown(text):
    """Text from the file, with nothing in it that moves a cursor or hides."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in str(text))


def tell(report, code, strict, as_json):
    if as_json:
        fault = report.fault and {
            "kind": KINDS[report.fault.code],
            "check": report.fault.check,
            "envelope": report.fault.at,
            "message": report.fault.message,
        }
        checks = [{"name": name, "result": result, "detail": detail} for name, (result, detail) in report.checks.items()]
        document = {
            "run": report.run,
            "envelopes": report.count,
            "checks": checks,
            "fault": fault,
            "open": report.open,
            "withheld": report.withheld,
            "partial": True,
            "strict": strict,
            "good": code == OK,
            "exitCode": code,
        }
        print(json.dumps(document, indent=2))
        return
    if report.fault:
        at = f"envelope {report.fault.at}: " if report.fault.at is not None else ""
        print(f"{VERDICTS[report.fault.code]} {at}{shown(report.fault.message)}")
    elif report.open:
        print("OPEN the run has no end: it goes on, was interrupted, or its tail was cut")
    else:
        print("VERIFIED IN PART what is here is good; what this verifier does not check is said below")
    if report.run:
        print(f"run {report.run} · {report.count} envelopes")
    print()
    words = {"pass": "pass", "fail": "FAIL", "not-checked": "not checked"}
    for name, (result, detail) in report.checks.items():
        print(f"  {name:<12} {words[result]:<12} {shown(detail)}".rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.split("\n\n", 4)[4],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export")
    parser.add_argument("--trust", required=True, metavar="PEM", help="the public key, or keys, that may sign")
    parser.add_argument("--log-proof", metavar="FILE", help="what `nanohost log prove` wrote")
    parser.add_argument("--log-key", metavar="KEY", help="what `nanohost log key` prints")
    parser.add_argument("--strict", action="store_true", help="count what was not checked as missing: 11")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    asked = parser.parse_args()
    if asked.log_proof and not asked.log_key:
        parser.error("--log-proof wants --log-key")
    report = Report()
    try:
        trust = read_trust(asked.trust)
        log = read_log_key(asked.log_key) if asked.log_key else None
        proof = read_proof(asked.log_proof) if asked.log_proof else None
        judge(read_bounded(asked.export, MAX_FILE), trust, proof, log, report)
    except Unusable as error:
        print(f"nanohost_verify: {shown(error)}", file=sys.stderr)
        return USAGE
    except Fault as fault:
        report.fault = fault
        at = f"envelope {fault.at}: " if fault.at is not None else ""
        report.checks[fault.check] = ("fail", at + fault.message)
    code = report.exit_code(asked.strict)
    tell(report, code, asked.strict, asked.json)
    return code


if __name__ == "__main__":
    sys.exit(main())

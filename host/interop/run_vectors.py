#!/usr/bin/env python3
"""Writes `nanohost-core/tests/vectors/evidence/runs.json`: whole exports, most of which must fail.

    run_vectors.py DIRECTORY

DIRECTORY holds `sort-mail.jsonl`, an export that nanohost wrote once. It is sealed again here with a
key that everybody knows, so that a holder of the trusted key can be played who signs what is not
true. Signatures, hashes and canonical JSON come from libraries that are not the host's own.
Rerunning changes nothing.
"""

import base64
import copy
import hashlib
import json
import pathlib
import sys

import rfc8785
from evidence_vectors import KEY, OTHER_KEY, OTHER_RUN, b64, commit, key_id, pae, pem
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TYPE = "application/vnd.in-toto+json"
LOG = "log.example/vectors"


def sha256(data):
    return hashlib.sha256(data).digest()


class Export:
    """An export in its parts, all of which can be changed."""

    def __init__(self, path):
        self.statements, self.contents = [], []
        for line in path.read_bytes().splitlines()[1:]:
            document = json.loads(line)
            if "payload" in document:
                self.statements.append(json.loads(base64.b64decode(document["payload"])))
                self.contents.append({})
            else:
                role = document["ref"].split("/", 3)[3]
                self.contents[-1][role] = document
        self.run = self.statements[0]["predicate"]["run"]["id"]
        self.keys = [KEY] * len(self.statements)

    def predicate(self, at):
        return self.statements[at]["predicate"]

    def commit_again(self, at, role, data):
        """Another value, and the envelope commits to it."""
        content = self.contents[at][role]
        content["bytes"] = b64(data)
        digest = commit(bytes.fromhex(content["salt"]), content["encoding"], data).hex()
        before = {}
        for subject in self.statements[at]["subject"][1:]:
            if subject["name"].endswith(f"/{at}/{role}"):
                before = subject["digest"]
        old = before["nanohostCommitV1"]
        before["nanohostCommitV1"] = digest
        text = json.dumps(self.predicate(at)).replace(old, digest)
        self.statements[at]["predicate"] = json.loads(text)

    def sealed(self, fix=("prev", "anchor", "state", "seq", "signer"), payload=lambda at, data: data):
        """The lines, signed again; `fix` says what is put right on the way."""
        lines = [f'{{"nanohostExport":1,"run":"{self.run}"}}']
        prev, first, state = None, None, sha256(b"")
        for at, statement in enumerate(self.statements):
            statement = copy.deepcopy(statement)
            predicate = statement["predicate"]
            run = predicate["run"]
            if at == 0 and "signer" in fix:
                predicate["signer"]["key"] = key_id(self.keys[0])
            if "seq" in fix:
                for subject in statement["subject"][1:]:
                    subject["name"] = subject["name"].replace(f"/{run['seq']}/", f"/{at}/")
                run["seq"] = at
            if at and "prev" in fix:
                run["prev"] = prev
            if at and "anchor" in fix:
                statement["subject"][0]["digest"]["sha256"] = first
            if "state" in fix:
                block = state
                for subject in statement["subject"][1:]:
                    role = subject["name"].split("/", 3)[3]
                    block += role.encode() + b"\0" + bytes.fromhex(subject["digest"].get("nanohostCommitV1", ""))
                state = sha256(block) if block != state else state
                run["state"] = state.hex()
            line = envelope(payload(at, rfc8785.dumps(statement)), self.keys[at])
            prev = sha256(line.encode()).hex()
            first = first or prev
            lines.append(line)
            for _, content in sorted(self.contents[at].items()):
                content = dict(content)
                if "seq" in fix:
                    name, run_id, _, role = content["ref"].split("/", 3)
                    content["ref"] = f"{name}/{run_id}/{at}/{role}"
                lines.append(rfc8785.dumps(content).decode())
        return lines


def envelope(payload, key, name=None):
    signature = key.sign(pae(payload))
    document = {
        "payload": b64(payload),
        "payloadType": TYPE,
        "signatures": [{"keyid": name or key_id(key), "sig": b64(signature)}],
    }
    return rfc8785.dumps(document).decode()


def of_small_order(line):
    """A signature that fits by the equation of RFC 8032, whose first half is the neutral point."""
    document = json.loads(line)
    message = pae(base64.b64decode(document["payload"]))
    secret = KEY.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    scalar = bytearray(hashlib.sha512(secret).digest()[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    public = KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    neutral = (1).to_bytes(32, "little")
    challenge = int.from_bytes(hashlib.sha512(neutral + public + message).digest(), "little")
    order = 2**252 + 27742317777372353535851937790883648493
    half = challenge * int.from_bytes(scalar, "little") % order
    document["signatures"][0]["sig"] = b64(neutral + half.to_bytes(32, "little"))
    return rfc8785.dumps(document).decode()


def signed_note(text, key, name=LOG):
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    digest = sha256(name.encode() + b"\n\x01" + raw)[:4]
    return f"{text}\n\u2014 {name} {b64(digest + key.sign(text.encode()))}\n"


def vkey(key, name=LOG):
    raw = b"\x01" + key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    digest = sha256(name.encode() + b"\n" + raw)[:4]
    return f"{name}+{digest.hex()}+{b64(raw)}"


def tree(leaves):
    """Root of the tree, RFC 9162 section 2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\1" + tree(leaves[:half]) + tree(leaves[half:]))


def path(index, leaves):
    if len(leaves) == 1:
        return []
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < half:
        return path(index, leaves[:half]) + [tree(leaves[half:])]
    return path(index - half, leaves[half:]) + [tree(leaves[:half])]


def proof(entries, index, key=OTHER_KEY, size=None, hashes=None, root=None, at=None, origin=LOG):
    leaves = [sha256(b"\0" + entry.encode()) for entry in entries]
    hashes = path(index, leaves) if hashes is None else hashes
    text = f"{origin}\n{size or len(leaves)}\n{b64(root or tree(leaves))}\n"
    lines = "".join(b64(one) + "\n" for one in hashes)
    return f"c2sp.org/tlog-proof@v1\nindex {index if at is None else at}\n{lines}\n{signed_note(text, key)}"


def b64_of(text):
    return b64(text.encode())


class Acts:
    """A store's chain of acts, sealed one after the other."""

    CHAIN = "5e" * 16

    def __init__(self, run):
        self.run, self.first, self.prev, self.seq, self.lines = run, None, None, 0, []

    def seal(self, key, act, change=lambda statement: None):
        name = f"acts/{self.CHAIN}"
        reason = commit(bytes([self.seq]) * 32, "json", b'"why"').hex()
        chain = {"id": self.CHAIN, "seq": self.seq} | ({"prev": self.prev} if self.prev else {})
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "predicate": {
                "act": act | {"reason": reason},
                "chain": chain,
                "principal": "dana",
                "time": "2027-01-01T00:00:00.000Z",
            },
            "predicateType": "https://nanohost.dev/act/v1",
            "subject": [
                {"digest": {"sha256": self.first or sha256(name.encode()).hex()}, "name": name},
                {"digest": {"nanohostCommitV1": reason}, "name": f"{name}/{self.seq}/reason"},
            ],
        }
        change(statement)
        line = envelope(rfc8785.dumps(statement), key)
        self.prev = sha256(line.encode()).hex()
        self.first = self.first or self.prev
        self.seq += 1
        self.lines.append(line)
        return self

    def erased(self, key, *refs, of=None, **how):
        refs = [f"run/{of or self.run}/{ref}" for ref in refs or ("0/input",)]
        return self.seal(key, {"basis": "request", "kind": "erasure", "refs": refs}, **how)

    def introduced(self, old, new, **how):
        raw = new.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        act = {"change": "introduced", "key": key_id(new), "kind": "key", "public": raw.hex()}
        return self.seal(old, act, **how)

    def accepted(self, new, old, **how):
        return self.seal(new, {"change": "accepted", "key": key_id(old), "kind": "key"}, **how)

    def took_over(self, new, old):
        return self.introduced(old, new).accepted(new, old)

    def retired(self, by, key, **how):
        return self.seal(by, {"change": "retired", "key": key_id(key), "kind": "key"}, **how)

    def before(self, export, proofs=()):
        """The export with these acts, each with its proof where there is one."""
        proofs = list(proofs) + [None] * len(self.lines)
        of = lambda proof: f',"proof":"{b64_of(proof)}"' if proof else ""
        acts = [f'{{"act":"{b64_of(line)}"{of(proof)}}}' for line, proof in zip(self.lines, proofs)]
        return export[:1] + acts + export[1:]


def is_envelope(line):
    return line.startswith('{"payload"')


def main():
    directory = pathlib.Path(sys.argv[1])
    base = Export(directory / "sort-mail.jsonl")
    good = base.sealed()
    cases = []

    def case(name, lines, exit_code, check=None, *, without=None, cut=0, **more):
        """`without`: the exit code of a verifier that repeats neither admission nor transitions."""
        case = {"name": name, "lines": list(lines), "exit": exit_code, "check": check}
        if without is not None:
            case["exitWithoutMachine"] = without
        if cut:
            case["cut"] = cut
        cases.append(case | more)

    def changed(change, **how):
        export = copy.deepcopy(base)
        change(export)
        return export.sealed(**how)

    def predicate(at, change, **how):
        return changed(lambda export: change(export.predicate(at)), **how)

    envelopes = [at for at, line in enumerate(good) if is_envelope(line)]
    values = [at for at, line in enumerate(good) if line.startswith('{"bytes"')]
    second, third, last = envelopes[1], envelopes[2], envelopes[-1]

    def edited(at, change):
        lines = list(good)
        lines[at] = change(lines[at])
        return lines

    # Good.
    case("a whole run", good, 0)
    case("no values", [line for at, line in enumerate(good) if at not in values], 0)
    case("no values, strictly", [line for at, line in enumerate(good) if at not in values], 11, strict=True)
    case("a value withheld", good[: values[2]] + good[values[2] + 1 :], 0)
    case("the admission withheld", good[: values[0]] + good[values[0] + 1 :], 0)
    case("signed by the second of two trusted keys", changed(lambda e: setattr(e, "keys", [OTHER_KEY] * 6)), 0, trust="both")
    # No export.
    case("an empty file", [], 2)
    case("another file", ["# notes", "nothing of a run"], 2)
    # Trust.
    case("signed by a stranger", changed(lambda e: setattr(e, "keys", [OTHER_KEY] * 6)), 13, "signatures")
    case("one envelope signed by a stranger", changed(lambda e: e.keys.__setitem__(3, OTHER_KEY)), 13, "signatures")
    # Bytes.
    flip = lambda line: line[:40] + ("B" if line[40] != "B" else "C") + line[41:]
    case("a payload changed", edited(third, flip), 10, "signatures")
    case("a signature changed", edited(third, lambda line: line[:-30] + ("A" if line[-30] != "A" else "B") + line[-29:]), 10, "signatures")
    case("a key id changed to one that nobody has", edited(third, lambda line: line.replace(key_id(KEY), "0" * 64)), 10, "signatures")
    case("a stranger under a trusted name", edited(third, lambda line: envelope(base64.b64decode(json.loads(line)["payload"]), OTHER_KEY, key_id(KEY))), 10, "signatures")

    def other_signature(line):
        return line[: line.index('"sig"')] + good[second][good[second].index('"sig"') :]

    case("the signature of another envelope", edited(third, other_signature), 10, "signatures")

    def without_pae(line):
        document = json.loads(line)
        document["signatures"][0]["sig"] = b64(KEY.sign(base64.b64decode(document["payload"])))
        return rfc8785.dumps(document).decode()

    case("signed without its type", edited(third, without_pae), 10, "signatures")
    case("a space in an envelope", edited(third, lambda line: line.replace('","payloadType"', '", "payloadType"')), 10, "signatures")
    case("a member more in an envelope", edited(third, lambda line: line[:-1] + ',"x":1}'), 10, "signatures")

    def two(line):
        document = json.loads(line)
        document["signatures"] *= 2
        return rfc8785.dumps(document).decode()

    case("two signatures", edited(third, two), 10, "signatures")
    case("a signature whose first half is of small order", edited(third, of_small_order), 10, "signatures")
    # Payloads that the trusted key signed.
    third_payload = lambda change: lambda at, data: change(data) if at == 2 else data
    case("a payload with a space", base.sealed(payload=third_payload(lambda data: data.replace(b'":"', b'": "', 1))), 10, "canonical")
    case("a payload with a key twice", base.sealed(payload=third_payload(lambda data: data.replace(b'"principal":', b'"principal":"x","principal":', 1))), 10, "canonical")
    case("a payload with a fraction", base.sealed(payload=third_payload(lambda data: data.replace(b'"estimatedTokens":9', b'"estimatedTokens":9.5'))), 10, "canonical")
    case("a payload with an integer beyond 2^53", base.sealed(payload=third_payload(lambda data: data.replace(b'"estimatedTokens":9', b'"estimatedTokens":9007199254740993'))), 10, "canonical")
    case("a payload that is no JSON", base.sealed(payload=third_payload(lambda data: data[:-1])), 10, "canonical")
    case("a payload that is not UTF-8", base.sealed(payload=third_payload(lambda data: data.replace(b"local", b"loc\xff"))), 10, "canonical")
    case("a statement of another type", changed(lambda e: e.statements[2].update(_type="https://in-toto.io/Statement/v0.1")), 10, "canonical")
    case("a predicate of another version", changed(lambda e: e.statements[2].update(predicateType="https://nanohost.dev/evidence/v2")), 10, "canonical")
    case("a member more in a predicate", predicate(2, lambda p: p.update(note="trust me")), 10, "canonical")
    case("an unknown kind", predicate(2, lambda p: p.update(kind="approval")), 10, "canonical")
    case("a commitment named as a digest", changed(lambda e: e.statements[2]["subject"][1].update(digest={"sha256": "0" * 64})), 10, "canonical")
    case("commitments in another order", changed(lambda e: e.statements[2]["subject"].append(e.statements[2]["subject"].pop(1)), fix=("prev", "anchor", "seq", "signer")), 10, "canonical")
    for what, time in {
        "a time in other digits": "\uff12\uff10\uff12\uff16-11-23T04:03:45.828Z",
        "a time in a month that is none": "2026-13-23T04:03:45.828Z",
        "a time in a second that is none": "2026-11-23T04:03:60.000Z",
        "a time with an offset": "2026-11-23T04:03:45.828+00:00",
    }.items():
        case(what, predicate(2, lambda p: p.update(time=time)), 10, "canonical")
    case("a principal that is no text", predicate(2, lambda p: p.update(principal=7)), 10, "canonical")
    case("a step that is no object", predicate(2, lambda p: p.update(step=[])), 10, "canonical")
    case("a step with a member more", predicate(2, lambda p: p["step"].update(note="x")), 10, "canonical")
    case("a visit of a step that is a text", predicate(2, lambda p: p["step"].update(visit="1")), 10, "canonical")
    case("an end that is no object", predicate(5, lambda p: p.update(close="succeeded")), 10, "canonical")
    case("an end in the midst", predicate(2, lambda p: p.update(close={"count": 6, "status": "succeeded"})), 10, "canonical")
    case("a signer that is a text", predicate(0, lambda p: p.update(signer=key_id(KEY)), fix=("prev", "anchor", "state", "seq")), 10, "canonical")
    # Order.
    case("an envelope missing", good[:third] + good[envelopes[3] :], 11, "sequence")
    case("the first envelope missing", [good[0]] + good[second:], 11, "sequence")
    case("no envelopes", good[:1], 11, "sequence")
    case("an envelope twice", good[: second + 1] + [good[second]] + good[second + 1 :], 10, "sequence")
    swapped = good[:second] + good[third : envelopes[3]] + [good[second]] + good[envelopes[3] :]
    case("envelopes swapped", swapped, 10, "sequence")
    case("an envelope of another run", predicate(3, lambda p: p["run"].update(id=OTHER_RUN), payload=lambda at, data: data.replace(base.run.encode(), OTHER_RUN.encode()) if at == 3 else data), 10, "sequence")
    case("a header of another run", edited(0, lambda line: line.replace(base.run, OTHER_RUN)), 10, "sequence")
    case("the last line feed missing", good, 11, "sequence", cut=1)
    case("cut within a line", good, 11, "sequence", cut=40)
    case("an unknown line", good + ['{"note":"all is well"}'], 10, "sequence")
    # Chain, by a holder of the key.
    forget = ("anchor", "state", "seq", "signer")
    case("another envelope before it", predicate(3, lambda p: p["run"].update(prev="0" * 64), fix=forget), 10, "chain")
    case("another beginning", changed(lambda e: e.statements[3]["subject"][0]["digest"].update(sha256="0" * 64), fix=("prev", "state", "seq", "signer")), 10, "chain")
    case("another program", predicate(3, lambda p: p["run"].update(program="0" * 64)), 10, "chain")
    case("another table", predicate(3, lambda p: p["run"].update(plan="0" * 64)), 10, "chain")
    case("another state", predicate(3, lambda p: p["run"].update(state="0" * 64), fix=("prev", "anchor", "seq", "signer")), 10, "chain")
    case("time runs backwards", predicate(3, lambda p: p.update(time="2020-01-01T00:00:00.000Z")), 10, "chain")
    case("a second trusted key goes on", changed(lambda e: setattr(e, "keys", [KEY] * 3 + [OTHER_KEY] * 3)), 10, "chain", trust="both")
    case("it names another key than its own", predicate(0, lambda p: p["signer"].update(key=key_id(OTHER_KEY)), fix=("prev", "anchor", "state", "seq")), 10, "chain")
    # Values.
    content = lambda at, change: edited(at, lambda line: rfc8785.dumps(change(json.loads(line))).decode())
    answer = next(at for at in values if "/2/answer" in good[at])
    case("a value changed", content(answer, lambda d: d | {"bytes": b64(b'"other"')}), 10, "commitments")
    case("a salt changed", content(answer, lambda d: d | {"salt": "0" * 64}), 10, "commitments")
    case("a value read as something else", content(answer, lambda d: d | {"encoding": "text"}), 10, "commitments")
    case("a value under another role", content(answer, lambda d: d | {"ref": d["ref"].replace("answer", "asked")}), 10, "commitments")
    prompt = next(at for at in values if "/2/prompt" in good[at])
    exchanged = list(good)
    one, other = json.loads(good[answer]), json.loads(good[prompt])
    exchanged[answer] = rfc8785.dumps(other | {"ref": one["ref"]}).decode()
    exchanged[prompt] = rfc8785.dumps(one | {"ref": other["ref"]}).decode()
    case("two values exchanged", exchanged, 10, "commitments")
    case("a value twice", good[: answer + 1] + [good[answer]] + good[answer + 1 :], 10, "sequence")
    case("a value after another envelope", good[:answer] + good[prompt + 1 : envelopes[3] + 1] + [good[answer]] + good[envelopes[3] + 1 :], 10, "sequence")
    case("a value of no envelope", good + [good[values[-1]].replace(f"/{base.run}/4/", f"/{base.run}/9/")], 10, "sequence")
    case("a value of an envelope that was cut off", good[: envelopes[3] + 1] + [good[at] for at in values if "/4/prompt" in good[at]], 11, "sequence")
    case("a value that is no JSON", changed(lambda e: e.commit_again(2, "answer", b"refund")), 10, "commitments")
    case("a value with a space", changed(lambda e: e.commit_again(0, "input", b'{"text": "my kettle broke"}')), 10, "commitments")
    case("a value with a key twice", changed(lambda e: e.commit_again(0, "input", b'{"text":"a","text":"b"}')), 10, "commitments")
    # The end.
    case("the tail cut off", good[:last], 14, "closed")
    case("cut after the first envelope", good[: envelopes[1]], 14, "closed")
    case("it counts wrongly", predicate(5, lambda p: p["close"].update(count=7)), 10, "closed")

    def goes_on(export):
        export.statements.insert(5, copy.deepcopy(export.statements[5]))
        export.contents.insert(5, {})
        export.keys.append(KEY)

    case("it goes on after its end", changed(goes_on), 10, "closed")

    # What only the machine can tell.
    def admission(change):
        def apply(export):
            record = json.loads(base64.b64decode(export.contents[0]["admission"]["bytes"]))
            change(record)
            export.commit_again(0, "admission", json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode())

        return apply

    case("another program was recorded", changed(admission(lambda r: r["program"].update(text=r["program"]["text"].replace("Thank", "Curse")))), 10, "admission", without=0)
    case("another policy was recorded", changed(admission(lambda r: r["policies"][0]["source"].update(text="# another\n"))), 10, "admission", without=0)
    case("it was admitted on another day", changed(admission(lambda r: r.update(today="2027-01-01T00:00:00.000Z"))), 10, "admission", without=0)
    case("a model says what it may not say", changed(lambda e: e.commit_again(2, "answer", b'"wire_transfer"')), 10, "transitions", without=0)
    case("a guard decides otherwise", predicate(3, lambda p: p["step"].update(event="otherwise")), 10, "transitions", without=0)
    case("a step leads elsewhere", predicate(3, lambda p: p["step"].update(to="step:classify")), 10, "transitions", without=0)
    case("a step that the program does not have", predicate(3, lambda p: p["step"].update(id="approve")), 10, "transitions", without=0)

    def skips(export):
        for parts in (export.statements, export.contents, export.keys):
            parts.pop(3)
        export.predicate(4)["close"]["count"] = 5

    case("a step left out", changed(skips), 10, "transitions", without=0)
    case("it ends otherwise", predicate(5, lambda p: p["close"].update(status="failed", error="step_failed")), 10, "transitions", without=0)
    case("another model was asked", predicate(2, lambda p: p["model"].update(host="https://elsewhere.example:443")), 10, "authority", without=0)
    # The log.
    entries = ["first", "second", "third"] + [line for line in good if is_envelope(line)] + ["one more"]
    at = len(entries) - 2
    whole = proof(entries, at)
    case("it stands in the log", good, 0, logProof=whole)
    case("a proof of another envelope", good, 10, "log", logProof=proof(entries, at - 1))
    case("a proof under another log's key", good, 10, "log", logProof=proof(entries, at, KEY))
    case("a proof of another log", good, 10, "log", logProof=proof(entries, at, origin="log.example/another"))
    case("a proof at another index", good, 10, "log", logProof=proof(entries, at, at=at - 1))
    case("a proof beyond the tree", good, 10, "log", logProof=proof(entries, at, at=len(entries)))
    case("a proof with a hash left out", good, 10, "log", logProof=proof(entries, at, hashes=path(at, [sha256(b"\0" + one.encode()) for one in entries])[:-1]))
    case("a proof with a hash too many", good, 10, "log", logProof=proof(entries, at, hashes=path(at, [sha256(b"\0" + one.encode()) for one in entries]) + [bytes(32)]))
    case("a proof under another root", good, 10, "log", logProof=proof(entries, at, root=bytes(32)))
    case("a checkpoint changed after it was signed", good, 10, "log", logProof=whole.replace(f"\n{len(entries)}\n", f"\n{len(entries) + 1}\n"))
    case("a leaf hashed as a node", good, 10, "log", logProof=proof(entries[:at] + [entries[at]], at, root=sha256(b"\1" + entries[at].encode()), hashes=[]))
    case("a proof without its checkpoint", good, 2, logProof=whole.split("\n\n")[0] + "\n")
    case("no proof at all", good, 2, logProof="it stands there\n")
    case("the tail cut off, and a proof of the whole", good[:last], 10, "log", logProof=whole)

    # Acts.
    gone = [line for line in good if f"/{base.run}/0/input" not in line or is_envelope(line)]
    assert len(gone) == len(good) - 1, "the input of the run is disclosed"
    acts = lambda: Acts(base.run)
    third_key = Ed25519PrivateKey.from_private_bytes(bytes([42] * 32))
    by_itself = acts().erased(KEY)
    case("an input erased by the key of the run", by_itself.before(gone), 0)
    case("an input erased, strictly: nothing shows where the act stands", by_itself.before(gone), 11, strict=True)
    case("an input erased by another trusted key", acts().erased(OTHER_KEY).before(gone), 13, "erasures", trust="both")
    case("an input erased by a stranger", acts().erased(OTHER_KEY).before(gone), 13, "erasures")
    case("an input erased by a key that took over", acts().took_over(OTHER_KEY, KEY).erased(OTHER_KEY).before(gone), 0)
    case("an input erased by a key that took over from it in two steps", acts().took_over(OTHER_KEY, KEY).took_over(third_key, OTHER_KEY).erased(third_key).before(gone), 0)
    case("an input erased by a key that took over from another", acts().took_over(third_key, OTHER_KEY).erased(third_key).before(gone), 13, "erasures", trust="both")
    case("an input erased by a key before it took over", acts().erased(OTHER_KEY).took_over(OTHER_KEY, KEY).before(gone), 13, "erasures", trust="both")
    case("a key that was introduced and did not accept", acts().introduced(KEY, OTHER_KEY).erased(OTHER_KEY).before(gone), 10, "erasures")
    case("a key that was introduced last", acts().erased(KEY).introduced(KEY, OTHER_KEY).before(gone), 10, "erasures")
    case("a key that accepts and was not introduced", acts().accepted(OTHER_KEY, KEY).erased(OTHER_KEY).before(gone), 10, "erasures", trust="both")
    case("a key that accepts from another one than introduced it", acts().introduced(KEY, OTHER_KEY).accepted(OTHER_KEY, third_key).erased(OTHER_KEY).before(gone), 10, "erasures")
    case("a key that was introduced under another id", acts().introduced(KEY, OTHER_KEY, change=lambda s: s["predicate"]["act"].update(key=key_id(third_key))).erased(KEY).before(gone), 10, "erasures")
    case("an input erased by a key that was retired", acts().took_over(OTHER_KEY, KEY).retired(OTHER_KEY, KEY).erased(KEY).before(gone), 13, "erasures")
    case("an input erased by a key that was retired later", acts().took_over(OTHER_KEY, KEY).erased(KEY).retired(OTHER_KEY, KEY).before(gone), 0)
    case("a key retired by one that did not take over from it", acts().retired(OTHER_KEY, KEY).erased(KEY).before(gone), 10, "erasures", trust="both")
    case("a key that retires itself", acts().retired(KEY, KEY).erased(KEY).before(gone), 10, "erasures")
    case("an input erased and here", by_itself.before(good), 10, "erasures")
    case("a loss that no act excuses, strictly", gone, 11, strict=True)
    case("an erasure from another run", acts().erased(KEY, of=OTHER_RUN).before(gone), 10, "erasures")
    case("an erasure of what was never there", acts().erased(KEY, "0/output").before(gone), 10, "erasures")
    case("an erasure of an envelope that is not there", acts().erased(KEY, "9/input").before(gone), 10, "erasures")
    case("refs out of order", acts().erased(KEY, "2/prompt", "0/input").before(gone), 10, "erasures")
    case("an unknown basis", acts().erased(KEY, change=lambda s: s["predicate"]["act"].update(basis="whim")).before(gone), 10, "erasures")
    case("a member more in an act", acts().erased(KEY, change=lambda s: s["predicate"]["act"].update(note="all is well")).before(gone), 10, "erasures")
    case("an act with a reason that is not among its subjects", acts().erased(KEY, change=lambda s: s["subject"].pop()).before(gone), 10, "erasures")
    case("a first act with another beginning", acts().erased(KEY, change=lambda s: s["subject"][0]["digest"].update(sha256="0" * 64)).before(gone), 10, "erasures")
    case("a second act with another beginning", acts().erased(KEY).erased(KEY, "0/seed", change=lambda s: s["subject"][0]["digest"].update(sha256="0" * 64)).before(gone), 10, "erasures")
    case("a second act that names another one before it", acts().erased(KEY).erased(KEY, "0/seed", change=lambda s: s["predicate"]["chain"].update(prev="0" * 64)).before(gone), 10, "erasures")
    case("an act of another time than the one before it", acts().erased(KEY).erased(KEY, "0/seed", change=lambda s: s["predicate"].update(time="2026-01-01T00:00:00.000Z")).before(gone), 10, "erasures")
    twice = acts().erased(KEY).erased(KEY, "0/seed")
    twice.lines.reverse()
    case("acts in another order", twice.before(gone), 10, "erasures")
    case("an envelope of a run in the place of an act", good[:1] + [f'{{"act":"{b64_of(good[second])}"}}'] + good[1:], 10, "erasures")
    case("an act in the place of an envelope", gone + by_itself.lines, 10, "canonical")
    case("an act after an envelope", gone[:2] + by_itself.before(gone)[1:2] + gone[2:], 10, "sequence")
    case("a space in an act", [line.replace('"act":"', '"act": "') for line in by_itself.before(gone)], 10, "sequence")
    entries = ["first", by_itself.lines[0], "third"]
    case("an act that stands in the log", by_itself.before(gone, [proof(entries, 1)]), 0, logKeyAlone=True)
    case("an act that stands in the log, strictly", by_itself.before(gone, [proof(entries, 1)]), 0, logKeyAlone=True, strict=True, without=11)
    case("an act without its proof", by_itself.before(gone), 0, logKeyAlone=True)
    case("an act without its proof, strictly", by_itself.before(gone), 11, logKeyAlone=True, strict=True)
    case("an act with the proof of another", by_itself.before(gone, [proof(entries, 2)]), 10, "erasures", logKeyAlone=True)
    case("an act with a proof under another key", by_itself.before(gone, [proof(entries, 1, KEY)]), 10, "erasures", logKeyAlone=True)
    case("an act with a proof under another root", by_itself.before(gone, [proof(entries, 1, root=bytes(32))]), 10, "erasures", logKeyAlone=True)
    case("an act with a proof that is none", by_itself.before(gone, ["it stands there\n"]), 10, "sequence", logKeyAlone=True)

    case("an act with a proof that is none, and nobody names the log", by_itself.before(gone, ["it stands there\n"]), 10, "sequence")
    case("an act with a proof of a log by another name", by_itself.before(gone, [proof(entries, 1, origin="log.example/other")]), 10, "erasures", logKeyAlone=True)
    no_head = proof(entries, 1, origin="log.example/vectors\nmany")
    case("an act with a proof under what is no head, and nobody names the log", by_itself.before(gone, [no_head]), 10, "erasures")
    case("an act with a proof of a log that nobody names", by_itself.before(gone, [proof(entries, 1, origin="log.example/other")]), 0)
    twofold = acts().erased(KEY).erased(KEY, "0/seed")
    both_gone = [line for line in gone if f"/{base.run}/0/seed" not in line or is_envelope(line)]
    entries = ["first", *twofold.lines]
    of_second = proof(entries, 2)
    case("two acts that stand in the log", twofold.before(both_gone, [proof(entries, 1), of_second]), 0, logKeyAlone=True)
    spoilt = proof(entries, 2, root=bytes(32))
    case("the proof of the first act is gone, and that of the second damaged", twofold.before(both_gone, [None, spoilt]), 10, "erasures", logKeyAlone=True)
    case("an act by a principal that is none", acts().erased(KEY, change=lambda s: s["predicate"].update(principal="starter")).before(gone), 10, "erasures")
    case("an act of a time that is none", acts().erased(KEY, change=lambda s: s["predicate"].update(time="2027-02-30T00:00:00.000Z")).before(gone), 10, "erasures")
    case("an erasure with its approver", acts().erased(KEY, change=lambda s: s["predicate"]["act"].update(approver="lea@example.org")).before(gone), 0)
    case("an erasure with an approver that is none", acts().erased(KEY, change=lambda s: s["predicate"]["act"].update(approver="Lea Example")).before(gone), 10, "erasures")
    case("an act that is no object", acts().erased(KEY, change=lambda s: s["predicate"].update(act="erasure")).before(gone), 10, "erasures")
    spki = bytes.fromhex("302a300506032b6570032100")
    for what, raw in {"a key of small order": (1).to_bytes(32, "little"), "a key that is no point": bytes([2]) + bytes(31)}.items():
        weak = {"public": raw.hex(), "key": sha256(spki + raw).hex()}
        case(f"{what} is introduced", acts().introduced(KEY, OTHER_KEY, change=lambda s: s["predicate"]["act"].update(weak)).before(good), 10, "erasures")
    lost = {"kind": "loss", "known": {"acts": 3, "last": "0" * 64}}
    case("a loss, which is about no run", acts().seal(KEY, lost).before(good), 10, "erasures")

    # What else an erasure says.
    def erased_with(**more):
        return acts().erased(KEY, change=lambda s: s["predicate"]["act"].update(more))

    case("a run erased whole", erased_with(keyValues=2, whole=True).before(gone), 0)
    case("a mark that is no truth value", erased_with(whole=1).before(gone), 10, "erasures")
    case("a count below nothing", erased_with(keyValues=-1).before(gone), 10, "erasures")
    damaged = acts().erased(KEY, "0/input", "9/input", change=lambda s: s["predicate"]["act"].update(damaged=True))
    case("damaged evidence: erased what the store held", damaged.before(gone), 0)
    case("damaged evidence: erased and here", damaged.before(good), 10, "erasures")

    # Legal holds.
    def hold(chain, change="laid", on=None, key=KEY, **more):
        act = {"change": change, "hold": 1, "kind": "hold", "on": on or {"run": base.run}}
        return chain.seal(key, act | more)

    case("a legal hold", hold(acts()).before(good), 0)
    case("a legal hold that ended", hold(hold(acts()), "ended").before(good), 0)
    case("a hold that ended, and an erasure", hold(hold(acts()), "ended").erased(KEY).before(gone), 0)
    case("a hold on another run", hold(acts(), on={"run": OTHER_RUN}).before(good), 10, "erasures")
    case("a hold on a subject", hold(acts(), on={"subject": "0" * 64}).before(good), 10, "erasures")
    case("a hold on two things", hold(acts(), on={"run": base.run, "subject": "0" * 64}).before(good), 10, "erasures")
    case("a hold on nothing", hold(acts(), on={"case": "7"}).before(good), 10, "erasures")
    case("a hold that is neither laid nor ended", hold(acts(), "moved").before(good), 10, "erasures")
    case("a hold with a member more", hold(acts(), until="2027").before(good), 10, "erasures")
    case("a hold by a stranger", hold(acts(), key=OTHER_KEY).before(good), 13, "erasures")
    case("a hold by another trusted key", hold(acts(), key=OTHER_KEY).before(good), 13, "erasures", trust="both")
    case("an act of an unknown kind", acts().seal(KEY, {"kind": "pardon", "run": base.run}).before(good), 10, "erasures")

    # Runs that another key ended, after their own was retired: cancelled before their last step.
    def cut_short(export, keys=(OTHER_KEY, OTHER_KEY)):
        cancelled, close = copy.deepcopy(base.statements[3]), copy.deepcopy(base.statements[5])
        for parts in (export.statements, export.contents):
            del parts[4:]
        place = {"attempt": 0, "event": "cancelled", "from": "step:thank", "id": "classify", "to": "closing", "visit": 0}
        cancelled["predicate"]["step"] = place
        close["predicate"]["close"] = {"count": 6, "error": "cancelled", "status": "cancelled"}
        export.statements += [cancelled, close]
        export.contents += [{}, {}]
        export.keys = [KEY] * 4 + list(keys)

    def head(lines):
        return sha256([line for line in lines if is_envelope(line)][3].encode()).hex()

    short = changed(cut_short)

    def ending(lines=short, own=key_id(KEY), chain=None, **more):
        act = {"after": 4, "head": head(lines), "key": own, "kind": "ending", "run": base.run} | more
        chain = chain or acts().took_over(OTHER_KEY, KEY).retired(OTHER_KEY, KEY)
        return chain.seal(OTHER_KEY, act).before(lines)

    def ended(name, lines, exit_code, check=None, trust="both", **more):
        case(name, lines, exit_code, check, trust=trust, **more)

    ended("cancelled by its own key", changed(lambda e: cut_short(e, (KEY, KEY))), 0)
    ended("another key ends it, by an act", ending(), 0)
    ended("an act that nobody used", ending(good), 0)
    ended("another key ends it without an act", short, 10, "chain")
    ended("the act names another head", ending(head="0" * 64), 10, "chain")
    ended("the act names another place", ending(after=3), 10, "chain")
    ended("the act names another key of the run", ending(own=key_id(OTHER_KEY)), 10, "chain")
    ended("the act is about another run", ending(run=OTHER_RUN), 10, "chain")
    ended("the act is by a key that took over from nobody", ending(chain=acts()), 10, "chain")
    ended("a run that has not begun is ended", ending(good, after=0), 10, "erasures")
    ended("an ending with a member more", ending(good, note="x"), 10, "erasures")
    kept = acts().took_over(OTHER_KEY, KEY)
    ended("another key ends it, whose own was not retired", ending(chain=kept), 10, "chain")
    kept = acts().took_over(OTHER_KEY, KEY)
    ended("an act that nobody used, of a key that was not retired", ending(good, chain=kept), 10, "erasures")
    kept = acts().took_over(OTHER_KEY, KEY)
    ending(chain=kept)
    ended("its own key is retired after the act that ends it", kept.retired(OTHER_KEY, KEY).before(short), 10, "chain")
    ended("the key that ends it is not trusted", ending(), 13, "signatures", trust=None)
    on = changed(lambda e: setattr(e, "keys", [KEY] * 4 + [OTHER_KEY] * 2))
    ended("whoever may end it goes on with it", ending(on), 10, "chain")
    back = changed(lambda e: cut_short(e, (OTHER_KEY, KEY)))
    ended("its own key signs after its end", ending(back), 10, "chain")

    pool = {}
    for one in cases:
        one["lines"] = [pool.setdefault(line, len(pool)) for line in one["lines"]]
    assert len({one["name"] for one in cases}) == len(cases), "a name stands twice"
    document = {
        "about": "Whole exports. A case's file is the pool's lines that it names, each with a line feed, less the last "
        "`cut` bytes. `exit` and `check`: how a verifier ends, and the check that fails. `exitWithoutMachine`: how one "
        "ends that repeats neither the admission nor the transitions, where that differs. `trust`: `both` where the "
        "second key is trusted too. `logProof`: a proof, to be checked with `logKey`; `logKeyAlone`: that key without one.",
        "publicKey": pem(KEY),
        "secondKey": pem(OTHER_KEY),
        "logKey": vkey(OTHER_KEY),
        "cases": cases,
        "pool": list(pool),
    }
    text = json.dumps(document, indent=1, ensure_ascii=True) + "\n"
    (directory / "runs.json").write_text(text, encoding="ascii", newline="\n")
    print(f"{len(cases)} cases, {len(text)} bytes")


if __name__ == "__main__":
    main()

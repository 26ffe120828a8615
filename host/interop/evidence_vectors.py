#!/usr/bin/env python3
"""Writes `nanohost-core/tests/vectors/evidence/*.json`: named cases, most of which must fail.

    evidence_vectors.py DIRECTORY

The good cases come from libraries that nobody here wrote (`hmac`, `rfc8785`, `cryptography`), so
that the host is compared with something other than itself. Rerunning changes nothing.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys

import rfc8785
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

RUN = "00112233445566778899aabbccddeeff"
OTHER_RUN = "ffeeddccbbaa99887766554433221100"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
TYPE = "application/vnd.in-toto+json"


def b64(data):
    return base64.b64encode(data).decode()


def spki(key, encoding):
    return key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def pem(key):
    return spki(key, serialization.Encoding.PEM).decode()


def key_id(key):
    return hashlib.sha256(spki(key, serialization.Encoding.DER)).hexdigest()


def pae(payload, kind=TYPE):
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def envelope(payload, key=KEY, name=None, kind=TYPE, signed_kind=None):
    signature = key.sign(pae(payload, signed_kind or kind))
    document = {
        "payload": b64(payload),
        "payloadType": kind,
        "signatures": [{"keyid": name or key_id(key), "sig": b64(signature)}],
    }
    return rfc8785.dumps(document).decode()


def commit(salt, encoding, data):
    message = b"nanohost/commit/v1\0" + encoding.encode() + b"\0" + len(data).to_bytes(8, "big") + data
    return hmac.new(salt, message, hashlib.sha256).digest()


def replaced(text, old, new):
    assert text.count(old) == 1, (old, text)
    return text.replace(old, new)


def jcs():
    good = [
        ("null", None),
        ("empty object", {}),
        ("empty array", []),
        ("greatest integer", 2**53 - 1),
        ("least integer", -(2**53) + 1),
        ("nested", {"a": [{"b": [True, False, None]}, -1, 0, ""]}),
        ("keys sort by UTF-16 code units", {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "\r": 4, "1": 5}),
        ("control characters", "\b\t\n\f\r\u0000\u001f\u007f\u2028"),
        ("solidus, quote and backslash", '/"\\'),
        ("unicode is not normalised", "A\u030a \u00c5"),
        ("a large number as a string", "9007199254740993"),
        ("greatest depth", nested(120)),
    ]
    cases = [{"name": n, "text": rfc8785.dumps(v).decode(), "expect": "ok"} for n, v in good]
    bad = [
        ("nothing", "", "not_json"),
        ("two documents", "1 2", "not_json"),
        ("trailing line feed", "{}\n", "not_canonical"),
        ("leading space", " {}", "not_canonical"),
        ("byte order mark", "\ufeff{}", "not_json"),
        ("space after colon", '{"a": 1}', "not_canonical"),
        ("keys out of order", '{"b":1,"a":2}', "not_canonical"),
        ("keys by code points, not UTF-16", '{"\ufb33":1,"\U0001f600":2}', "not_canonical"),
        ("duplicate key", '{"a":1,"a":1}', "duplicate_key"),
        ("duplicate key, escaped", '{"a":1,"\\u0061":1}', "duplicate_key"),
        ("duplicate key, deep", '{"x":[{"k":1,"k":2}]}', "duplicate_key"),
        ("escaped letter", '"\\u0061"', "not_canonical"),
        ("escaped solidus", '"\\/"', "not_canonical"),
        ("upper-case escape", '"\\u001F"', "not_canonical"),
        ("long form of a short escape", '"\\u000a"', "not_canonical"),
        ("raw control character", '"\n"', "not_json"),
        ("lone surrogate", '"\\ud800"', "not_json"),
        ("fraction", "1.5", "float"),
        ("whole number as fraction", "1.0", "float"),
        ("exponent", "1e2", "float"),
        ("negative zero", "-0", "float"),
        ("beyond all doubles", "1e999", "not_json"),
        ("2^53", "9007199254740992", "integer_range"),
        ("-2^53", "-9007199254740992", "integer_range"),
        ("2^53+1, which JCS would round", '{"n":9007199254740993}', "integer_range"),
        ("2^64-1", "18446744073709551615", "integer_range"),
        ("2^64", "18446744073709551616", "float"),
        ("leading zero", "01", "not_json"),
        ("plus sign", "+1", "not_json"),
        ("NaN", "NaN", "not_json"),
        ("comment", "{}/**/", "not_json"),
        ("trailing comma", "[1,]", "not_json"),
        ("single quotes", "{'a':1}", "not_json"),
        ("one level too deep", rfc8785.dumps(nested(121)).decode(), "too_deep"),
        ("brackets without end", "[" * 1_000, "too_deep"),
        ("objects without end", '{"a":' * 1_000, "too_deep"),
    ]
    cases += [{"name": n, "text": t, "expect": e} for n, t, e in bad]
    for name, data in [
        ("stray continuation byte", b'"\x80"'),
        ("overlong form", b'"\xc0\xaf"'),
        ("surrogate in UTF-8", b'"\xed\xa0\x80"'),
        ("Latin-1", b'"\xe9"'),
        ("UTF-16", '"a"'.encode("utf-16-le")),
    ]:
        cases.append({"name": name, "hex": data.hex(), "expect": "not_json"})
    return {
        "about": "A document must already be in its RFC 8785 form, without floats and without integers beyond "
        "2^53-1. `text` or `hex` is the document.",
        "cases": cases,
    }


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def dsse():
    payload = b'{"_type":"https://in-toto.io/Statement/v1","n":1}'
    good = envelope(payload)
    sig = json.loads(good)["signatures"][0]["sig"]
    one = envelope(b"a")  # "YQ==": two digits of padding, four spare bits
    order = 2**252 + 27742317777372353535851937790883648493
    raw = base64.b64decode(sig)
    malleable = raw[:32] + (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    two = replaced(good, "}]}", f'}},{{"keyid":"{key_id(KEY)}","sig":"{sig}"}}]}}')
    document = json.loads(good)
    reordered = json.dumps({k: document[k] for k in ("payloadType", "payload", "signatures")}, separators=(",", ":"))
    cases = [
        ("statement", good, "ok", payload),
        ("empty payload", envelope(b""), "ok", b""),
        ("payload of one byte", one, "ok", b"a"),
        ("payload of two bytes", envelope(b"ab"), "ok", b"ab"),
        ("payload that is not UTF-8", envelope(b"\xff\xfe\x00"), "ok", b"\xff\xfe\x00"),
        ("nothing", "", "form"),
        ("line feed at the end", good + "\n", "form"),
        ("space at the start", " " + good, "form"),
        ("space after a colon", replaced(good, '"payload":', '"payload": '), "form"),
        ("other order of members", reordered, "form"),
        ("unknown member", replaced(good, '{"payload":', '{"note":"","payload":'), "form"),
        ("unknown member in the signature", replaced(good, '{"keyid":', '{"cert":"","keyid":'), "form"),
        ("payload twice", replaced(good, '{"payload":', '{"payload":"","payload":'), "payload"),
        ("no signature", good[: good.index("[") + 1] + "]}", "form"),
        ("two signatures", two, "form"),
        ("other payload type", envelope(payload, kind="application/json"), "form"),
        ("escaped payload type", replaced(good, "application/vnd", "application\\/vnd"), "form"),
        ("signed as another type", envelope(payload, signed_kind="application/json"), "unverified"),
        ("payload without padding", replaced(one, "YQ==", "YQ"), "payload"),
        ("payload with one padding of two", replaced(one, "YQ==", "YQ="), "payload"),
        ("payload with stray bits", replaced(one, "YQ==", "YR=="), "payload"),
        ("payload in the URL alphabet", replaced(envelope(b"\xff\xfe\x00"), "//4A", "__4A"), "payload"),
        ("payload with a line feed", replaced(one, "YQ==", "YQ\\n=="), "payload"),
        ("payload of padding", replaced(one, "YQ==", "===="), "payload"),
        ("payload changed", replaced(good, b64(payload), b64(payload.replace(b"1}", b"2}"))), "unverified"),
        ("payload cut", replaced(good, b64(payload), b64(payload[:-3])), "unverified"),
        ("key id in upper case", replaced(good, key_id(KEY), key_id(KEY).upper()), "key_id"),
        ("key id not hexadecimal", replaced(good, key_id(KEY), "g" * 64), "key_id"),
        ("key id empty", replaced(good, key_id(KEY), ""), "form"),
        ("key id of another key", envelope(payload, name=key_id(OTHER_KEY)), "other_key"),
        ("key id of nobody", envelope(payload, name="0" * 64), "other_key"),
        ("signed by another key", envelope(payload, key=OTHER_KEY), "other_key"),
        ("signed by another key in this one's name", envelope(payload, key=OTHER_KEY, name=key_id(KEY)), "unverified"),
        ("signature with stray bits", replaced(good, sig, sig[:-3] + spare_bit(sig[-3]) + "=="), "signature"),
        ("signature without padding", replaced(good, sig, sig[:-2]), "form"),
        ("signature of 66 bytes", replaced(good, sig, b64(raw + b"\0\0")), "signature"),
        ("signature of 63 bytes", replaced(good, sig, b64(raw[:63])), "form"),
        ("signature of zeros", replaced(good, sig, b64(bytes(64))), "unverified"),
        ("signature plus the group order", replaced(good, sig, b64(malleable)), "unverified"),
        ("signature over the bare payload", replaced(good, sig, b64(KEY.sign(payload))), "unverified"),
    ]
    return {
        "about": "One byte form of a DSSE envelope, verified with `publicKey`. The parts after the payload have "
        "fixed lengths and are found from the end, so that one of another length is a matter of form.",
        "publicKey": pem(KEY),
        "cases": [
            {"name": n, "envelope": e, "expect": x} | ({"payloadHex": p[0].hex()} if p else {}) for n, e, x, *p in cases
        ],
    }


def spare_bit(digit):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return alphabet[alphabet.index(digit) + 1]


def commitments():
    salt, other = bytes(range(32)), bytes(32)
    value = '{"order_id":"A-1","amount":4200}'.encode()
    right = commit(salt, "json", value)
    cases = [
        ("json", salt, "json", value, right, True),
        ("text", salt, "text", "Grüße".encode(), commit(salt, "text", "Grüße".encode()), True),
        ("bytes", salt, "bytes", b"\x00\xff", commit(salt, "bytes", b"\x00\xff"), True),
        ("empty", other, "bytes", b"", commit(other, "bytes", b""), True),
        ("longer than a block of SHA-256", salt, "text", b"a" * 1000, commit(salt, "text", b"a" * 1000), True),
        ("another salt", other, "json", value, right, False),
        ("another encoding", salt, "text", value, right, False),
        ("another value", salt, "json", value + b" ", right, False),
        ("a plain digest", salt, "json", value, hashlib.sha256(value).digest(), False),
        ("a MAC without domain", salt, "json", value, hmac.digest(salt, value, "sha256"), False),
        (
            "a MAC without length",
            salt,
            "json",
            value,
            hmac.digest(salt, b"nanohost/commit/v1\0json\0" + value, "sha256"),
            False,
        ),
    ]
    return {
        "about": 'HMAC-SHA256(salt, "nanohost/commit/v1\\0" || encoding || 0x00 || u64 big-endian length || bytes).',
        "cases": [
            {"name": n, "salt": s.hex(), "encoding": e, "hex": d.hex(), "commitment": c.hex(), "expect": x}
            for n, s, e, d, c, x in cases
        ],
    }


def export():
    salt = bytes(range(32))
    header = f'{{"nanohostExport":1,"run":"{RUN}"}}\n'

    def line(seq, run=RUN):
        return envelope(rfc8785.dumps({"predicate": {"run": {"id": run, "seq": seq}}})) + "\n"

    def content(seq, role, data=b'{"n":1}', encoding="json", run=RUN):
        return (
            rfc8785.dumps(
                {"bytes": b64(data), "encoding": encoding, "ref": f"run/{run}/{seq}/{role}", "salt": salt.hex()}
            ).decode()
            + "\n"
        )

    def act(data=None, more=""):
        return f'{{"act":"{b64(data or line(0)[:-1].encode())}"{more}}}\n'

    e0, e1, e2 = line(0), line(1), line(2)
    c1i, c1o = content(1, "input"), content(1, "output", b"done", "text")
    good = header + e0 + e1 + c1i + c1o + e2
    cases = [
        ("run with contents", good, "ok"),
        ("header alone", header, "ok"),
        ("empty content", header + e0 + content(0, "input", b"", "bytes"), "ok"),
        ("role with a part", header + e0 + content(0, "used/3-fs.read_dir"), "ok"),
        ("nothing", "", "cut_line", 1),
        ("no header", e0 + e1, "malformed", 1),
        ("other version", good.replace('"nanohostExport":1', '"nanohostExport":2'), "malformed", 1),
        ("space in the header", good.replace(',"run"', ', "run"'), "malformed", 1),
        ("member in the header", good.replace('"}\n', '","x":1}\n', 1), "malformed", 1),
        ("header's run in upper case", good.replace(RUN, RUN.upper(), 1), "malformed", 1),
        ("header twice", header + header + e0, "malformed", 2),
        ("empty line", header + e0 + "\n" + e1, "malformed", 3),
        ("act before the envelopes", header + act() + e0, "ok"),
        ("two acts", header + act() + act(b"{}") + e0, "ok"),
        ("act after an envelope", header + e0 + act() + e1, "malformed", 3),
        ("act after a content", header + e0 + content(0, "input") + act(), "malformed", 4),
        ("act before the header", act() + header + e0, "malformed", 1),
        ("act with a space", header + act().replace(":", ": ") + e0, "malformed", 2),
        ("act with a member more", header + act(more=',"x":1') + e0, "malformed", 2),
        ("act without padding", header + '{"act":"YQ"}\n' + e0, "malformed", 2),
        ("act with stray bits", header + '{"act":"YR=="}\n' + e0, "malformed", 2),
        ("act with a proof that is none", header + act(more=',"proof":"YQ=="') + e0, "malformed", 2),
        ("act with its proof before it", header + '{"proof":"YQ==","act":"YQ=="}\n' + e0, "malformed", 2),
        ("act that was cut off", header + act()[:-3], "cut_line", 2),
        ("carriage return", good.replace("\n", "\r\n"), "malformed", 1),
        ("last line feed missing", good[:-1], "cut_line", 6),
        ("cut within a line", good[: len(good) - len(e2) + 40], "cut_line", 6),
        ("text after the end", good + "#", "cut_line", 7),
        ("unknown line", header + e0 + '{"note":"hello"}\n', "malformed", 3),
        ("space before an envelope", header + " " + e0, "malformed", 2),
        ("content of another run", header + e0 + content(0, "input", run=OTHER_RUN), "malformed", 3),
        ("content twice", header + e0 + e1 + c1i + c1i, "malformed", 5),
        ("contents in the wrong order", header + e0 + e1 + c1o + c1i, "malformed", 5),
        ("content of an earlier envelope", header + e0 + e1 + c1i + e2 + content(0, "input"), "malformed", 6),
        ("envelopes swapped with their contents", header + e1 + c1i + e0 + content(0, "input"), "malformed", 5),
        ("content moved past the next envelope", header + e0 + e1 + e2 + c1i, "malformed", 5),
        ("content moved before its envelope", header + e0 + c1i + e1 + e2, "malformed", 3),
        ("ref changed to a later envelope", header + e0 + content(2, "input") + e1 + e2, "malformed", 3),
        ("content of an envelope cut off, run open", header + e0 + e1 + content(2, "input"), "orphan_content"),
        ("content before any envelope, run open", header + content(0, "input"), "orphan_content"),
        ("content beyond the end, run closed", good + content(3, "input"), "malformed", 7, True),
        ("unknown encoding", header + e0 + content(0, "input", encoding="yaml"), "malformed", 3),
        ("role with an upper-case letter", header + e0 + content(0, "Input"), "malformed", 3),
        ("role that is empty", header + e0 + content(0, ""), "malformed", 3),
        ("role that is too long", header + e0 + content(0, "a" * 65), "malformed", 3),
        ("sequence number with a zero", header + e0 + content("00", "input"), "malformed", 3),
        ("sequence number with a sign", header + e0 + content("+0", "input"), "malformed", 3),
        ("sequence number beyond 2^53", header + e0 + content(2**53, "input"), "malformed", 3),
        ("sequence number beyond 2^64", header + e0 + content(2**64, "input"), "malformed", 3),
        ("no sequence number", header + e0 + content("", "input"), "malformed", 3),
        ("salt in upper case", header + e0 + c0(salt.hex().upper()), "malformed", 3),
        ("salt too short", header + e0 + c0(salt.hex()[2:]), "malformed", 3),
        ("bytes without padding", header + e0 + c0(salt.hex(), "YQ"), "malformed", 3),
        ("bytes with stray bits", header + e0 + c0(salt.hex(), "YR=="), "malformed", 3),
        ("member in a content", header + e0 + c0(salt.hex(), more=',"x":1'), "malformed", 3),
        ("space in a content", header + e0 + c1i.replace('","enc', '", "enc'), "malformed", 3),
        ("members of a content in another order", header + e0 + other_order(salt.hex()), "malformed", 3),
    ]
    documents = []
    for name, text, expect, *rest in cases:
        case = {"name": name, "file": text, "expect": expect}
        if rest:
            case["line"] = rest[0]
        if len(rest) > 1:
            case["closed"] = rest[1]
        documents.append(case)
    return {
        "about": "The form and order of an export's lines. `line` is where a refusal points. `closed` says whether "
        "the last envelope ends the run (default false): it tells a cut file from a changed ref.",
        "run": RUN,
        "publicKey": pem(KEY),
        "cases": documents,
    }


def c0(salt, data="YQ==", more=""):
    return f'{{"bytes":"{data}","encoding":"json","ref":"run/{RUN}/0/input","salt":"{salt}"{more}}}\n'


def other_order(salt):
    return f'{{"encoding":"json","bytes":"YQ==","ref":"run/{RUN}/0/input","salt":"{salt}"}}\n'


def main():
    directory = pathlib.Path(sys.argv[1])
    for name, make in [("jcs", jcs), ("dsse", dsse), ("commit", commitments), ("export", export)]:
        text = json.dumps(make(), indent=1, ensure_ascii=True) + "\n"
        (directory / f"{name}.json").write_text(text, encoding="ascii", newline="\n")


if __name__ == "__main__":
    main()

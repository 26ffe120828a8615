#!/usr/bin/env python3
"""seeds.py FOLDER: writes what each fuzz target begins with, from the examples and the vectors.

The names of the files are digests of their contents, so that nothing is there twice.
"""
import base64
import hashlib
import io
import json
import re
import sys
import tarfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VECTORS = HERE.parent / "nanohost-core" / "tests" / "vectors"

corpus = Path(sys.argv[1])
for name in HERE.glob("fuzz_targets/*.rs"):
    (corpus / name.stem).mkdir(parents=True, exist_ok=True)


def seed(target, content):
    content = content.encode() if isinstance(content, str) else content
    folder = corpus / f"{target}-seeds"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)


def cases(*path):
    return json.loads(VECTORS.joinpath(*path).read_text())["cases"]


def texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for field in value.values():
            yield from texts(field)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def schemas(program):
    for schema in (program.get("inputs") or {}).values():
        seed("inputs", json.dumps(schema) + "\n" + json.dumps(schema.get("default", "x")))


for target in [
    "GET\nhttps\napi.example.com\n/v1/refunds?x=1",
    "POST\nhttp\n[::1]:8080\n/",
    "PUT\nhttps\nA.example.COM:443\n/a/../b//c;d%2e%2e%2f",
    "/v1/**",
]:
    seed("http_target", target)

chain = "07" * 16
line = '{"chain":"%s","seq":%d,"log":"nanohost-log/0","size":%d,"act":"AQE="}'
both = [line % (chain, 0, 5), line % ("08" * 16, 0, 6), line % (chain, 1, 9)]
seed("acts_list", "\n".join(both) + "\n")
seed("acts_list", "\n".join(both))
seed("acts_list", "\n".join(both)[:-20])
seed("acts_list", f"nanohost.dev/acts-head/v1\n{chain}\n0\n")
seed("acts_list", f"nanohost.dev/acts-head/v1\n{chain}\n7\n{'ab' * 32}\n")
package = {
    "_type": "https://in-toto.io/Statement/v1",
    "predicate": {
        "functions": {"my:tool/api#f": {"input": "0" * 64, "output": "1" * 64}},
        "provenance": {
            "builder": "nanohost 0.1.0",
            "rebuild": "not-tried",
            "source": {"clean": True, "commit": "0" * 40, "repository": "https://a.test/r"},
            "toolchain": ["rustc 1.95.0"],
        },
        "tool": "refund",
        "version": "1.0.0",
    },
    "predicateType": "https://nanohost.dev/package/v1",
    "subject": [
        {"digest": {"sha256": "0" * 64}, "name": "component.wasm"},
        {"digest": {"sha256": "1" * 64}, "name": "manifest.toml"},
        {"digest": {"sha256": "2" * 64}, "name": "sbom.cdx.json"},
    ],
}
for subjects in [3, 2]:
    package["subject"] = package["subject"][:subjects]
    payload = json.dumps(package, sort_keys=True, separators=(",", ":")).encode()
    signature = base64.b64encode(bytes(64)).decode()
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": "0" * 64, "sig": signature}],
    }
    seed("signature", json.dumps(envelope, separators=(",", ":")))

runs = json.loads(VECTORS.joinpath("evidence", "runs.json").read_text())
for case in runs["cases"]:
    lines = [json.loads(runs["pool"][at]) for at in case["lines"] if runs["pool"][at].startswith('{"act":"')]
    acts = [base64.b64decode(line["act"]) for line in lines]
    acts = [json.loads(act) for act in acts if act.startswith(b'{"payload":"')]
    if acts:
        seed("act", b"\n".join(base64.b64decode(act["payload"]) for act in acts))

digest = "sha256:" + "0" * 64
lock = 'format = 1\n\n[tools.a]\npath = "b"\ntool = "c"\nversion = "1"\nfunction = "d"\nasks = ["kv e"]\n'
seed("lock", lock + "".join(f'{key} = "{digest}"\n' for key in ("manifest", "input", "output")))
head = "example.com/log\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
seed("note", head + "\n\u2014 example.com/log x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n")
seed("note", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
log_key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
witness_key = "PeterNeumann+18b9780b+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
seed("log_policy", f"# ours\nlog {log_key} https://example.com/\nwitness a {witness_key} http://localhost:1/\ngroup g 1 a\nquorum g\n")
seed("log_policy", "quorum none\n")
hash_line = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
line = "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
seed("witness", f"old 0\n\n{head}\n{line}")
seed("witness", f"old 3\n{hash_line * 2}\nPeterNeumann\n7\n{hash_line}\n{line}")
seed("answers", json.dumps({"format": "nanohost/answers/v1", "cut": False, "answers": [
    {"wall": {"seconds": 1, "nanoseconds": 2}},
    {"random": {"bytes": {"base64": "AP8="}}},
    {"get": {"namespace": "n", "key": "k", "value": {"text": "v"}, "version": 3}},
    {"file": {"ask": "stat", "path": "/data/a", "with": "follow", "sent": None,
              "told": {"stat": {"kind": "regular-file", "links": 1, "size": 2}}}},
    {"read": {"path": "/data/a", "offset": 0, "stream": {"bytes": {"text": "ab"}, "pieces": [2], "end": "closed"}}},
    {"poll": {"ready": [0]}},
    {"tcp": {"ask": "connect", "socket": 0, "with": "127.0.0.1:7", "told": "done"}},
    {"tcp": {"ask": "remote-address", "socket": 0, "with": "", "told": {"address": "127.0.0.1:7"}}},
    {"receive": {"socket": 0, "stream": {"bytes": {"text": "ab"}, "pieces": [0, 2], "end": "closed"}}},
]}, separators=(",", ":")))



def section(number, content):
    size, length = len(content), b""
    while size >= 0x80:
        size, length = size >> 7, length + bytes([size & 0x7F | 0x80])
    return bytes([number]) + length + bytes([size]) + content


def custom(name, content):
    return section(0, bytes([len(name)]) + name.encode() + content)


# A component with a module inside, who made it, and what cargo-auditable says it is made of.
listed = {"packages": [{"name": "a", "version": "1.0.0", "source": "crates.io", "kind": "build"},
                       {"name": "b", "version": "0.1.0", "source": "local", "dependencies": [0], "root": True}]}
module = b"\0asm\1\0\0\0" + section(11, b"\0") + custom("producers", b"\1\x08language\1\4Rust\0")
seed("anatomy", b"\0asm\x0d\0\1\0" + section(1, module)
     + custom(".dep-v0", zlib.compress(json.dumps(listed).encode())) + custom("note", b"x"))

programs = list(ROOT.glob("examples/*/**/program.toml")) + list(ROOT.glob("examples/**/granted.toml"))
for file in programs:
    seed("program_toml", file.read_bytes())
for file in ROOT.glob("tools/*/manifest.toml"):
    seed("manifest", file.read_bytes())
for file in [*ROOT.glob("tools/*/tests/*.toml"), *ROOT.glob("examples/**/*.cases.toml")]:
    seed("cases", file.read_bytes())
for file in ROOT.glob("policies/*.toml"):
    seed("policy", file.read_bytes())
for case in cases("validator.json") + cases("runs.json"):
    program = case.get("program")
    if not isinstance(program, dict):
        continue
    seed("program_json", json.dumps(program))
    if isinstance(program.get("inputs"), dict):
        schemas(program)
    for text in texts(program.get("steps")):
        if "$" in text:
            seed("template", text)
for case in cases("conditions.json"):
    seed("condition", case["expr"])
for schema, value in [
    ({"type": "string", "minLength": 1, "pattern": "^[a-z]+$"}, "abc"),
    ({"type": ["integer", "null"], "minimum": 1, "multipleOf": 3, "default": None}, 9),
    ({"enum": ["a", 1, True, None]}, 1),
    ({"type": "array", "items": {"oneOf": [{"type": "string"}, {"const": 1}]}, "maxItems": 3}, ["x", 1]),
    ({"type": "object", "properties": {"a": {"format": "date-time"}}, "required": ["a"],
      "additionalProperties": False}, {"a": "2026-01-01T00:00:00Z"}),
    ({"if": {"type": "string"}, "then": {"maxLength": 3}, "unevaluatedProperties": False}, "x"),
]:
    seed("inputs", json.dumps(schema) + "\n" + json.dumps(value))
for case in cases("evidence", "dsse.json"):
    seed("envelope", case["envelope"])
    try:
        payload = base64.b64decode(json.loads(case["envelope"])["payload"], validate=True)
    except (ValueError, TypeError, KeyError):
        continue
    seed("statement", payload)
for case in cases("evidence", "export.json"):
    if "file" in case:
        seed("export", case["file"])
for case in cases("evidence", "jcs.json"):
    seed("jcs", case["text"] if "text" in case else bytes.fromhex(case["hex"]))
for name in ("dsse.json", "export.json"):
    seed("keys", json.loads((VECTORS / "evidence" / name).read_text())["publicKey"])
public = json.loads((VECTORS / "evidence" / "dsse.json").read_text())["publicKey"]
seed("keys", f'format = 1\n[[calls]]\nkey = """\n{public}"""\nfrom = 1\nuntil = 9\n[[log]]\nkey = "{log_key}"\n')
seed("keys", VECTORS.parent.parent.joinpath("src", "keys", "encrypted", "openssl.pem").read_text())
for word in ["00112233445566778899aabbccddeeff", "a" * 64, "sha256:" + "a" * 64, "find_order", "json", "args",
             '"2026-01-01T00:00:00.000Z"', '{"runs":{}}']:
    seed("words", word)

# A run's beginning, as the reference of the envelope has it, and what an admission is decided from.
hexes = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("program", "state", "key", "tool", "commitment")}
run = "252abfdefe6baf6d35a0bbcc1663573e"
opening = {
    "_type": "https://in-toto.io/Statement/v1",
    "predicate": {
        "host": {"binary": hexes["tool"], "config": hexes["tool"], "engine": "wasmtime 48", "version": "0.1.0"},
        "kind": "run-open",
        "policies": [{"digest": hexes["key"], "trusted": True}],
        "principal": "local",
        "run": {"id": run, "program": hexes["program"], "seq": 0, "state": hexes["state"]},
        "signer": {"development": True, "key": hexes["key"]},
        "time": "2026-11-23T04:03:45.828Z",
    },
    "predicateType": "https://nanohost.dev/evidence/v1",
    "subject": [
        {"digest": {"sha256": hexes["program"]}, "name": f"run/{run}"},
        {"digest": {"nanohostCommitV1": hexes["commitment"]}, "name": f"run/{run}/0/input"},
    ],
}
seed("statement", json.dumps(opening, sort_keys=True, separators=(",", ":")))
manifest = 'name = "t"\nversion = "1.0.0"\n[functions.f]\neffect = "pure"\n[capabilities]\nkv = ["k"]\n'
record = {
    "program": {"name": "p.json", "text": json.dumps({"inputs": {"i": {"type": "string"}}, "steps": [
        {"id": "a", "type": "tool", "tool": "t", "args": {"x": "$i"}}]})},
    "tools": [{"local": "t", "manifest": {"name": "manifest.toml", "text": manifest}, "facts": {
        "component": hexes["tool"], "size": 1, "imports": [{"name": "nanohost:tool/kv@0.1.0", "functions": ["get"]}],
        "exports": [{"function": "f", "interface": None, "input": {"type": "object"}, "output": {}}]}}],
    "policies": [{"source": {"name": "policy.toml", "text": '[[permit]]\nid = "r"\ntool = "t"\nkv = ["k"]\n'},
                  "baseDir": "/base"}],
    "today": "2026-11-23T04:03:45.828Z",
}
seed("admission_record", json.dumps(record))
# Packages: references, an image, an index, and archives of layouts, sound and hostile.
seed("registry", f"oci://registry.example.com:5000/team/refund-api:1.2.0@sha256:{hexes['tool']}")
seed("registry", "oci://[::1]:5000/a/b__c:latest")


def described(media_type, content, **more):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return {"mediaType": media_type, "digest": digest, "size": len(content), **more}


def archive(files, kind=tarfile.REGTYPE):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(content), kind if name.startswith("blobs") else tarfile.REGTYPE
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


component, image_type = b"\0asm", "application/vnd.oci.image.manifest.v1+json"
image = json.dumps({
    "schemaVersion": 2, "mediaType": image_type,
    "config": described("application/vnd.wasm.config.v0+json", b"{}"),
    "layers": [described("application/wasm", component)],
    "subject": described(image_type, b"another"),
    "annotations": {
        "dev.nanohost.manifest": "sha256:" + hexes["tool"],
        "dev.nanohost.component": described("", component)["digest"],
    },
}).encode()
index = json.dumps({
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [described(image_type, image, artifactType="x", annotations={"a": "b"})],
}).encode()
blobs = [("blobs/sha256/" + hashlib.sha256(blob).hexdigest(), blob) for blob in (image, component)]
marked = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", index)]
for content in [image, index, archive(marked + blobs), archive(marked + blobs, tarfile.SYMTYPE),
                archive([*marked, ("../outside", b"x")]), archive(marked + blobs + blobs)]:
    seed("registry", content)
# The examples in the documentation, each for every reader of TOML.
for file in [*ROOT.glob("host/docs/*.md"), *ROOT.glob("examples/*/README.md")]:
    for block in re.findall(r"```toml\n(.*?)```", file.read_text(), re.DOTALL):
        for target in ("program_toml", "manifest", "policy"):
            seed(target, block)

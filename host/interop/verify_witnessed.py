#!/usr/bin/env python3
"""Verifies a head of a nanohost log that witnesses signed, with a library that nobody here wrote.

    verify_witnessed.py CHECKPOINT LOG_KEY WITNESS_KEY...

CHECKPOINT is a signed note, as `nanohost log witness --json` shows it, LOG_KEY what `nanohost log key`
prints, the others what witnesses call their keys. `aics_tlog` checks the log's signature and asks for
those of all witnesses. Then single bytes of the note are changed in memory, and each change has to be
refused. Exit 0: all hold. Exit 1: the first failure, on stderr.
"""

import pathlib
import sys

from aics_tlog import WitnessPolicy, parse_note, parse_vkey, verify_checkpoint


def holds(note, log, policy):
    """Whether the note is good."""
    try:
        return verify_checkpoint(parse_note(note), log, policy=policy, expected_origin=log.name).ok
    except ValueError:
        return False


def main(checkpoint, log, *witnesses):
    note = pathlib.Path(checkpoint).read_text()
    log = parse_vkey(log)
    policy = WitnessPolicy(quorum=len(witnesses), witnesses=tuple(map(parse_vkey, witnesses)))
    if not holds(note, log, policy):
        found = verify_checkpoint(parse_note(note), log, policy=policy)
        sys.exit(f"refused: {found.error}")
    if verify_checkpoint(parse_note(note), policy.witnesses[0]).ok:
        sys.exit("refused: a witness passes for the log")
    for at, char in enumerate(note):
        changed = note[:at] + chr(ord(char) ^ 1) + note[at + 1 :]
        if holds(changed, log, policy):
            sys.exit(f"refused: a changed byte {at} passes")
    print(f"{len(witnesses)} witnesses, {len(note)} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])

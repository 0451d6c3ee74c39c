#!/usr/bin/env python3
"""Compares the wire format of api/csi.proto with that of the public files.

usage: csi_wire.py OURS PUBLIC…     (.proto files; needs protoc)

Every field, enum value and call of ours must be in a public file with the same name, number, type
and place; every public one must be in ours, but for what is left out on purpose.
"""
import os
import re
import subprocess
import sys
import tempfile

# The service SnapshotMetadata, with its messages.
LEFT_OUT = re.compile(r"^\w+ /(?:SnapshotMetadata|BlockMetadata\w*|GetMetadata\w+)(?:/| |$)")
KEPT = ("name", "number", "type", "type_name", "label", "input_type", "output_type")


def described(path, work):
    """The text form of the file's descriptor."""
    name = os.path.basename(path)
    descriptor = os.path.join(work, "set.pb")
    command = ["protoc", f"-I{os.path.dirname(os.path.abspath(path))}", "-I/usr/include"]
    subprocess.run([*command, f"--descriptor_set_out={descriptor}", name], check=True)
    with open(descriptor, "rb") as file:
        return subprocess.run(
            [
                "protoc",
                "-I/usr/include",
                "--decode=google.protobuf.FileDescriptorSet",
                "google/protobuf/descriptor.proto",
            ],
            stdin=file,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout


def entries(text):
    """One line for each field, enum value and call: what, where, and all that is on the wire."""
    stack = []
    found = set()
    for line in text.splitlines():
        line = line.strip()
        if line.endswith("{"):
            stack.append((line[:-1].strip(), {}))
        elif line == "}":
            kind, values = stack.pop()
            if kind in ("field", "value", "method"):
                scopes = [scope["name"] for _, scope in stack[1:] if "name" in scope]
                what = " ".join(f"{key}={values[key]}" for key in KEPT if key in values)
                found.add(f"{kind} /{'/'.join(scopes)} {what}")
        elif stack:
            key, _, value = line.partition(": ")
            stack[-1][1].setdefault(key, value.strip('"'))
    return found


def main():
    ours, *public = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        mine = entries(described(ours, work))
        theirs = set().union(*(entries(described(path, work)) for path in public))
    extra = sorted(mine - theirs)
    missing = sorted(entry for entry in theirs - mine if not LEFT_OUT.match(entry))
    for entry in extra:
        print(f"{ours} has what no public file has: {entry}", file=sys.stderr)
    for entry in missing:
        print(f"{ours} lacks: {entry}", file=sys.stderr)
    print(f"csi conformance: {len(mine)} fields, values and calls compared with the public files")
    return 1 if extra or missing or len(mine) < 300 else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Copies a volume's records in etcd under other names and ids, to have many in seconds.

usage: copy_volumes.py ENDPOINT VOLUME COUNT

The copies have no replicas in any pool: good for lists, and for nothing else. They go by etcd's
JSON gateway in transactions of a hundred. Records: api/meta.proto; field 1 is the id, field 2 of
a volume its name.
"""
import base64
import json
import sys
import urllib.request

PREFIX = "/cleat/lab"
FIRST_ID = 500_000_000_000_000_000
VOLUMES_PER_TRANSACTION = 30
ID_TAG, NAME_TAG = 0x08, 0x12


def varint(value):
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_varint(data, at):
    """(value, the place behind it)."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def with_id(record, new_id):
    """A record that starts with its id, with another one."""
    if record[0] != ID_TAG:
        raise ValueError("the record does not start with its id")
    _, end = read_varint(record, 1)
    return bytes([ID_TAG]) + varint(new_id) + record[end:]


def with_id_and_name(record, new_id, name):
    """A volume's record, whose name follows its id."""
    _, end = read_varint(record, 1)
    if record[end] != NAME_TAG:
        raise ValueError("the name does not follow the id")
    length, begin = read_varint(record, end + 1)
    rest = record[begin + length :]
    head = with_id(record[:end], new_id)
    return head + bytes([NAME_TAG]) + varint(len(name)) + name.encode() + rest


def text(data):
    return base64.b64encode(data).decode()


def call(endpoint, method, body):
    request = urllib.request.Request(f"{endpoint}/v3/kv/{method}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def get(endpoint, key):
    (found,) = call(endpoint, "range", {"key": text(f"{PREFIX}/{key}".encode())})["kvs"]
    return base64.b64decode(found["value"])


def put(key, value):
    return {"requestPut": {"key": text(f"{PREFIX}/{key}".encode()), "value": text(value)}}


def copies(endpoint, volume, count):
    """Operations of a transaction, for each copy three."""
    name_record = get(endpoint, f"names/{volume}")
    old_id, _ = read_varint(name_record, 1)
    volume_record = get(endpoint, f"volumes/{old_id}")
    replica_record = get(endpoint, f"records/{old_id}")
    for number in range(1, count + 1):
        new_id, name = FIRST_ID + number, f"{volume}.{number}"
        yield put(f"names/{name}", with_id(name_record, new_id))
        yield put(f"records/{new_id}", with_id(replica_record, new_id))
        yield put(f"volumes/{new_id}", with_id_and_name(volume_record, new_id, name))


def main(endpoint, volume, count):
    operations = list(copies(endpoint, volume, int(count)))
    step = 3 * VOLUMES_PER_TRANSACTION
    for begin in range(0, len(operations), step):
        call(endpoint, "txn", {"success": operations[begin : begin + step]})


if __name__ == "__main__":
    main(*sys.argv[1:])

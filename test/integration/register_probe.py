#!/usr/bin/env python3
"""Reads and writes blocks of a device and notes when each operation began and what came of it.

usage: register_probe.py DEVICE LOG FIRST_VALUE SECONDS [PROBE PROBES]

Every block holds one number, repeated. Each writer has blocks of its own and writes rising numbers
from FIRST_VALUE on; readers read any. Of several PROBES at once, this one is number PROBE, from 0:
each writes its own blocks and reads those of all. The log has one JSON line for each beginning of a
write and for each end of an operation; history.py says whether the whole could have happened on one
disk.
"""
import json
import mmap
import os
import random
import struct
import sys
import threading
import time

BLOCK_BYTES = 4096
BLOCK_COUNT = 16
WRITERS = 4
READERS = 4


class Probe:
    def __init__(self, device, log, first_value, seconds, probe=0, probes=1):
        self.file = os.open(device, os.O_RDWR | os.O_DIRECT)
        self.log = open(log, "a", buffering=1, encoding="utf-8")
        self.first_value = first_value
        self.deadline = time.monotonic() + seconds
        self.first_block = probe * BLOCK_COUNT
        self.blocks_read = probes * BLOCK_COUNT

    def note(self, **fields):
        self.log.write(json.dumps(fields) + "\n")

    def operate(self, kind, block, value, operation):
        begin = time.monotonic_ns()
        if kind == "write":
            self.note(kind="begin", block=block, value=value, begin=begin)
        try:
            value = operation()
            self.note(kind=kind, block=block, value=value, begin=begin, end=time.monotonic_ns())
        except OSError as error:
            end = time.monotonic_ns()
            self.note(kind=f"{kind} error", block=block, begin=begin, end=end, errno=error.errno)
            time.sleep(0.1)

    def write(self, number):
        buffer = mmap.mmap(-1, BLOCK_BYTES)
        value = self.first_value
        while time.monotonic() < self.deadline:
            value += 1
            own = number + WRITERS * random.randrange(BLOCK_COUNT // WRITERS)
            block = self.first_block + own
            buffer[:] = struct.pack("<Q", value) * (BLOCK_BYTES // 8)

            def operation(block=block, value=value):
                os.pwritev(self.file, [buffer], block * BLOCK_BYTES)
                return value

            self.operate("write", block, value, operation)

    def read(self):
        buffer = mmap.mmap(-1, BLOCK_BYTES)
        while time.monotonic() < self.deadline:
            block = random.randrange(self.blocks_read)

            def operation(block=block):
                os.preadv(self.file, [buffer], block * BLOCK_BYTES)
                values = set(struct.unpack(f"<{BLOCK_BYTES // 8}Q", buffer[:]))
                return values.pop() if len(values) == 1 else sorted(values)

            self.operate("read", block, None, operation)

    def run(self):
        threads = [threading.Thread(target=self.write, args=(i,)) for i in range(WRITERS)]
        threads += [threading.Thread(target=self.read) for _ in range(READERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    device, log, first_value, seconds, *place = sys.argv[1:]
    Probe(device, log, int(first_value), float(seconds), *map(int, place)).run()

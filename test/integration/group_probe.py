#!/usr/bin/env python3
"""Writes one rising number to two devices in turn, or reads it.

usage: group_probe.py write LEFT RIGHT SECONDS
       group_probe.py read DEVICE

A number is written to the right device only after the left one has acknowledged it, so that at
every point in time the left has the number of the right, or the next one.
"""
import mmap
import os
import struct
import sys
import time

BLOCK_BYTES = 4096


def write(left, right, seconds):
    files = [os.open(path, os.O_RDWR | os.O_DIRECT) for path in (left, right)]
    buffer = mmap.mmap(-1, BLOCK_BYTES)
    deadline = time.monotonic() + seconds
    number = 0
    while time.monotonic() < deadline:
        number += 1
        buffer[:] = struct.pack("<Q", number) * (BLOCK_BYTES // 8)
        for file in files:
            os.pwritev(file, [buffer], 0)
    print(number)


def read(device):
    file = os.open(device, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, BLOCK_BYTES)
    os.preadv(file, [buffer], 0)
    numbers = set(struct.unpack(f"<{BLOCK_BYTES // 8}Q", buffer[:]))
    if len(numbers) != 1:
        sys.exit(f"a torn block: {sorted(numbers)[:4]}")
    print(numbers.pop())


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    else:
        read(sys.argv[2])

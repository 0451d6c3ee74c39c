#!/usr/bin/env python3
"""Writes numbered blocks to a device and flushes now and then; later tells what is on the device.

usage: flush_probe.py write DEVICE SEED SECONDS    "flushed N" after each flush of writes 1..N
       flush_probe.py read DEVICE                  the number in each block, 0: never written

Write N goes to block block_of(SEED, N) and holds N, repeated. A block whose words are not all the
same is torn: its number is -1.
"""
import mmap
import os
import random
import struct
import sys
import time

BLOCK_BYTES = 4096
BLOCK_COUNT = 4096
BATCH_MAX = 64
WORDS = struct.Struct(f"<{BLOCK_BYTES // 8}Q")


def block_numbers(seed):
    """Which block each write goes to, from write 1 on."""
    source = random.Random(seed)
    while True:
        yield source.randrange(BLOCK_COUNT)


def write(device, seed, seconds):
    file = os.open(device, os.O_WRONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, BLOCK_BYTES)
    blocks = block_numbers(seed)
    number = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for _ in range(random.randrange(1, BATCH_MAX)):
            number += 1
            buffer[:] = WORDS.pack(*[number] * (BLOCK_BYTES // 8))
            os.pwritev(file, [buffer], next(blocks) * BLOCK_BYTES)
        os.fdatasync(file)
        print(f"flushed {number}", flush=True)


def read(device):
    with open(device, "rb") as file:
        for _ in range(BLOCK_COUNT):
            words = set(WORDS.unpack(file.read(BLOCK_BYTES)))
            print(words.pop() if len(words) == 1 else -1)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        read(sys.argv[2])

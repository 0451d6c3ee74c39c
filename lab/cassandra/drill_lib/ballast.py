"""Rows of random bytes that give a Cassandra weight, so that moving its data takes time.

Runs as a program where the driver is:
    python -m drill_lib.ballast write CONTACT FIRST COUNT
    python -m drill_lib.ballast check CONTACT COUNT      prints how many of the COUNT are not right
The bytes of a row follow from its number, and do not compress.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from typing import Any

from .table import KEYSPACE

TABLE = f"{KEYSPACE}.ballast"
ROW_BYTES = 64 << 10
ROWS_PER_MIB = (1 << 20) // ROW_BYTES
ROWS_IN_FLIGHT = 4
REQUEST_SECONDS = 60
CREATE = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (id bigint PRIMARY KEY, bytes blob) "
    "WITH compression = {'enabled': false}"
)


def row_bytes(number: int) -> bytes:
    return random.Random(number).randbytes(ROW_BYTES)


def count_wrong(found: Iterator[tuple[int, bytes]], count: int) -> int:
    """How many of the rows 0 to count are missing or have other bytes."""
    missing = set(range(count))
    for number, value in found:
        if value == row_bytes(number):
            missing.discard(number)
    return len(missing)


def connect(contact: str) -> Any:
    """A session at consistency ALL: every replica has to answer."""
    from cassandra import ConsistencyLevel
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile

    profile = ExecutionProfile(
        consistency_level=ConsistencyLevel.ALL, request_timeout=REQUEST_SECONDS
    )
    return Cluster([contact], execution_profiles={EXEC_PROFILE_DEFAULT: profile}).connect()


def write(session: Any, first: int, count: int) -> None:
    from cassandra.concurrent import execute_concurrent_with_args

    session.execute(CREATE)
    insert = session.prepare(f"INSERT INTO {TABLE} (id, bytes) VALUES (?, ?)")
    rows = ((number, row_bytes(number)) for number in range(first, first + count))
    execute_concurrent_with_args(session, insert, rows, concurrency=ROWS_IN_FLIGHT)


def read(session: Any, count: int) -> Iterator[tuple[int, bytes]]:
    from cassandra.concurrent import execute_concurrent_with_args

    select = session.prepare(f"SELECT id, bytes FROM {TABLE} WHERE id = ?")
    numbers = ((number,) for number in range(count))
    answers = execute_concurrent_with_args(
        session, select, numbers, concurrency=ROWS_IN_FLIGHT, results_generator=True
    )
    for _, rows in answers:
        for row in rows:
            yield row.id, row.bytes


def main() -> None:
    verb, contact, *numbers = sys.argv[1:]
    session = connect(contact)
    if verb == "write":
        write(session, *map(int, numbers))
    else:
        count = int(numbers[0])
        print(count_wrong(read(session, count), count))


if __name__ == "__main__":
    main()

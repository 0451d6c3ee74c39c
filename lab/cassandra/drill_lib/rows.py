"""Compares every row of the CSV with the table, on all replicas.

Runs as a program on a lab node, in the Python that has the driver:
    python -m drill_lib.rows CSV TABLE CONTACT[,CONTACT]
and prints the result as one line of JSON.
"""

from __future__ import annotations

import csv
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from .table import COLUMNS

KEY_FIELDS = 5  # wsid, year, month, day, hour
TEXT_FIELDS = (0, 10)  # wsid, sky_condition
INTEGER_FIELDS = (1, 2, 3, 4)
CSV_FIELDS = 14
EXAMPLES_MAX = 10
READ_ATTEMPTS = 5

Row = tuple[Any, ...]
Partition = tuple[str, int]  # station, year
Select = Callable[[Partition], Iterable[Row]]


@dataclass
class Comparison:
    partitions: int = 0
    rows_expected: int = 0
    rows_found: int = 0
    rows_lost: int = 0
    rows_different: int = 0
    rows_extra: int = 0
    examples: list[str] = field(default_factory=list)

    def perfect(self) -> bool:
        return self.rows_expected > 0 and not (
            self.rows_lost or self.rows_different or self.rows_extra
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def parse_row(fields: list[str]) -> Row:
    """A line of the CSV as the driver would give the row."""
    if len(fields) != CSV_FIELDS:
        raise ValueError(f"{len(fields)} fields instead of {CSV_FIELDS}: {fields}")
    values: list[Any] = []
    for index, text in enumerate(fields):
        if text == "":
            values.append(None)
        elif index in TEXT_FIELDS:
            values.append(text)
        else:
            values.append(int(text) if index in INTEGER_FIELDS else float(text))
    return tuple(values)


def partitions(lines: Iterable[str]) -> Iterator[tuple[Partition, dict[Row, Row]]]:
    """The rows of each station and year by their key. The file has them next to each other."""
    rows = map(parse_row, csv.reader(lines))
    for partition, group in itertools.groupby(rows, key=lambda row: (row[0], row[1])):
        yield partition, {row[:KEY_FIELDS]: row for row in group}


def compare_partition(
    partition: Partition, want: dict[Row, Row], found: Iterable[Row], result: Comparison
) -> None:
    missing = dict(want)
    for row in found:
        expected = missing.pop(row[:KEY_FIELDS], None)
        if expected is None:
            result.rows_extra += 1
            remark(result, f"not in the file: {row}")
            continue
        result.rows_found += 1
        if row != expected:
            result.rows_different += 1
            remark(result, f"different: {row} instead of {expected}")
    result.partitions += 1
    result.rows_expected += len(want)
    result.rows_lost += len(missing)
    for key in missing:
        remark(result, f"lost: {key}")


def remark(result: Comparison, text: str) -> None:
    if len(result.examples) < EXAMPLES_MAX:
        result.examples.append(text)


def compare(lines: Iterable[str], select: Select) -> Comparison:
    result = Comparison()
    for partition, want in partitions(lines):
        compare_partition(partition, want, select(partition), result)
    return result


def open_select(contacts: list[str], table: str, columns: str) -> Select:
    """Reads of whole partitions at consistency ALL: every replica has to answer, and to agree."""
    from cassandra import ConsistencyLevel, OperationTimedOut, ReadTimeout, Unavailable
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile

    profile = ExecutionProfile(consistency_level=ConsistencyLevel.ALL, request_timeout=60)
    session = Cluster(contacts, execution_profiles={EXEC_PROFILE_DEFAULT: profile}).connect()
    statement = session.prepare(f"SELECT {columns} FROM {table} WHERE wsid = ? AND year = ?")
    statement.fetch_size = 1000

    def select(partition: Partition) -> Iterable[Row]:
        for attempt in itertools.count(1):
            try:
                return [tuple(row) for row in session.execute(statement, partition)]
            except (OperationTimedOut, ReadTimeout, Unavailable):
                # A starved machine answers late; only an answer that stays away is a failure.
                if attempt == READ_ATTEMPTS:
                    raise
                time.sleep(2)
        raise AssertionError("unreachable")

    return select


def main() -> None:
    path, table, contacts = sys.argv[1:]
    select = open_select(contacts.split(","), table, COLUMNS)
    with open(path, encoding="ascii", newline="") as lines:
        print(json.dumps(compare(lines, select).as_json()))


if __name__ == "__main__":
    main()

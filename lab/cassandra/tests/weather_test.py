"""The generated file has the shape of the real one, and every key once."""

from __future__ import annotations

import io
import unittest

import weather
from drill_lib import rows


def lines_of(station: int, size: int) -> list[str]:
    return list(weather.station_lines(weather.station(station), size))


class Generator(unittest.TestCase):
    def test_same_bytes_every_time(self) -> None:
        self.assertEqual(lines_of(0, 100_000), lines_of(0, 100_000))

    def test_newest_first_one_line_per_hour(self) -> None:
        first, second = (line.split(",")[:5] for line in lines_of(0, 100)[:2])
        self.assertEqual(["725030:14732", "2014", "6", "11", "22"], first)
        self.assertEqual(["725030:14732", "2014", "6", "11", "21"], second)

    def test_keys_are_distinct(self) -> None:
        keys = {row[:5] for row in map(rows.parse_row, self.fields())}
        self.assertEqual(sum(1 for _ in self.fields()), len(keys))

    def test_stations_are_distinct(self) -> None:
        self.assertEqual(500, len({weather.station(index).wsid for index in range(500)}))

    def test_numbers_have_no_needless_decimals(self) -> None:
        shown = [weather.number(value) for value in (0.0, -0.04, 40.0, 20.84, -7.25)]
        self.assertEqual(["0", "0", "40", "20.8", "-7.2"], shown)

    def test_nulls_are_where_the_real_file_has_them(self) -> None:
        fields = list(self.fields())
        share = [
            sum(1 for line in fields if line[column] == "") / len(fields) for column in range(14)
        ]
        self.assertEqual([0.0] * 7, share[:7])
        self.assertTrue(0 < share[7] < 0.03, "pressure")
        self.assertTrue(0.45 < share[10] < 0.65, "sky_condition")
        self.assertTrue(0.6 < share[12] < 0.9, "six_hour_precip")

    def test_a_copy_is_16_mb(self) -> None:
        out = io.StringIO()
        written = weather.write_weather(out, 1)
        self.assertTrue(16_000_000 <= len(out.getvalue()) < 16_001_000)
        self.assertEqual(out.getvalue().count("\n"), written)

    def fields(self) -> list[list[str]]:
        return [line.rstrip("\n").split(",") for i in (0, 4, 7) for line in lines_of(i, 200_000)]


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Writes weather observations as CSV, in the shape of killrweather's raw_weather_data.csv.

One line per station and hour, newest first, no header; an empty field is a null. The columns are
those of schema.cql without sky_condition_text. The same arguments give the same bytes on every
machine, and no two lines have the same key (station, year, month, day, hour).

A copy is 16 MB from five stations. `--copies N` gives N times as much from 5 N stations: repeating
the same lines would only overwrite the same rows.
"""

from __future__ import annotations

import argparse
import datetime
import math
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

BYTES_PER_COPY = 16_000_000
STATIONS_PER_COPY = 5
NEWEST = datetime.datetime(2014, 6, 11, 22)
HOUR = datetime.timedelta(hours=1)
NO_RAIN_PER_HOUR = 0.988
SKY_CODES = (0, 2, 4, 6, 7, 8, 8, 9)


@dataclass(frozen=True)
class Station:
    wsid: str
    mean_celsius: float
    season_celsius: float  # half the difference between summer and winter


# The stations of the public file: La Guardia, San Francisco, Los Angeles, Miami, O'Hare.
KNOWN_STATIONS = (
    Station("725030:14732", 12.9, 11.0),
    Station("724940:23234", 14.4, 4.0),
    Station("722950:23174", 17.2, 3.8),
    Station("722020:12839", 25.1, 4.6),
    Station("725300:94846", 10.0, 13.6),
)


def station(index: int) -> Station:
    if index < len(KNOWN_STATIONS):
        return KNOWN_STATIONS[index]
    random_source = random.Random(f"station {index}")
    wsid = f"{730000 + index * 10}:{10000 + index * 7:05d}"
    return Station(wsid, random_source.uniform(4, 25), random_source.uniform(3, 15))


def number(value: float) -> str:
    """One decimal, and none where it is zero: the file has "0" and "40", not "0.0" and "40.0"."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")  # -0.0 + 0.0 is 0.0


class Weather:
    """The weather at one station: seasons, days, and noise that remembers the hours before."""

    def __init__(self, where: Station) -> None:
        self._where = where
        self._random = random.Random(where.wsid)
        self._anomaly = 0.0
        self._pressure = 1016.0
        self._wind_speed = 3.0
        self._wind_tens = self._random.randrange(36)
        self._rain_hours_left = 0
        self._rain = [0.0] * 24  # of the 24 hours up to now, this hour first

    def line(self, time: datetime.datetime) -> str:
        self._step()
        rain = self._rain
        draw = self._random
        celsius = self._celsius(time)
        fields = (
            f"{self._where.wsid},{time.year},{time.month},{time.day},{time.hour}",
            number(celsius),
            number(celsius - abs(draw.gauss(5, 3))),
            "" if draw.random() < 0.01 else number(self._pressure),
            str(self._wind_tens * 10),
            number(self._wind_speed),
            "" if draw.random() < 0.55 else str(draw.choice(SKY_CODES)),
            number(rain[0]),
            number(sum(rain[:6])) if time.hour % 6 == 0 or rain[0] else "",
            number(sum(rain)),
        )
        return ",".join(fields) + "\n"

    def _step(self) -> None:
        draw = self._random
        self._anomaly = 0.97 * self._anomaly + draw.gauss(0, 0.7)
        self._pressure += 0.03 * (1016 - self._pressure) + draw.gauss(0, 0.45)
        self._wind_speed = max(0.0, 0.8 * self._wind_speed + draw.gauss(0.7, 1))
        self._wind_tens = (self._wind_tens + draw.choice((-2, -1, 0, 0, 1, 2))) % 36
        if self._rain_hours_left > 0:
            self._rain_hours_left -= 1
        elif draw.random() > NO_RAIN_PER_HOUR:
            self._rain_hours_left = draw.randrange(2, 12)
        self._rain.insert(0, abs(draw.gauss(0, 1.8)) if self._rain_hours_left else 0.0)
        self._rain.pop()

    def _celsius(self, time: datetime.datetime) -> float:
        day_of_year = time.timetuple().tm_yday
        season = -math.cos(2 * math.pi * (day_of_year - 20) / 365) * self._where.season_celsius
        day = 4 * math.sin(2 * math.pi * (time.hour - 9) / 24)
        return self._where.mean_celsius + season + day + self._anomaly


def station_lines(where: Station, bytes_wanted: int) -> Iterator[str]:
    weather = Weather(where)
    time = NEWEST
    written = 0
    while written < bytes_wanted:
        line = weather.line(time)
        yield line
        written += len(line)
        time -= HOUR


def write_weather(out: TextIO, copies: int) -> int:
    """Writes `copies` times 16 MB of lines to `out` and gives their number."""
    rows = 0
    for index in range(copies * STATIONS_PER_COPY):
        for line in station_lines(station(index), BYTES_PER_COPY // STATIONS_PER_COPY):
            out.write(line)
            rows += 1
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes weather observations as CSV.")
    parser.add_argument("--copies", type=int, default=1, help="times 16 MB, all keys distinct")
    parser.add_argument("out", help="the file to write")
    args = parser.parse_args()
    if args.copies < 1:
        parser.error("--copies has to be 1 or more")
    with open(args.out, "w", encoding="ascii", newline="") as out:
        rows = write_weather(out, args.copies)
    print(f"{rows} rows", file=sys.stderr)


if __name__ == "__main__":
    main()

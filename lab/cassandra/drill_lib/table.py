"""The one table of the drills: what weather.py writes, what COPY loads and what is compared."""

KEYSPACE = "isd_weather_data"
TABLE = f"{KEYSPACE}.raw_weather_data"
COLUMNS = (
    "wsid, year, month, day, hour, temperature, dewpoint, pressure, wind_direction, wind_speed, "
    "sky_condition, one_hour_precip, six_hour_precip, twenty_four_hour_precip"
)

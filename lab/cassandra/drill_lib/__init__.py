"""What the drills with Cassandra share: load, rows, timeline, report, running of commands."""

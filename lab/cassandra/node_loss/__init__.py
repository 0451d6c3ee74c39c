"""The Cassandra drill: a node of a loaded Cassandra is lost, and its volume goes on elsewhere."""

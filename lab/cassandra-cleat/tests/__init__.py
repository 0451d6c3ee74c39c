"""Tests of the drill. The package comes first: it makes what both drills share known."""

import failover as failover

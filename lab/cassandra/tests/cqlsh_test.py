"""The repaired COPY: where it sends a batch that failed. cqlshlib itself is not needed."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import threading
import types
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

CQLSH = Path(__file__).resolve().parent.parent / "cqlsh"


class Host:
    def __init__(self, name: str, is_up: bool | None = True) -> None:
        self.name, self.is_up = name, is_up


HOSTS = [Host("a"), Host("b"), Host("c", is_up=None), Host("d", is_up=False)]


class RoundRobin:
    def make_query_plan(self, keyspace: object = None, query: object = None) -> Iterator[Host]:
        yield from HOSTS


class FastTokenAware(RoundRobin):
    def make_query_plan(self, keyspace: object = None, query: object = None) -> Iterator[Host]:
        raise AssertionError("this one sleeps")


def load_policy() -> Any:
    copyutil = types.SimpleNamespace(
        FastTokenAwarePolicy=type("Policy", (FastTokenAware,), {}),
        DCAwareRoundRobinPolicy=RoundRobin,
    )
    library = types.SimpleNamespace(copyutil=copyutil)
    loader = importlib.machinery.SourceFileLoader("cleat_cqlsh", str(CQLSH))
    spec = importlib.util.spec_from_loader("cleat_cqlsh", loader)
    assert spec is not None
    with mock.patch.dict(sys.modules, {"cqlshlib": library}):
        loader.exec_module(importlib.util.module_from_spec(spec))
    return copyutil.FastTokenAwarePolicy()


class Retries(unittest.TestCase):
    def setUp(self) -> None:
        self.policy = load_policy()
        self.query = types.SimpleNamespace(replicas=HOSTS[:2])

    def plan_on(self, thread: str) -> list[str]:
        plan: list[str] = []

        def ask() -> None:
            plan.extend(host.name for host in self.policy.make_query_plan(None, self.query))

        asking = threading.Thread(target=ask, name=thread)
        asking.start()
        asking.join()
        return plan

    def test_every_host_that_may_be_up_once(self) -> None:
        self.assertEqual(["a", "b", "c"], sorted(self.plan_on("event_loop")))

    def test_not_always_to_the_same_host_first(self) -> None:
        # One that shuts down refuses at once, as often as it is asked.
        first = {self.plan_on("event_loop")[0] for _ in range(100)}
        self.assertEqual({"a", "b", "c"}, first)

    def test_a_new_request_keeps_the_limit(self) -> None:
        with mock.patch("threading.excepthook") as told:
            self.assertEqual([], self.plan_on("main"))
        self.assertIn("this one sleeps", str(told.call_args[0][0].exc_value))


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Sums up what csi-sanity did, and fails when it did less than it should.

usage: csi_sanity_report.py REPORT.xml REASONS

REPORT is in JUnit's format. REASONS has, on each line, a part of the name of a test that may be
skipped, a tab, and why. A test that failed, or was skipped without a reason, is a failure; so is a
reason that no test needs any more.
"""
import sys
import xml.etree.ElementTree as xml


def read_reasons(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    return dict(line.split("\t", 1) for line in lines)


def outcome(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def is_test(case):
    return case.get("name", "").startswith("[It]")


def main():
    report, reasons_file = sys.argv[1:]
    reasons = read_reasons(reasons_file)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    problems = []
    used = set()
    for case in xml.parse(report).getroot().iter("testcase"):
        result = outcome(case)
        name = case.get("name")
        if not is_test(case):
            if result == "failed":
                problems.append(f"failed: {name}")
            continue
        counts[result] += 1
        if result == "failed":
            problems.append(f"failed: {name}")
        if result != "skipped":
            continue
        found = [part for part in reasons if part in name]
        used.update(found)
        print(f"skipped: {name}: {reasons[found[0]] if found else 'for no reason that is known'}")
        if not found:
            problems.append(f"skipped without a reason: {name}")
    unused = [part for part in reasons if part not in used]
    problems += [f"{reasons_file}: no test is skipped by '{part}'" for part in unused]
    print("csi-sanity: {passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems or counts["passed"] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

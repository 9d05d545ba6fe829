#!/usr/bin/env python3
"""Counts tests in result files: prints `PASSED FAILED SKIPPED`.

usage: count_tests.py [--ctest JUNIT_XML] [GTEST_XML_OR_DIRECTORY ...]

A program that ctest ran and that left gtest's XML (same name) counts by its own tests, any other
as one test. A program that failed although its XML shows no failure has crashed or hung: one
failure more.
"""

import argparse
import pathlib
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def cases_of(path):
    return ElementTree.parse(path).getroot().iter('testcase')


def count_gtest(path):
    tally = Tally()
    for case in cases_of(path):
        if case.find('failure') is not None:
            tally.failed += 1
        elif case.get('status') == 'run' and case.find('skipped') is None:
            tally.passed += 1
        else:
            tally.skipped += 1
    return tally


def count_ctest_case(case):
    """ctest also calls a test skipped whose program is missing; that is a failure here."""
    skipped = case.find('skipped')
    if case.get('status') == 'run':
        return Tally(passed=1)
    if case.get('status') == 'disabled':
        return Tally(skipped=1)
    if skipped is not None and skipped.get('message', '').startswith('SKIP_'):
        return Tally(skipped=1)
    return Tally(failed=1)


def count(ctest, gtest_files):
    by_program = {path.stem: count_gtest(path) for path in gtest_files}
    total = Tally()
    for tally in by_program.values():
        total.add(tally)
    for case in cases_of(ctest) if ctest else ():
        own = count_ctest_case(case)
        program = by_program.get(case.get('name'))
        if program is None:
            total.add(own)
        elif own.failed and not program.failed:
            total.failed += 1
    return total


def files_in(paths):
    for path in paths:
        yield from sorted(path.glob('*.xml')) if path.is_dir() else [path]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--ctest', type=pathlib.Path, metavar='JUNIT_XML')
    parser.add_argument('gtest', type=pathlib.Path, nargs='*')
    arguments = parser.parse_args()
    total = count(arguments.ctest, files_in(arguments.gtest))
    print(total.passed, total.failed, total.skipped)


if __name__ == '__main__':
    main()

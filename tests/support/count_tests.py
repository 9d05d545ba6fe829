#!/usr/bin/env python3
"""Counts tests in result files: prints `PASSED FAILED SKIPPED`.

usage: count_tests.py [--ctest JUNIT_XML] [--skipped FILE] [GTEST_XML_OR_DIRECTORY ...]

Into FILE it writes a line for each test that was skipped, with its reason.

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


def reason(text):
    """The last line that says something: gtest puts the place in front of it."""
    lines = [line.strip() for line in (text or '').splitlines() if line.strip()]
    return lines[-1] if lines else 'no reason given'


def skips_of(ctest, gtest_files):
    """A line for each skipped test."""
    programs = {path.stem: path for path in gtest_files}
    for program, path in programs.items():
        for case in cases_of(path):
            skipped = case.find('skipped')
            if case.find('failure') is None and (skipped is not None or case.get('status') != 'run'):
                why = reason(skipped.get('message')) if skipped is not None else 'disabled'
                yield f'{program}: {case.get("classname")}.{case.get("name")}: {why}'
    for case in cases_of(ctest) if ctest else ():
        if case.get('name') not in programs and count_ctest_case(case).skipped:
            disabled = case.get('status') == 'disabled'
            yield f'{case.get("name")}: {"disabled" if disabled else reason(case.findtext("system-out"))}'


def files_in(paths):
    for path in paths:
        yield from sorted(path.glob('*.xml')) if path.is_dir() else [path]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--ctest', type=pathlib.Path, metavar='JUNIT_XML')
    parser.add_argument('--skipped', type=pathlib.Path, metavar='FILE')
    parser.add_argument('gtest', type=pathlib.Path, nargs='*')
    arguments = parser.parse_args()
    files = list(files_in(arguments.gtest))
    total = count(arguments.ctest, files)
    if arguments.skipped:
        with arguments.skipped.open('a') as lines:
            lines.writelines(f'{skip}\n' for skip in skips_of(arguments.ctest, files))
    print(total.passed, total.failed, total.skipped)


if __name__ == '__main__':
    main()

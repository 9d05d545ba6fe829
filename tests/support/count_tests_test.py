#!/usr/bin/env python3
"""What count_tests.py makes of the results that ctest and gtest leave."""

import pathlib
import tempfile
import unittest

import count_tests
from count_tests import Tally

PASS = '<testcase name="A" status="run"/>'
FAIL = '<testcase name="B" status="run"><failure message="no"/></testcase>'
SKIP = '<testcase name="C" status="run"><skipped message="no device"/></testcase>'
NOT_RUN = '<testcase name="D" status="notrun"/>'


class CountTest(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def gtest(self, program, *cases):
        path = self.directory / f'{program}.xml'
        path.write_text(f'<testsuites><testsuite>{"".join(cases)}</testsuite></testsuites>')
        return path

    def ctest(self, *cases):
        path = self.directory / 'ctest.junit'
        path.write_text(f'<testsuite>{"".join(cases)}</testsuite>')
        return path

    def test_tells_passed_failed_and_skipped_gtest_cases_apart(self):
        path = self.gtest('p', PASS, PASS, FAIL, SKIP, NOT_RUN)
        self.assertEqual(count_tests.count(None, [path]), Tally(2, 1, 2))

    def test_counts_a_program_by_its_own_tests(self):
        results = self.ctest('<testcase name="p" status="run"/>')
        path = self.gtest('p', PASS, PASS)
        self.assertEqual(count_tests.count(results, [path]), Tally(2, 0, 0))

    def test_counts_a_program_without_gtest_as_one_test(self):
        results = self.ctest('<testcase name="p" status="run"/>',
                             '<testcase name="q" status="fail"><failure message=""/></testcase>')
        self.assertEqual(count_tests.count(results, []), Tally(1, 1, 0))

    def test_counts_a_failure_that_gtest_reported_once(self):
        results = self.ctest('<testcase name="p" status="fail"><failure message=""/></testcase>')
        path = self.gtest('p', PASS, FAIL)
        self.assertEqual(count_tests.count(results, [path]), Tally(1, 1, 0))

    def test_counts_a_program_that_failed_after_its_tests_passed(self):
        results = self.ctest('<testcase name="p" status="fail"><failure message=""/></testcase>')
        path = self.gtest('p', PASS)
        self.assertEqual(count_tests.count(results, [path]), Tally(1, 1, 0))

    def test_counts_a_missing_program_as_failed(self):
        results = self.ctest('<testcase name="p" status="notrun">'
                             '<skipped message="Unable to find executable"/></testcase>')
        self.assertEqual(count_tests.count(results, []), Tally(0, 1, 0))

    def test_counts_a_program_that_skipped_itself_and_a_disabled_one_as_skipped(self):
        results = self.ctest('<testcase name="p" status="notrun">'
                             '<skipped message="SKIP_RETURN_CODE=77"/></testcase>',
                             '<testcase name="q" status="disabled"/>')
        self.assertEqual(count_tests.count(results, []), Tally(0, 0, 2))

    def test_names_what_was_skipped_and_why(self):
        path = self.gtest('p', PASS, '<testcase name="C" classname="S" status="run" result="skipped">'
                          '<skipped message="a_test.cc:12&#x0A;no device here"/></testcase>')
        results = self.ctest('<testcase name="p" status="run"/>',
                             '<testcase name="q" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>'
                             '<system-out>looks\nno /dev/kvm\n</system-out></testcase>',
                             '<testcase name="r" status="disabled"/>')
        self.assertEqual(list(count_tests.skips_of(results, [path])),
                         ['p: S.C: no device here', 'q: no /dev/kvm', 'r: disabled'])


if __name__ == '__main__':
    unittest.main()

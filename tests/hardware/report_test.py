#!/usr/bin/env python3
"""What report.py makes of programs that end well, badly, or not at all."""

import pathlib
import tempfile
import unittest

import report

PASS = '<testcase name="A" status="run"/>'
FAIL = '<testcase name="B" status="run"><failure message="no"/></testcase>'
SKIP = '<testcase name="C" status="run"><skipped message="somebody has the card"/></testcase>'
RULE = """<testcase name="D4_X" status="run"><properties><property name="rule" value="it resets"/>
<property name="verdict" value="confirmed"/></properties></testcase>"""


class ReportTest(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def result(self, program, *cases):
        text = f'<testsuites><testsuite>{"".join(cases)}</testsuite></testsuites>'
        (self.directory / f'{program}.xml').write_text(text)
        return text

    def examine(self, *programs):
        return report.examine(self.directory, programs)

    def counts(self, *programs):
        return tuple(self.examine(*programs)['tests'].values())

    def test_counts_every_test_of_every_program(self):
        self.result('card_rules_test', RULE, SKIP)
        self.result('card_service_test', PASS, FAIL)
        found = self.examine(('card_rules_test', 0), ('card_service_test', 1))
        self.assertEqual(found['tests'], {'passed': 2, 'failed': 1, 'skipped': 1})
        self.assertEqual([rule['verdict'] for rule in found['rules']], ['confirmed', 'not tested'])
        self.assertEqual(found['rules'][1]['evidence'], 'somebody has the card')

    def test_says_that_a_program_crashed_without_a_result(self):
        found = self.examine(('card_service_test', 139))
        self.assertEqual(found['tests']['failed'], 1)
        self.assertEqual(found['scenarios'][0]['test'], 'EndsByItself')
        self.assertIn('status 139', found['scenarios'][0]['why'])

    def test_says_that_a_program_had_no_end(self):
        self.assertIn('had no end', self.examine(('card_rules_test', 124))['scenarios'][0]['why'])

    def test_takes_half_a_result_for_none(self):
        text = self.result('card_rules_test', RULE)
        (self.directory / 'card_rules_test.xml').write_text(text[:len(text) // 2])
        self.assertEqual(self.counts(('card_rules_test', 137)), (0, 1, 0))

    def test_says_that_a_program_failed_whose_tests_did_not(self):
        self.result('card_service_test', PASS)
        self.assertEqual(self.counts(('card_service_test', 134)), (1, 1, 0))

    def test_takes_no_result_of_a_program_that_was_not_run(self):
        self.result('card_service_test', PASS)
        self.result('of_another_run', FAIL)
        self.assertEqual(self.counts(('card_service_test', 0)), (1, 0, 0))

    def test_skips_only_what_says_so(self):
        self.result('card_service_test', SKIP)
        self.assertEqual(self.counts(('card_service_test', 0)), (0, 0, 1))


if __name__ == '__main__':
    unittest.main()

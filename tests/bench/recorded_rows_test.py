#!/usr/bin/env python3
"""What recorded_rows.py makes of the properties that tests leave."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import recorded_rows

RESETS, LEAKS, EXPORT, HOLDERS, RESTART, *SOAK = recorded_rows.ROWS
HERE = pathlib.Path(__file__).parent
# As run.sh has it: which program records a row.
PROGRAMS = {'resets': 'vm/reset_load_guest_test', 'export': 'vm/export_ratio_guest_test',
            'holders': 'vm/holders_guest_test', 'restart': 'soak/restart_time_test', 'soak': 'soak/soak_figures'}
# What gtest writes; what is recorded outside of a test becomes an attribute.
GTEST_XML = '''<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="2" failures="0" disabled="0" errors="0" time="0.1" timestamp="2026-01-01T00:00:00.000" name="AllTests">
  <testsuite name="S" tests="2" failures="0" disabled="0" skipped="0" errors="0" time="0.1" holders_found="7">
    <testcase name="A" file="/s.cc" line="8" status="run" result="completed" time="0.1" classname="S">
      <properties>
        <property name="holders_tried" value="1"/>
        <property name="holders_found" value="1"/>
      </properties>
    </testcase>
    <testcase name="B" file="/s.cc" line="9" status="run" result="completed" time="0." classname="S" />
  </testsuite>
</testsuites>
'''


class GuestRowsTest(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def record(self, program='p', name='A', **properties):
        said = ''.join(f'<property name="{n}" value="{v}"/>' for n, v in properties.items())
        (self.directory / f'{program}.{name}.xml').write_text(
            f'<testsuites><testsuite><testcase name="{name}"><properties>{said}</properties></testcase></testsuite></testsuites>')

    def measure(self, row):
        return recorded_rows.measure(row, recorded_rows.recorded(self.directory))

    def test_reads_what_gtest_writes(self):
        (self.directory / 'guest.p.xml').write_text(GTEST_XML)
        self.assertEqual(self.measure(HOLDERS), {'holders_found': 1, 'holders_tried': 1})

    def test_takes_what_the_programs_record_in_their_tests(self):
        for row in recorded_rows.ROWS:
            source = (HERE.parent / f'{PROGRAMS[row.name]}.cc').read_text()
            of_suites = r'static void (?:SetUp|TearDown)TestSuite\(\) \{.*?\n  \}'
            of_tests = re.sub(of_suites, '', source, flags=re.DOTALL)
            names = set(re.findall(r'RecordProperty\("(\w+)"', of_tests))
            self.assertLessEqual({*row.of, *row.beside}, names, row.key)

    def test_fails_without_a_figure_that_is_required(self):
        def run(*rows):
            return subprocess.run([sys.executable, '-B', HERE / 'recorded_rows.py', '--require', '--rows', ','.join(rows),
                                   self.directory], capture_output=True, text=True, check=False)
        self.record(holders_found=2, holders_tried=2)
        self.assertEqual(run('holders').returncode, 0)
        without = run('holders', 'export')
        self.assertEqual(without.returncode, 1)
        self.assertEqual(without.stderr, 'not measured: export_ratio\n')

    def test_divides_what_completed_by_what_was_tried(self):
        self.record(reset_tried=100, reset_completed=99, reset_leaks=0)
        self.assertEqual(self.measure(RESETS), {'reset_completes': 0.99, 'reset_tried': 100})
        self.assertEqual(self.measure(LEAKS), {'reset_leaks': 0})

    def test_adds_up_the_holders_of_all_scenarios(self):
        self.record(name='A', holders_found=2, holders_tried=2)
        self.record(name='B', holders_found=0, holders_tried=2)
        self.assertEqual(self.measure(HOLDERS), {'holders_found': 0.5, 'holders_tried': 4})

    def test_keeps_quartiles_beside_a_ratio(self):
        self.record(export_ratio=3.5, export_ratio_q1=3, export_ratio_q3=4)
        self.assertEqual(self.measure(EXPORT), {'export_ratio': 3.5, 'export_ratio_q1': 3, 'export_ratio_q3': 4})

    def test_has_no_figure_where_nothing_was_recorded(self):
        self.record(reset_tried=0, reset_completed=0)
        for row in recorded_rows.ROWS:
            self.assertEqual(self.measure(row), {})
            self.assertIn('not measured: no QEMU', recorded_rows.line_of(row, {}, 'no QEMU'))

    def test_has_no_restart_of_other_than_ten_thousand_buffers(self):
        self.record(restart_ms=20, restart_ms_longest=30, restart_buffers=1000)
        self.assertEqual(self.measure(RESTART), {})
        self.record(restart_ms=20, restart_ms_longest=30, restart_buffers=10000)
        self.assertEqual(self.measure(RESTART), {'restart_ms_10k': 20, 'restart_ms_longest': 30})

    def test_says_whether_a_bound_is_kept(self):
        self.assertTrue(recorded_rows.line_of(RESTART, {'restart_ms_10k': 300}, '').endswith(' met'))
        self.assertTrue(recorded_rows.line_of(RESTART, {'restart_ms_10k': 301}, '').endswith(' missed'))

    def test_says_whether_a_target_is_met(self):
        self.assertTrue(recorded_rows.line_of(LEAKS, {'reset_leaks': 0}, '').endswith(' met'))
        self.assertTrue(recorded_rows.line_of(LEAKS, {'reset_leaks': 2}, '').endswith(' missed'))


if __name__ == '__main__':
    unittest.main()

#!/usr/bin/env python3
"""What guest_rows.py makes of the properties that tests in the guest leave."""

import pathlib
import tempfile
import unittest

import guest_rows

RESETS, LEAKS, EXPORT, HOLDERS = guest_rows.ROWS


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
        return guest_rows.measure(row, guest_rows.recorded(self.directory))

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
        for row in guest_rows.ROWS:
            self.assertEqual(self.measure(row), {})
            self.assertIn('not measured: no QEMU', guest_rows.line_of(row, {}, 'no QEMU'))

    def test_says_whether_a_target_is_met(self):
        self.assertTrue(guest_rows.line_of(LEAKS, {'reset_leaks': 0}, '').endswith(' met'))
        self.assertTrue(guest_rows.line_of(LEAKS, {'reset_leaks': 2}, '').endswith(' missed'))


if __name__ == '__main__':
    unittest.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the rows that tests have recorded, and adds them to the figures in a file.

usage: recorded_rows.py [--json FILE] [--why-none TEXT] [--require] [--heading TEXT] --rows ROW,... [RESULTS]

RESULTS has gtest's XML of the programs that ran, whose tests record figures as properties. A
row that nothing was recorded for is said to be not measured, and why, and is not in the file; with
--require that is an error.
"""
import argparse
import dataclasses
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree

LINE = '{:<56}  {:<39}  {:<8} {}'


@dataclasses.dataclass
class Row:
    name: str       # of --rows
    key: str        # of the figure, in the file
    what: str       # in the table
    of: tuple       # the properties that it is made of
    value: object   # their figure
    target: float = None   # to be met exactly
    beside: tuple = ()     # properties that go into the file as they are
    at_most: float = None  # or this


def share(part, whole):
    return part / whole


def itself(value):
    return value


def of_ten_thousand(value, buffers):
    """None for what was measured with another number of them."""
    return value if buffers == 10_000 else None


ROWS = (
    Row('resets', 'reset_completes', 'resets of a card in use, completed in the window / tried',
        ('reset_completed', 'reset_tried'), share, 1, ('reset_tried', 'reset_median_ms', 'reset_longest_ms')),
    Row('resets', 'reset_leaks', '  kinds of things left behind', ('reset_leaks',), itself, 0),
    Row('export', 'export_ratio', 'allocate, export, hand over a window, x bare',
        ('export_ratio',), itself, None, ('export_ratio_q1', 'export_ratio_q3', 'export_rounds')),
    Row('holders', 'holders_found', 'holders of a buffer, found / there are',
        ('holders_found', 'holders_tried'), share, 1, ('holders_tried',)),
    Row('restart', 'restart_ms_10k', '10,000 buffers held: a kill to the next grant, ms',
        ('restart_ms', 'restart_buffers'), of_ten_thousand, None, ('restart_ms_longest',), at_most=300),
    Row('soak', 'soak_kills', 'kills of a service in use', ('soak_kills',), itself, None, ('soak_resets', 'soak_grants')),
    Row('soak', 'soak_lost', '  lost, mixed up, stale, double, leaked', ('soak_lost',), itself, 0),
    Row('soak', 'soak_errors', '  requests that failed without a revocation', ('soak_errors',), itself, 0),
)


def recorded(results):
    """All properties of all tests; numbers of the same name add up, as of several scenarios."""
    found = {}
    for path in sorted(results.glob('*.xml')) if results else ():
        for case in ElementTree.parse(path).getroot().iter('testcase'):
            for one in case.iter('property'):
                try:
                    found[one.get('name')] = found.get(one.get('name'), 0) + float(one.get('value'))
                except ValueError:
                    continue  # a text
    return found


def number(value):
    return int(value) if value == int(value) else value


def measure(row, found):
    """The figures of a row by their keys; empty: it was not measured."""
    parts = [found.get(name) for name in row.of]
    if None in parts or (row.value is share and parts[1] == 0):
        return {}
    value = row.value(*parts)
    if value is None:
        return {}
    figures = {row.key: number(value)}
    figures.update({name: number(found[name]) for name in row.beside if name in found})
    return figures


def line_of(row, figures, why):
    if not figures:
        return LINE.format(row.what, f'not measured: {why}', '', '').rstrip()
    value = f'{figures[row.key]:.4g}'
    if row.key + '_q1' in figures:
        value += f" [{figures[row.key + '_q1']:.2f} {figures[row.key + '_q3']:.2f}]"
    if row.key == 'reset_completes':
        value += f" of {figures['reset_tried']}, median {figures.get('reset_median_ms')} ms"
    if row.at_most is not None:
        return LINE.format(row.what, value, f'<= {row.at_most}', 'met' if figures[row.key] <= row.at_most else 'missed')
    if row.target is None:
        return LINE.format(row.what, value, '', '').rstrip()
    return LINE.format(row.what, value, row.target, 'met' if figures[row.key] == row.target else 'missed')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=pathlib.Path)
    parser.add_argument('--why-none', default='no program recorded it')
    parser.add_argument('--heading', default='In the guest, whose processor is emulated: counts and ratios.')
    parser.add_argument('--require', action='store_true')
    parser.add_argument('--rows', required=True)
    parser.add_argument('results', nargs='?', type=pathlib.Path)
    arguments = parser.parse_args()
    wanted = arguments.rows.split(',')
    found = recorded(arguments.results)
    print(f'\n{arguments.heading}\n')
    figures = {}
    for row in ROWS:
        if row.name in wanted:
            measured = measure(row, found)
            figures.update(measured)
            print(line_of(row, measured, arguments.why_none))
    if arguments.json:
        before = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
        arguments.json.write_text(json.dumps({**before, **figures}, indent=2) + '\n')
    missing = [row.key for row in ROWS if row.name in wanted and row.key not in figures]
    return f'not measured: {" ".join(missing)}' if arguments.require and missing else 0


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes report.json and report.txt of what the programs of the tier `hardware` found.

usage: report.py --sysfs DIRECTORY --pci ADDRESS [--drill] --program NAME=STATUS... RESULTS

RESULTS has gtest's XML of each program that was run, NAME.xml; STATUS is what it ended with. One
that crashed, or hung until it was killed, is a failed test of its own. DIRECTORY has the card's
attributes. Both reports are written to RESULTS, and the text is printed too.
"""
import argparse
import json
import pathlib
import platform
import xml.etree.ElementTree as ElementTree

ATTRIBUTES = ('device_type', 'module_id', 'status', 'hard_reset_cnt', 'parent_device', 'security_enabled',
              'armcp_kernel_ver', 'armcp_ver', 'cpucp_kernel_ver', 'cpucp_ver', 'fw_os_ver', 'fuse_ver',
              'preboot_btl_ver', 'uboot_ver', 'cpld_ver', 'thermal_ver', 'vrm_ver')
MODULE = pathlib.Path('/sys/module/habanalabs')
PARAMETERS = ('memory_scrub', 'timeout_locked', 'reset_on_lockup')


def text_of(path):
    """What a file of sysfs says; None where there is none, or it does not answer now."""
    try:
        return path.read_text(errors='replace').strip()
    except OSError:
        return None


def known(directory, names):
    values = {name: text_of(directory / name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def properties_of(case):
    return {p.get('name'): p.get('value') for p in case.iter('property')}


def outcome_of(case):
    if case.find('failure') is not None:
        return 'failed'
    if case.find('skipped') is not None or case.get('status') == 'notrun':
        return 'skipped'
    return 'passed'


def why(case):
    found = case.find('failure')
    found = found if found is not None else case.find('skipped')
    return (found.get('message') or '').strip() if found is not None else ''


def cases_in(path):
    """The tests in a result; None: there is none, or only half of one."""
    try:
        return list(ElementTree.parse(path).getroot().iter('testcase'))
    except (OSError, ElementTree.ParseError):
        return None


def rule_of(case):
    said = properties_of(case)
    # A rule without a verdict is one whose test could not come so far.
    return {'number': case.get('name').partition('_')[0], 'test': case.get('name'), 'rule': said.get('rule', ''),
            'verdict': said.get('verdict', 'not tested'), 'evidence': said.get('evidence', why(case))}


def end_of(program, status):
    ended = 'was killed, it had no end' if status in (124, 137) else f'ended with status {status}'
    return {'program': program, 'test': 'EndsByItself', 'outcome': 'failed', 'why': f'{ended}; see {program}.log'}


def examine(results, programs):
    """What the programs found, `programs` being pairs of a name and an exit status."""
    rules, scenarios, tests = [], [], {'passed': 0, 'failed': 0, 'skipped': 0}
    for program, status in programs:
        cases = cases_in(results / f'{program}.xml')
        outcomes = [outcome_of(case) for case in cases or ()]
        for case, outcome in zip(cases or (), outcomes):
            if program == 'card_rules_test':
                rules.append(rule_of(case))
            else:
                scenarios.append({'program': program, 'test': case.get('name'), 'outcome': outcome, 'why': why(case),
                                  **properties_of(case)})
        if cases is None or (status != 0 and 'failed' not in outcomes):
            scenarios.append(end_of(program, status))
            outcomes.append('failed')
        for outcome in outcomes:
            tests[outcome] += 1
    return {'tests': tests, 'rules': rules, 'scenarios': scenarios}


def program_of(text):
    name, _, status = text.partition('=')
    return name, int(status)


def lines_of(report):
    yield f"hl-bufd on a card, {report['pci']}, resets {'allowed' if report['drill'] else 'not allowed'}"
    yield f"kernel {report['kernel']}"
    for group in ('driver', 'parameters', 'card'):
        for name, value in report[group].items():
            yield f'{group} {name}: {value}'
    for rule in report['rules']:
        yield ''
        yield f"{rule['verdict']:<13} {rule['number']}: {rule['rule'] or rule['test']}"
        yield f"{'':13} {rule['evidence']}"
    yield ''
    yield ', '.join(f'{number} {outcome}' for outcome, number in report['tests'].items())
    for scenario in report['scenarios']:
        yield f"{scenario['outcome']:<13} {scenario['test']} ({scenario['program']}) {scenario['why']}".rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sysfs', type=pathlib.Path, required=True)
    parser.add_argument('--pci', required=True)
    parser.add_argument('--drill', action='store_true')
    parser.add_argument('--program', type=program_of, action='append', required=True)
    parser.add_argument('results', type=pathlib.Path)
    arguments = parser.parse_args()
    report = {'pci': arguments.pci, 'drill': arguments.drill,
              'kernel': f'{platform.release()} {platform.machine()}',
              'driver': known(MODULE, ('version', 'srcversion')),
              'parameters': known(MODULE / 'parameters', PARAMETERS),
              'card': known(arguments.sysfs, ATTRIBUTES), **examine(arguments.results, arguments.program)}
    (arguments.results / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
    text = '\n'.join(lines_of(report)) + '\n'
    (arguments.results / 'report.txt').write_text(text)
    print(text, end='')


if __name__ == '__main__':
    main()

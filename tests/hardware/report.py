#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes report.json and report.txt of what the programs of the tier `hardware` found.

usage: report.py --sysfs DIRECTORY --pci ADDRESS [--drill] RESULTS

RESULTS has one file of gtest's XML a program; DIRECTORY has the card's attributes. Both reports are
written to RESULTS, and the text is printed too.
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
    return 'skipped' if case.find('skipped') is not None else 'passed'


def why(case):
    found = case.find('failure')
    found = found if found is not None else case.find('skipped')
    return (found.get('message') or '').strip() if found is not None else ''


def cases_in(results):
    for path in sorted(results.glob('*.xml')):
        for case in ElementTree.parse(path).getroot().iter('testcase'):
            yield path.stem, case


def examine(results):
    rules, scenarios = [], []
    for program, case in cases_in(results):
        said = properties_of(case)
        if program == 'card_rules_test':
            number, _, _ = case.get('name').partition('_')
            # A rule without a verdict is one whose test could not come so far.
            rules.append({'number': number, 'test': case.get('name'), 'rule': said.get('rule', ''),
                          'verdict': said.get('verdict', 'not tested'),
                          'evidence': said.get('evidence', why(case))})
        else:
            scenarios.append({'program': program, 'test': case.get('name'), 'outcome': outcome_of(case),
                              'why': why(case), **said})
    return rules, scenarios


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
    for scenario in report['scenarios']:
        yield f"{scenario['outcome']:<13} {scenario['test']} ({scenario['program']}) {scenario['why']}".rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sysfs', type=pathlib.Path, required=True)
    parser.add_argument('--pci', required=True)
    parser.add_argument('--drill', action='store_true')
    parser.add_argument('results', type=pathlib.Path)
    arguments = parser.parse_args()
    rules, scenarios = examine(arguments.results)
    report = {'pci': arguments.pci, 'drill': arguments.drill,
              'kernel': f'{platform.release()} {platform.machine()}',
              'driver': known(MODULE, ('version', 'srcversion')),
              'parameters': known(MODULE / 'parameters', PARAMETERS),
              'card': known(arguments.sysfs, ATTRIBUTES), 'rules': rules, 'scenarios': scenarios}
    (arguments.results / 'report.json').write_text(json.dumps(report, indent=2) + '\n')
    text = '\n'.join(lines_of(report)) + '\n'
    (arguments.results / 'report.txt').write_text(text)
    print(text, end='')


if __name__ == '__main__':
    main()

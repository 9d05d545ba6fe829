#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges what the clients of a soak saw (history.py says what they record).

usage: history_check.py [--json FILE] [--grants N] DIRECTORY...

Prints what was wrong, of each kind at most ten, and the counts as one JSON object, which --json
also writes to a file. Exit status: 0 nothing was wrong, 1 something was.

  lost    a lease that nobody had ended is over, a buffer that is held cannot be opened
  mixed   bytes that were never written there, or are older than what had been written
  stale   a grant of an epoch that was over when it was asked for, a lease that outlives its epoch
  double  an id granted twice, a buffer exported twice, one file for two buffers
  errors  a request failed for another reason than a revocation, an UNSHARE or an end of the buffer
  leaks   descriptors, or leases that the service has and no client

Each buffer is judged alone, so a long soak costs no more than many short ones. --grants: how many
there have to be between two kills.
"""
import argparse
import bisect
import collections
import json
import math
import pathlib
import sys

from history import GRANTS, History

KINDS = ('lost', 'mixed', 'stale', 'double', 'errors', 'leaks')
SHOWN = 10


class Latest:
    """The greatest value of those that were known before a moment."""

    def __init__(self, known):
        """`known`: (time, value)."""
        self._times, self._values = [], []
        for time, value in sorted(known):
            self._times.append(time)
            self._values.append(max(value, self._values[-1]) if self._values else value)

    def before(self, time, otherwise=-1):
        place = bisect.bisect_left(self._times, time)
        return self._values[place - 1] if place else otherwise


def lost(history):
    for client, line in history.lines('goodbye'):
        yield f'client {client} lost its session: {line["reason"]}'
    for client, line in history.lines('revoked'):
        if not may_be_revoked(history, client, line):
            yield f'client {client} lost lease {line["lease"]} of buffer {line["buffer"]}: {line["reason"]}'
    for client, line in history.lines('open'):
        if line['code'] in ('GONE', 'NOT_FOUND') and is_surely_there(history, line):
            yield f'client {client} was told that buffer {line["asked"]} is {line["code"]}, and it is held'
    for census in (line for line in history.driver if line['what'] == 'census'):
        for lease in sorted(held_at(history, census['at']) - set(census['leases'])):
            yield f'lease {lease} of buffer {history.leases[lease].buffer} is held, and the service does not know it'


def may_be_revoked(history, client, line):
    if line['reason'] == 'LOST':  # only a reset ends the lease of a client that is away
        return was_away(history, line) and is_reset(history, client, line)
    causes = {'RESET': is_reset, 'OPERATOR': is_asked_back, 'UNSHARED': is_taken_back}
    cause = causes.get(line['reason'])
    return cause is not None and cause(history, client, line)


def was_away(history, line):
    lease = history.leases[line['lease']]
    return any(kill['began'] <= line['at'] and lease.began <= kill['ended'] for kill in history.kills)


def is_reset(history, _client, line):  # of the lease's own epoch, or a later one
    epoch = history.leases[line['lease']].epoch
    return any(reset['began'] <= line['at'] and epoch < reset['epoch'] for reset in history.resets)


def is_asked_back(history, _client, line):
    return is_revoked(history, line['buffer'], line['at'])


def is_taken_back(history, client, line):
    """By an UNSHARE that may have been served while there was the lease; its answer may tell of a later one."""
    buffer, lease = history.buffers[line['buffer']], history.leases[line['lease']]
    return (history.uid[client] != history.uid[buffer.owner]
            and any(share['what'] == 'unshare' and share['began'] <= line['at'] and lease.began < share['ended']
                    for share in buffer.shares))


def is_revoked(history, buffer, time):
    return any(line['what'] == 'revocation' and line['buffer'] == buffer and line['began'] <= time
               for line in history.driver)


def is_surely_there(history, line):
    """Whether somebody held what was asked for, from before the request to after its answer."""
    if history.reset_overlaps(line['began'], line['ended']) or is_revoked(history, line['asked'], line['ended']):
        return False
    return any(lease.ended <= line['began'] and line['ended'] <= lease.over
               for lease in history.buffers[line['asked']].leases)


def held_at(history, time):
    return {lease.id for lease in history.leases.values() if lease.ended <= time < lease.over}


def mixed(history):
    for buffer in list(history.buffers.values()):
        for half in (0, 1):
            writes = [line for line in buffer.writes if line['counter'] % 2 == half]
            written = Latest((line['ended'], line['counter']) for line in writes)
            begun = Latest((line['began'], line['counter']) for line in writes)
            seen = Latest((line['ended'], line['halves'][half][2]) for line in buffer.reads
                          if isinstance(line['halves'][half], list))
            for line in buffer.reads:
                wrong = judge_half(buffer, line['halves'][half], line, writes, written, begun, seen)
                if wrong:
                    yield f'buffer {buffer.id}, half {half}: {wrong}'


def judge_half(buffer, found, line, writes, written, begun, seen):
    """What is wrong with half a read, or None."""
    if found == 'blank':
        return 'is blank after it was written' if written.before(line['began']) >= 0 else None
    if found == 'torn':
        during = any(write['began'] <= line['ended'] and line['began'] <= write['ended'] for write in writes)
        return None if during else 'is torn, and nobody wrote'
    number, writer, counter = found
    if (number, writer) != (buffer.id, buffer.owner):
        return f'has what client {writer} wrote into buffer {number}'
    if counter > begun.before(line['ended'] + 1):
        return f'has write {counter}, which had not begun'
    if counter < written.before(line['began']):
        return f'has write {counter} after write {written.before(line["began"])}'
    if counter < seen.before(line['began']):
        return f'has write {counter} after somebody has seen {seen.before(line["began"])}'
    return None


def stale(history):
    known = [(lease.ended, lease.epoch) for lease in history.leases.values()]
    known += [(reset['ended'], reset['epoch']) for reset in history.resets]
    known += [(line['at'], history.leases[line['lease']].epoch + 1) for _, line in history.lines('revoked')
              if line['reason'] == 'RESET' and line['lease'] in history.leases]
    least = Latest(known)
    for lease in history.leases.values():
        if lease.epoch < least.before(lease.began):
            yield f'lease {lease.id} was granted in epoch {lease.epoch}, and {least.before(lease.began)} had begun'
    yield from outlived(history)


def outlived(history):
    """Leases of an epoch that was over before a census: one is taken when nothing is being asked back any more."""
    over = Latest((reset['ended'], reset['epoch']) for reset in history.resets)
    for census in (line for line in history.driver if line['what'] == 'census'):
        now = over.before(census['at'])
        for lease in sorted(held_at(history, census['at'])):
            if history.leases[lease].epoch < now:
                yield f'lease {lease} of epoch {history.leases[lease].epoch} is held in epoch {now}'


def double(history):
    yield from history.granted_twice
    by_inode = collections.defaultdict(list)
    for buffer in list(history.buffers.values()):
        if buffer.owner is None:
            if buffer.leases:
                yield f'buffer {buffer.id} was opened, and nobody had allocated it'
            continue
        by_inode[buffer.inode].append(buffer)
        for lease in buffer.leases:
            if lease.inode != buffer.inode:
                yield f'buffer {buffer.id} is inode {buffer.inode}, and {lease.inode} in lease {lease.id}'
    for inode, buffers in by_inode.items():
        buffers.sort(key=lambda buffer: buffer.ended)
        for one, other in zip(buffers, buffers[1:]):
            if any(lease.ended <= other.began and other.ended <= lease.over for lease in one.leases):
                yield f'inode {inode} is buffer {one.id} and buffer {other.id}'


def errors(history):
    for client, lines in history.clients.items():
        if not lines or lines[-1]['what'] != 'end':
            yield f'client {client} did not come to its end'
    for client, line in history.lines(*GRANTS, 'share', 'unshare'):
        if line['code'] != 'OK' and not may_fail(history, client, line):
            yield f'client {client}: {line["what"]} of {line.get("asked", line.get("buffer"))} failed: {line["code"]}'


def may_fail(history, client, line):
    code = line['code']
    asks_for = line.get('asked', line.get('buffer'))
    reset = history.reset_overlaps(line['began'], line['ended'])
    revoked = reset or (asks_for is not None and is_revoked(history, asks_for, line['ended']))
    if code == 'DEVICE_UNAVAILABLE':
        return reset
    if code == 'REVOKED':
        return revoked
    if code in ('GONE', 'NOT_FOUND'):  # where it was there all the time, it is lost
        return line['what'] == 'open' or revoked
    return code == 'PERMISSION_DENIED' and line['what'] == 'open' and not is_surely_allowed(history, client, line)


def is_surely_allowed(history, client, line):
    buffer = history.buffers[line['asked']]
    if buffer.owner is None or history.uid[client] == history.uid[buffer.owner]:
        return True
    before = [share for share in buffer.shares if share['began'] <= line['ended']]
    last = before[-1] if before else {'what': 'none'}
    return last['what'] == 'share' and last['code'] == 'OK' and last['ended'] < line['began']


def leaks(history):
    for client, lines in history.clients.items():
        counts = [line['descriptors'] for line in lines if line['what'] in ('begin', 'end')]
        if len(counts) == 2 and counts[0] != counts[1]:
            yield f'client {client} had {counts[0]} descriptors, and {counts[1]} in the end'
    for line in history.driver:
        if line['what'] == 'descriptors' and line['before'] < line['after']:
            yield f'{line["of"]} had {line["before"]} descriptors, and {line["after"]} in the end'
        if line['what'] == 'census':
            for lease in sorted(set(line['leases']) - held_at(history, line['at'])):
                yield f'the service has lease {lease}, which no client holds'


def hasty_kills(history, grants):
    ends = sorted(lease.ended for lease in history.leases.values())
    since = -math.inf
    for kill in history.kills:
        between = bisect.bisect_right(ends, kill['began']) - bisect.bisect_left(ends, since)
        if between < grants:
            yield f'only {between} grants before a kill'
        since = kill['ended']


def judge(history, grants=0):
    """Counts, and what was wrong by its kind."""
    wrong = {kind: list(globals()[kind](history)) for kind in KINDS}
    wrong['errors'] += hasty_kills(history, grants)
    counts = {
        'operations': sum(len(lines) for lines in history.clients.values()),
        'grants': len(history.leases),
        'reads': sum(len(buffer.reads) for buffer in history.buffers.values()),
        'revoked': sum(1 for _ in history.lines('revoked')),
        'kills': len(history.kills),
        'resets': len(history.resets),
        'censuses': sum(line['what'] == 'census' for line in history.driver),
    }
    return {**counts, **{kind: len(found) for kind, found in wrong.items()}}, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=pathlib.Path)
    parser.add_argument('--grants', type=int, default=0)
    parser.add_argument('directories', nargs='+', type=pathlib.Path)
    arguments = parser.parse_args()
    total = collections.Counter()
    for directory in arguments.directories:
        counts, wrong = judge(History.read(directory), arguments.grants)
        total.update(counts)
        for kind, texts in wrong.items():
            for text in texts[:SHOWN]:
                print(f'{kind}: {text}')
            if len(texts) > SHOWN:
                print(f'{kind}: and {len(texts) - SHOWN} more')
    line = json.dumps(total)
    print(line)
    if arguments.json:
        arguments.json.write_text(line + '\n')
    return 1 if any(total[kind] for kind in KINDS) else 0


if __name__ == '__main__':
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""The history of a soak: what each process recorded, arranged by lease, buffer and time.

A directory has client-NN.jsonl for each client and driver.jsonl for whoever kills and resets. A line
is one object; its times are nanoseconds of CLOCK_MONOTONIC, which all of them share.

  client   begin(at, uid, peer, descriptors)   end(at, descriptors)
           allocate|open(began, ended, code; granted: buffer, lease, epoch, inode; open: asked)
           share|unshare(began, ended, code, buffer)   release(began, ended, buffer, lease)
           write(began, ended, buffer, counter)
           read(began, ended, buffer, lease, halves: [buffer, writer, counter] | "blank" | "torn")
           revoked(at, lease, buffer, reason)   goodbye(at, reason)
  driver   kill(began, ended)   reset(began, ended, epoch)   revocation(began, ended, buffer)
           census(at, leases)   descriptors(of, before, after)
"""
import collections
import dataclasses
import json
import math

GRANTS = ('allocate', 'open')


@dataclasses.dataclass
class Lease:
    id: int
    buffer: int
    client: int
    epoch: int
    inode: int
    began: int   # of the request
    ended: int   # it was surely held from here
    over: float = math.inf  # surely until here


@dataclasses.dataclass
class Buffer:
    id: int
    owner: int = None   # the client that allocated it
    inode: int = None
    began: int = None
    ended: int = None
    leases: list = dataclasses.field(default_factory=list)
    writes: list = dataclasses.field(default_factory=list)
    reads: list = dataclasses.field(default_factory=list)
    shares: list = dataclasses.field(default_factory=list)  # and unshares, in their order


class History:
    """`clients`: lists of lines by the client's number. `granted_twice`: leases, and buffers."""

    def __init__(self, clients, driver):
        self.clients = clients
        self.uid = {client: next((line['uid'] for line in lines if line['what'] == 'begin'), None)
                    for client, lines in clients.items()}
        self.driver = driver
        self.kills = [line for line in driver if line['what'] == 'kill']
        self.resets = [line for line in driver if line['what'] == 'reset']
        self.leases = {}
        self.buffers = collections.defaultdict(lambda: Buffer(None))
        self.granted_twice = []
        for client, lines in clients.items():
            for line in lines:
                self._take(client, line)
        for client, lines in clients.items():
            for line in lines:
                self._end_lease(line)

    @classmethod
    def read(cls, directory):
        def lines(path):
            return [json.loads(line) for line in path.read_text().splitlines()]
        files = sorted(directory.glob('client-*.jsonl'))
        return cls({int(path.stem.split('-')[1]): lines(path) for path in files}, lines(directory / 'driver.jsonl'))

    def lines(self, *whats):
        """(client, line) of these kinds."""
        for client, lines in self.clients.items():
            for line in lines:
                if line['what'] in whats:
                    yield client, line

    def reset_overlaps(self, began, ended):
        return any(reset['began'] <= ended and began <= reset['ended'] for reset in self.resets)

    def _buffer(self, number):
        buffer = self.buffers[number]
        buffer.id = number
        return buffer

    def _take(self, client, line):
        what = line['what']
        if what in GRANTS and line['code'] == 'OK':
            self._grant(client, line)
        elif what in ('write', 'read'):
            kept = self._buffer(line['buffer'])
            (kept.writes if what == 'write' else kept.reads).append(line)
        elif what in ('share', 'unshare'):
            self._buffer(line['buffer']).shares.append(line)

    def _grant(self, client, line):
        lease = Lease(line['lease'], line['buffer'], client, line['epoch'], line['inode'], line['began'], line['ended'])
        buffer = self._buffer(lease.buffer)
        if lease.id in self.leases:
            self.granted_twice.append(f'lease {lease.id} was granted twice')
        else:
            self.leases[lease.id] = lease
            buffer.leases.append(lease)
        if line['what'] == 'allocate':
            self._allocate(buffer, lease)

    def _allocate(self, buffer, lease):
        if buffer.owner is not None:
            self.granted_twice.append(f'buffer {buffer.id} was allocated twice')
            return
        buffer.owner, buffer.inode = lease.client, lease.inode
        buffer.began, buffer.ended = lease.began, lease.ended

    def _end_lease(self, line):
        if line['what'] in ('release', 'revoked') and line['lease'] in self.leases:
            lease = self.leases[line['lease']]
            lease.over = min(lease.over, line['began'] if line['what'] == 'release' else line['at'])

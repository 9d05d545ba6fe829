#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each defect, put into a history that has none, is found, and called what it is."""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import history_check  # noqa: E402
from history import History  # noqa: E402

ALICE, BOB = 0, 1  # clients 0 and 2 are alice's, 1 is bob's


def grant(what, at, lease, buffer, inode, epoch=1, **more):
    return {'what': what, 'began': at, 'ended': at + 5, 'code': 'OK', 'buffer': buffer, 'lease': lease,
            'epoch': epoch, 'inode': inode, **more}


def write(at, buffer, counter):
    return {'what': 'write', 'began': at, 'ended': at + 5, 'buffer': buffer, 'counter': counter}


def read(at, buffer, lease, *halves):
    return {'what': 'read', 'began': at, 'ended': at + 5, 'buffer': buffer, 'lease': lease, 'halves': list(halves)}


def share(at, buffer, what='share', code='OK'):
    return {'what': what, 'began': at, 'ended': at + 5, 'code': code, 'buffer': buffer}


def release(at, lease, buffer):
    return {'what': 'release', 'began': at, 'ended': at + 5, 'buffer': buffer, 'lease': lease}


def refused(what, at, code, **more):
    return {'what': what, 'began': at, 'ended': at + 5, 'code': code, **more}


def revoked(at, lease, buffer, reason='RESET'):
    return {'what': 'revoked', 'at': at, 'lease': lease, 'buffer': buffer, 'reason': reason}


def sound():
    """Buffer 7 of client 0 is shared with client 1; a kill at 300; a reset from 500 to 600."""
    clients = {
        0: [{'what': 'begin', 'at': 1, 'uid': 100, 'peer': 200, 'descriptors': 9},
            grant('allocate', 10, 21, 7, 70), write(20, 7, 0), write(30, 7, 1), share(40, 7),
            read(200, 7, 21, [7, 0, 0], [7, 0, 1]), write(400, 7, 2),
            revoked(510, 21, 7), grant('allocate', 700, 31, 8, 80, epoch=2), write(710, 8, 0), write(720, 8, 1),
            release(900, 31, 8), {'what': 'end', 'at': 990, 'descriptors': 9}],
        1: [{'what': 'begin', 'at': 1, 'uid': 200, 'peer': 100, 'descriptors': 9},
            grant('open', 100, 22, 7, 70, asked=7), read(110, 7, 22, [7, 0, 0], [7, 0, 1]),
            refused('open', 150, 'GONE', asked=6), read(403, 7, 22, 'torn', [7, 0, 1]),
            read(450, 7, 22, [7, 0, 2], [7, 0, 1]), revoked(505, 22, 7),
            refused('allocate', 520, 'DEVICE_UNAVAILABLE'), {'what': 'end', 'at': 990, 'descriptors': 9}],
        2: [{'what': 'begin', 'at': 1, 'uid': 100, 'peer': 200, 'descriptors': 9},
            {'what': 'end', 'at': 990, 'descriptors': 9}],
    }
    driver = [{'what': 'census', 'at': 290, 'leases': [21, 22]}, {'what': 'kill', 'began': 300, 'ended': 350},
              {'what': 'reset', 'began': 500, 'ended': 600, 'epoch': 2},
              {'what': 'descriptors', 'of': 'hl-bufd', 'before': 30, 'after': 30}]
    return clients, driver


class HistoryCheck(unittest.TestCase):
    def found(self, change=None, grants=0):
        """The kinds of what is wrong after `change`."""
        clients, driver = copy.deepcopy(sound())
        if change:
            change(clients, driver)
        for lines in clients.values():  # changes are appended
            end = [line for line in lines if line['what'] == 'end']
            lines[:] = [line for line in lines if line['what'] != 'end'] + end
        counts, wrong = history_check.judge(History(clients, driver), grants)
        self.assertEqual({kind for kind in wrong if wrong[kind]}, {kind for kind in wrong if counts[kind]})
        return {kind for kind, texts in wrong.items() if texts}

    def expect(self, kinds, line=None, client=BOB, change=None):
        def add(clients, driver):
            if line:
                clients[client].append(line)
            if change:
                change(clients, driver)
        self.assertEqual(self.found(add), kinds)

    def test_finds_nothing_in_a_sound_history(self):
        self.assertEqual(self.found(), set())

    def test_counts(self):
        counts, _ = history_check.judge(History(*sound()))
        self.assertEqual((counts['kills'], counts['resets'], counts['grants'], counts['reads'], counts['revoked']),
                         (1, 1, 3, 4, 2))

    def test_a_lease_that_is_revoked_for_no_reason_is_lost(self):
        self.expect({'lost'}, revoked(410, 22, 7, 'SERVICE_GONE'))
        self.expect({'lost'}, revoked(410, 22, 7, 'OPERATOR'))
        self.expect({'lost'}, revoked(410, 22, 7, 'LOST'))
        self.expect({'lost', 'stale'}, revoked(410, 22, 7, 'RESET'), change=lambda clients, driver: clients[0].append(
            grant('open', 460, 44, 7, 70, asked=7)))

    def test_what_a_reset_took_while_the_service_was_away_is_not_lost(self):
        reset = {'what': 'reset', 'began': 305, 'ended': 420, 'epoch': 2}
        self.expect(set(), revoked(410, 22, 7, 'LOST'), change=lambda clients, driver: driver.append(reset))

    def test_nothing_is_lost_to_a_service_that_was_there(self):
        reset = {'what': 'reset', 'began': 205, 'ended': 290, 'epoch': 2}
        self.expect({'lost'}, revoked(250, 22, 7, 'LOST'), change=lambda clients, driver: (
            driver.pop(0), driver.append(reset), clients[0].insert(7, revoked(250, 21, 7))))

    def test_whom_an_operator_or_the_owner_asks_is_asked_when_it_is_back(self):
        self.expect({'lost'}, revoked(410, 22, 7, 'LOST'), change=lambda clients, driver: driver.append(
            {'what': 'revocation', 'began': 305, 'ended': 420, 'buffer': 7}))
        self.expect({'lost'}, revoked(410, 22, 7, 'LOST'), change=lambda clients, driver: clients[0].insert(
            5, share(305, 7, 'unshare')))

    def test_a_session_that_ends_is_lost(self):
        self.expect({'lost'}, {'what': 'goodbye', 'at': 410, 'reason': 'CONNECTION_LOST'})

    def test_what_an_operator_or_the_owner_takes_back_is_not_lost(self):
        self.expect(set(), revoked(410, 22, 7, 'OPERATOR'), change=lambda clients, driver: driver.append(
            {'what': 'revocation', 'began': 405, 'ended': 420, 'buffer': 7}))
        self.expect(set(), revoked(410, 22, 7, 'UNSHARED'), change=lambda clients, driver: clients[0].insert(
            5, share(405, 7, 'unshare')))

    def test_an_unshare_before_it_was_opened_takes_no_lease_back(self):
        self.expect({'lost'}, revoked(410, 22, 7, 'UNSHARED'), change=lambda clients, driver: clients[0].insert(
            4, share(35, 7, 'unshare')))

    def test_the_owner_itself_loses_nothing_to_an_unshare(self):
        self.expect({'lost'}, revoked(410, 21, 7, 'UNSHARED'), client=ALICE,
                    change=lambda clients, driver: clients[0].insert(5, share(405, 7, 'unshare')))

    def test_a_buffer_that_is_held_and_cannot_be_opened_is_lost(self):
        self.expect({'lost'}, refused('open', 410, 'GONE', asked=7))
        self.expect({'lost'}, refused('open', 410, 'NOT_FOUND', asked=7))

    def test_a_buffer_that_somebody_lets_go_meanwhile_is_not_lost(self):
        self.expect(set(), refused('open', 902, 'GONE', asked=8))

    def test_a_held_lease_that_the_service_forgot_is_lost(self):
        def forget(clients, driver):
            driver[0]['leases'] = [22]
        self.assertEqual(self.found(forget), {'lost'})

    def test_a_lease_that_nobody_holds_is_a_leak(self):
        def dream(clients, driver):
            driver[0]['leases'].append(99)
        self.assertEqual(self.found(dream), {'leaks'})

    def test_foreign_bytes_are_mixed_up(self):
        self.expect({'mixed'}, read(460, 7, 22, [8, 0, 2], [7, 0, 1]))
        self.expect({'mixed'}, read(460, 7, 22, [7, 2, 2], [7, 0, 1]))

    def test_bytes_that_are_gone_are_mixed_up(self):
        self.expect({'mixed'}, read(460, 7, 22, 'blank', [7, 0, 1]))

    def test_bytes_that_are_torn_while_nobody_writes_are_mixed_up(self):
        self.expect({'mixed'}, read(460, 7, 22, [7, 0, 2], 'torn'))

    def test_old_bytes_are_mixed_up(self):
        self.expect({'mixed'}, read(460, 7, 22, [7, 0, 0], [7, 0, 1]))

    def test_bytes_that_were_not_written_yet_are_mixed_up(self):
        self.expect({'mixed'}, read(460, 7, 22, [7, 0, 4], [7, 0, 1]))

    def test_what_one_has_seen_another_sees_too(self):
        def linger(clients, driver):
            clients[0][6]['ended'] = 470  # the write of counter 2
            clients[1].append(read(460, 7, 22, [7, 0, 0], [7, 0, 1]))
        self.assertEqual(self.found(linger), {'mixed'})

    def test_a_grant_of_an_epoch_that_was_over_is_stale(self):
        self.expect({'stale'}, grant('allocate', 650, 41, 9, 90, epoch=1))

    def test_a_grant_after_its_reset_was_announced_is_stale(self):
        self.expect({'stale'}, grant('allocate', 530, 41, 9, 90, epoch=1))

    def late_grant(self, clients, driver):
        """Asked for before the reset, read after it, and in the hands of its client at the next census."""
        clients[1].append({**grant('allocate', 495, 41, 9, 90, epoch=1), 'ended': 640})
        driver.append({'what': 'census', 'at': 690, 'leases': [41]})

    def test_a_grant_that_was_asked_for_before_that_is_not_stale(self):
        def give_back(clients, driver):
            self.late_grant(clients, driver)
            clients[1].append(revoked(650, 41, 9))
            driver[-1]['leases'] = []
        self.assertEqual(self.found(give_back), set())

    def test_a_lease_that_outlives_its_epoch_is_stale(self):
        self.assertEqual(self.found(self.late_grant), {'stale'})

    def test_a_lease_that_is_held_before_its_reset_is_over_is_not_stale(self):
        def ask_before(clients, driver):
            self.late_grant(clients, driver)
            clients[1][-1]['ended'] = 500
            driver[-1]['at'] = 590
            clients[1].append(revoked(595, 41, 9))
        self.assertEqual(self.found(ask_before), set())

    def test_an_id_that_is_granted_twice_is_found(self):
        self.expect({'double'}, grant('open', 410, 22, 7, 70, asked=7))
        self.expect({'double'}, grant('allocate', 410, 42, 7, 70))

    def test_a_buffer_that_is_exported_twice_is_found(self):
        self.expect({'double'}, grant('open', 410, 42, 7, 71, asked=7))

    def test_one_file_for_two_buffers_is_found(self):
        self.expect({'double'}, grant('allocate', 410, 42, 9, 70))

    def test_a_file_may_be_another_buffer_when_the_first_is_over(self):
        self.expect(set(), grant('allocate', 910, 42, 9, 80, epoch=2))

    def test_a_buffer_that_nobody_allocated_is_found(self):
        self.expect({'double'}, grant('open', 410, 42, 9, 90, asked=9))

    def test_a_failure_is_an_error(self):
        for code in ('SERVICE_GONE', 'TIMED_OUT', 'BUSY', 'QUOTA_EXCEEDED', 'DEVICE_UNAVAILABLE', 'NO_MEMORY'):
            self.expect({'errors'}, refused('allocate', 410, code))
        self.expect({'errors'}, refused('open', 410, 'REVOKED', asked=7))

    def test_a_refusal_of_what_is_shared_is_an_error(self):
        self.expect({'errors'}, refused('open', 410, 'PERMISSION_DENIED', asked=7))
        self.expect({'errors'}, refused('open', 410, 'PERMISSION_DENIED', asked=7), client=2)

    def test_a_refusal_of_what_is_not_shared_any_more_is_none(self):
        self.expect(set(), refused('open', 410, 'PERMISSION_DENIED', asked=7),
                    change=lambda clients, driver: clients[0].insert(5, share(380, 7, 'unshare')))
        self.expect(set(), refused('open', 410, 'PERMISSION_DENIED', asked=7),
                    change=lambda clients, driver: clients[0].insert(5, share(412, 7, 'unshare')))

    def test_a_refusal_of_what_could_not_be_shared_is_none(self):
        def revoked(clients, driver):
            driver.insert(1, {'what': 'revocation', 'began': 370, 'ended': 500, 'buffer': 7})
            clients[0].insert(5, share(380, 7, code='REVOKED'))
        self.expect(set(), refused('open', 410, 'PERMISSION_DENIED', asked=7), change=revoked)

    def test_a_share_that_fails_is_an_error_unless_the_buffer_is_revoked(self):
        self.expect({'errors'}, share(410, 7, code='GONE'), client=ALICE)
        self.expect(set(), share(502, 7, code='REVOKED'), client=ALICE)

    def test_a_client_that_does_not_end_is_an_error(self):
        self.assertEqual(self.found(lambda clients, driver: clients[1].pop()), {'errors'})

    def test_descriptors_that_stay_are_leaks(self):
        def client(clients, driver):
            clients[1][-1]['descriptors'] += 1
        self.assertEqual(self.found(client), {'leaks'})

        def service(clients, driver):
            driver[-1]['after'] += 1
        self.assertEqual(self.found(service), {'leaks'})

    def test_a_kill_that_came_too_early_is_an_error(self):
        self.assertEqual(self.found(grants=2), set())
        self.assertEqual(self.found(grants=3), {'errors'})

    def test_reads_files_and_fails_by_its_exit_status(self):
        clients, driver = sound()
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)

            def run():
                for number, lines in clients.items():
                    text = ''.join(json.dumps(line) + '\n' for line in lines)
                    (directory / f'client-{number:02}.jsonl').write_text(text)
                (directory / 'driver.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in driver))
                program = pathlib.Path(__file__).with_name('history_check.py')
                return subprocess.run([sys.executable, '-B', program, directory], capture_output=True, text=True)
            self.assertEqual(run().returncode, 0)
            clients[1].insert(2, revoked(200, 22, 7, 'SERVICE_GONE'))
            finished = run()
            self.assertEqual(finished.returncode, 1)
            self.assertIn('lost: client 1 lost lease 22 of buffer 7: SERVICE_GONE', finished.stdout)
            self.assertEqual(json.loads(finished.stdout.splitlines()[-1])['lost'], 1)


if __name__ == '__main__':
    unittest.main()

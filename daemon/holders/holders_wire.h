/* SPDX-License-Identifier: Apache-2.0
 *
 * What hl-bufd-holders is asked and what it answers: lines of printable ASCII, words apart by one
 * blank, numbers decimal. One question and one answer on a connection (or a pair of pipes).
 *
 *   hl-bufd-holders 1                 the question, first line: version
 *   dmabuf INODE                      0 to FILES_MAX lines, no file twice
 *   memfd INODE
 *   end
 *
 *   hl-bufd-holders 1                 the answer
 *   scan PROCESSES FD MAPS BUFINFO WHOLE PIDNS ASKER
 *   file dmabuf INODE COUNT EXPORTER  for each that was asked for, in that order
 *   process PID PARENT UID START DESCRIPTORS MAPPINGS COMMAND
 *   importer NAME                     for each attachment; a device twice if it has two
 *   more PROCESSES DESCRIPTORS MAPPINGS ATTACHMENTS
 *   end
 *
 * scan: how many processes were looked at; of how many the descriptors, and the mappings, could not
 * be read; the errno of reading bufinfo, 0 where that went well; WHOLE, 1 when everything was
 * looked at before the time was over, else 0, and 2 more where /proc can have hidden processes; the
 * inode of the pid namespace that all pids here are of; and who asked, as the kernel says of the
 * connection (0: not known).
 *
 * file: COUNT are the references that the kernel counts, "-" where it was not to be seen (it never
 * is of a memfd); EXPORTER likewise. What follows belongs to this file: at most PROCESSES_MAX
 * processes and IMPORTERS_MAX importers, and of all files together at most HOLDERS_MAX of both;
 * `more` has what that left out, and is there only if something was.
 *
 * process: UID is the effective one, START the time since boot in clock ticks, as in
 * /proc/PID/stat: with PID it names a process for ever. Threads share their descriptors, which
 * count once; a forked process has its own. COMMAND is /proc/PID/comm, the rest of the line, with
 * everything but printable ASCII and the backslash as \xNN.
 *
 * A question that is none is not answered. An asker that reads end of file before `end` has no
 * answer.
 */
#ifndef HLBUF_DAEMON_HOLDERS_HOLDERS_WIRE_H_
#define HLBUF_DAEMON_HOLDERS_HOLDERS_WIRE_H_

enum {
  HLBUF_HOLDERS_VERSION = 1,
  HLBUF_HOLDERS_FILES_MAX = 4096,
  HLBUF_HOLDERS_PROCESSES_MAX = 64, /* of a file */
  HLBUF_HOLDERS_IMPORTERS_MAX = 64, /* likewise */
  HLBUF_HOLDERS_HOLDERS_MAX = 16384,
  HLBUF_HOLDERS_QUESTION_BYTES_MAX = 256 * 1024,
  HLBUF_HOLDERS_ANSWER_BYTES_MAX = 8 * 1024 * 1024,
  HLBUF_HOLDERS_SCAN_MS_MAX = 4000, /* then the scan ends, and says so */
  HLBUF_HOLDERS_SECONDS_MAX = 15    /* then the program ends, whatever it waits for */
};

/* What the program ends with. */
enum hlbuf_holders_exit {
  HLBUF_HOLDERS_EXIT_ANSWERED = 0,
  HLBUF_HOLDERS_EXIT_NO_QUESTION = 1, /* what came is none */
  HLBUF_HOLDERS_EXIT_BAD_USAGE = 2,
  HLBUF_HOLDERS_EXIT_FAILED = 3 /* no /proc, or the asker took no answer, or time was over */
};

#endif /* HLBUF_DAEMON_HOLDERS_HOLDERS_WIRE_H_ */

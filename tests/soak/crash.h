// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SOAK_CRASH_H_
#define HLBUF_TESTS_SOAK_CRASH_H_

#include <string>
#include <vector>

#include "tests/soak/soaked_daemon.h"

namespace hlbuf {

// Clients use a service whose second life dies at the crash point `where`, "NAME:COUNT": while it
// goes on where the first one was killed, or later, when its device is reset or a buffer revoked.
// Expects that it passes there, and that no client notices.
void CrashAndJudge(DaemonProcess& daemon, SoakedService& service, const std::string& where);

// The same at one after the other.
void CrashInARowAndJudge(DaemonProcess& daemon, SoakedService& service,
                         const std::vector<std::string>& points);

// The same for what a service tells its manager to keep when it has nothing yet: it dies there when
// it starts, and clients use the one after it, which is killed once more.
void CrashAtStartAndJudge(DaemonProcess& daemon, SoakedService& service, const std::string& where);

// All that a device passes which is no card, and has no notes.
std::vector<std::string> CrashPointsOfAnyDevice();

// "before_grant_1" for "before-grant:1".
std::string NameOfCrash(const std::string& where);

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_CRASH_H_

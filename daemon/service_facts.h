// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_SERVICE_FACTS_H_
#define HLBUF_DAEMON_SERVICE_FACTS_H_

#include "daemon/config.h"
#include "daemon/control/service_status.h"
#include "daemon/state_journal.h"
#include "daemon/stored_state.h"

namespace hlbuf {

inline constexpr const char* kNotKept =
    "what is held ends with this process: no service manager keeps it, and there is no [state] "
    "directory to write it down in";

// What the next process will find, and what is configured. `stored`: null where there is no service
// manager that keeps anything.
ServiceFacts FactsOf(const Config& config, const StateJournal& state, const StoredState* stored);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_SERVICE_FACTS_H_

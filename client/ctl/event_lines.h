// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_EVENT_LINES_H_
#define HLBUF_CLIENT_CTL_EVENT_LINES_H_

#include <optional>
#include <string>

#include "hlbuf/v1/control.pb.h"

namespace hlbuf::ctl {

// One line for each event, and for a gap. A line begins with its position, LIFE:NUMBER. The first
// response of a stream, which has neither, gives the head.
std::string EventTableLines(const v1::WatchEventsResponse& response);

// The same as WatchEventsResponses with at most one event or gap each, whose `next` is where to go
// on after that one.
std::string EventJsonLines(const v1::WatchEventsResponse& response);

// Has a request begin after the event at `position`, as a line has it. False when it is none.
bool ResumeAfter(const std::string& position, v1::WatchEventsRequest& request);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_EVENT_LINES_H_

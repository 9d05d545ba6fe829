// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_PLANS_H_
#define HLBUF_CLIENT_CTL_PLANS_H_

#include <string>

#include "hlbuf/v1/control.pb.h"

namespace hlbuf::ctl {

// What a drained device is now, then a table of what is held of it, by whom.
std::string DrainText(const v1::DrainDeviceResponse& response);

// Who is waited for, in one line.
std::string WaitingText(const v1::DrainDeviceResponse& response);

// Whether a reset would meet anybody who holds it up, how much time there would be, then tables of
// the sessions that would be asked and of what nobody can be asked for.
std::string PlanText(const v1::ResetPlan& plan);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_PLANS_H_

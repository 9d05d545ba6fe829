// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_VERDICTS_H_
#define HLBUF_CLIENT_CTL_VERDICTS_H_

#include <string>

#include "hlbuf/v1/control.pb.h"

namespace hlbuf::ctl {

// That a revocation has begun, or, when it has ended: a sentence with its counts, then a table of
// the verdicts that the daemon sent, with who still holds what.
std::string RevocationText(const v1::Revocation& revocation);

// Likewise; then what became of the device.
std::string ResetText(const v1::SimulateResetResponse& response);

// "dev0 is READY, epoch 3", and why it failed.
std::string DeviceText(const v1::Device& device);

// Whether somebody still has one of its buffers; such verdicts are never left out.
bool HasHeld(const v1::Revocation& revocation);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_VERDICTS_H_

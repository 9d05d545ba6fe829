// SPDX-License-Identifier: Apache-2.0
// What is said of one card, from what was read of it.
#ifndef HLBUF_CLIENT_CTL_DOCTOR_CARD_CHECKS_H_
#define HLBUF_CLIENT_CTL_DOCTOR_CARD_CHECKS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/ctl/doctor/ask_card.h"
#include "client/ctl/doctor/cards.h"
#include "client/ctl/doctor/credentials.h"
#include "client/ctl/doctor/driver.h"
#include "client/ctl/doctor/finding.h"

namespace hlbuf::ctl::doctor {

using Answers = absl::StatusOr<CardAnswers>;

// That there is no card. `host_memory_only`: the service is configured for devices that need none.
Finding JudgeNoCard(const Driver& driver, bool host_memory_only);

Finding JudgeStatus(const Card& card);
Finding JudgeUapi(const Card& card, const Answers& answers, const std::string& kernel);
// `service`: who will open them. nullopt: it does not run, and its user is not known.
Finding JudgeNodes(const Card& card, const std::optional<Credentials>& service);
Finding JudgeControlNode(const Card& card, const Answers& answers);
Finding JudgeBar(const Card& card, const Answers& answers);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_CARD_CHECKS_H_

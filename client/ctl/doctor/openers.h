// SPDX-License-Identifier: Apache-2.0
// Who has a card open. There is room for one.
#ifndef HLBUF_CLIENT_CTL_DOCTOR_OPENERS_H_
#define HLBUF_CLIENT_CTL_DOCTOR_OPENERS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "client/ctl/doctor/card_checks.h"
#include "client/ctl/doctor/cards.h"
#include "client/ctl/doctor/finding.h"
#include "client/ctl/doctor/roots.h"

namespace hlbuf::ctl::doctor {

struct Opener {
  pid_t pid = 0;
  pid_t parent = 0;
  std::string program;    // the name of its file
  bool has_unit = false;  // that systemd started for hl-bufd-keeper.socket
  // That it is the service or a keeper, which the service has started, or systemd for it.
  // `service`: its pid; 0: it is not known, and names have to do.
  bool is_services(pid_t service) const {
    if (program == "hl-bufd") return service == 0 || pid == service;
    return program == "hl-bufd-keeper" && (service == 0 || parent == service || has_unit);
  }
};

struct Openers {
  std::vector<std::vector<Opener>> of_card;  // in the order of the cards
  // Why others could be there unseen: "" when every process was looked at.
  std::string gap;
};

Openers FindOpeners(const Roots& roots, const std::vector<Card>& cards);

Finding JudgeOpeners(const Card& card, const std::vector<Opener>& openers, const std::string& gap,
                     const Answers& answers, pid_t service);

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_OPENERS_H_

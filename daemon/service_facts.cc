// SPDX-License-Identifier: Apache-2.0
#include "daemon/service_facts.h"

namespace hlbuf {

ServiceFacts FactsOf(const Config& config, const StateJournal& state, const StoredState* stored) {
  using Place = ServiceFacts::Place;
  ServiceFacts facts;
  facts.version = HLBUF_VERSION;
  facts.enforcement = config.enforcement;
  if (stored != nullptr) {
    facts.place = Place::kFdStore;
    facts.verified = stored->verified();
    facts.troubles = stored->troubles();
  } else if (state.is_open()) {
    facts.place = Place::kDirectory;
    facts.directory = config.state.directory;
  } else {
    facts.troubles.emplace_back(kNotKept);
  }
  if (!state.trouble().empty()) facts.troubles.push_back(state.trouble());
  return facts;
}

}  // namespace hlbuf

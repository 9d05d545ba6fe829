// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/examination.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/ctl/doctor/card_checks.h"
#include "client/ctl/doctor/cards.h"
#include "client/ctl/doctor/debugfs.h"
#include "client/ctl/doctor/driver.h"
#include "client/ctl/doctor/files.h"
#include "client/ctl/doctor/iommu.h"
#include "client/ctl/doctor/nics.h"
#include "client/ctl/doctor/openers.h"
#include "client/ctl/doctor/p2pdma.h"
#include "client/ctl/doctor/service_checks.h"
#include "client/ctl/doctor/service_config.h"
#include "client/ctl/doctor/watchdog.h"

namespace hlbuf::ctl::doctor {
namespace {

// Everything that was read, once.
struct Readings {
  Driver driver;
  std::vector<Card> cards;
  Openers openers;
  std::vector<Nic> nics;
  bool any_host = false;
  ServiceAnswer answer;
  Process process;
  absl::StatusOr<ServiceConfig> config;
  std::optional<Credentials> service_user;
};

Readings Read(const Patient& patient) {
  const Roots& roots = patient.roots;
  ServiceAnswer answer = patient.ask_service(patient.socket);
  const std::optional<Credentials> its_user = patient.user("hl-bufd");
  std::vector<uid_t> users = {0, ::geteuid()};
  if (its_user) users.push_back(its_user->uid);
  Process process = FindService(roots, answer.listener, users);
  absl::StatusOr<ServiceConfig> config =
      ReadServiceConfig(process.ok() ? process->config : roots.etc + "/hl-bufd.toml");
  std::optional<Credentials> user = process.ok() ? process->who : its_user;
  std::vector<Card> cards = FindCards(roots);
  Openers openers = FindOpeners(roots, cards);
  return {.driver = ReadDriver(roots),
          .cards = std::move(cards),
          .openers = std::move(openers),
          .nics = FindNics(roots),
          .any_host = PassesThroughAnyHost(FileText(roots.proc + "/cpuinfo").value_or("")),
          .answer = std::move(answer),
          .process = std::move(process),
          .config = std::move(config),
          .service_user = std::move(user)};
}

Finding FoundCards(const std::vector<Card>& cards) {
  return {.check = "cards",
          .on = "",
          .verdict = Verdict::kOk,
          .evidence = absl::StrJoin(cards, ", ",
                                    [](std::string* out, const Card& card) {
                                      absl::StrAppend(out, card.pci, " is ", card.compute.path);
                                    }),
          .remedy = ""};
}

void ExamineCard(const Patient& patient, const Readings& seen, std::size_t index,
                 std::vector<Finding>& findings) {
  const Card& card = seen.cards[index];
  const Answers answers =
      card.control ? patient.ask_card(*card.control)
                   : Answers(absl::NotFoundError(card.compute.path + ": no control node"));
  const auto place = PlaceOf(patient.roots, card.pci);
  const Routes routes = place.ok() ? RoutesTo(*place, seen.nics, seen.any_host) : Routes();
  const bool legacy = answers.ok() ? answers->legacy_calls : card.legacy;
  const std::string& kernel = seen.driver.kernel;
  findings.push_back(JudgeStatus(card));
  findings.push_back(JudgeUapi(card, answers, kernel));
  findings.push_back(JudgeNodes(card, seen.service_user));
  findings.push_back(JudgeControlNode(card, answers));
  findings.push_back(JudgeOpeners(card, seen.openers.of_card[index], seen.openers.gap, answers,
                                  seen.process.ok() ? seen.process->pid : 0));
  findings.push_back(JudgeBar(card, answers));
  findings.push_back(JudgeIommu(card.pci, ReadIommu(patient.roots, card.pci)));
  findings.push_back(JudgeRoutes(card.pci, place, routes, seen.driver.is_vendors()));
  findings.push_back(JudgeWatchdog(card.pci, ReadWatchdog(card, legacy, kernel), seen.config));
}

void ExamineService(const Patient& patient, const Readings& seen, std::vector<Finding>& findings) {
  const bool has_card = !seen.cards.empty();
  findings.push_back(JudgeService(patient.socket, seen.answer, has_card));
  findings.push_back(JudgeDescriptors(seen.process));
  findings.push_back(JudgeUserNamespace(seen.process));
  findings.push_back(JudgePidNamespace(seen.process));
  findings.push_back(JudgeEnforcement(seen.config, seen.process, seen.driver.kernel));
  const auto program = [&](const char* name) {
    return FindProgram(name, seen.process, patient.program_directories);
  };
  findings.push_back(JudgeKeeper(program("hl-bufd-keeper"), has_card));
  findings.push_back(JudgeHolders(program("hl-bufd-holders"), seen.config, patient.look_for));
}

}  // namespace

std::vector<Finding> Examine(const Patient& patient) {
  const Readings seen = Read(patient);
  std::vector<Finding> findings;
  const bool host_memory = seen.config.ok() && seen.config->is_for_host_memory();
  // What only a card needs says nothing of a node that has none.
  if (seen.cards.empty()) {
    findings.push_back(JudgeNoCard(seen.driver, host_memory));
  } else {
    findings.push_back(FoundCards(seen.cards));
    findings.push_back(JudgeDriver(seen.driver));
    findings.push_back(JudgeMemoryScrub(seen.driver));
  }
  if (!seen.cards.empty() || !host_memory)
    findings.push_back(
        JudgeP2pdma(ReadP2pdma(patient.roots, seen.driver.kernel), seen.driver.is_vendors()));
  findings.push_back(JudgeDebugfs(ReadDebugfs(patient.roots)));
  for (std::size_t i = 0; i < seen.cards.size(); ++i) ExamineCard(patient, seen, i, findings);
  ExamineService(patient, seen, findings);
  return findings;
}

}  // namespace hlbuf::ctl::doctor

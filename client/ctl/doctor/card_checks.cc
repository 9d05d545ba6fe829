// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/card_checks.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/files.h"
#include "client/ctl/format.h"

namespace hlbuf::ctl::doctor {
namespace {

Finding About(const Card& card, const char* check) { return {.check = check, .on = card.pci}; }

Finding Unknown(Finding finding, const absl::Status& why) {
  finding.verdict = Verdict::kUnknown;
  finding.evidence = WhyUnknown(why);
  finding.remedy = HowToKnow(why);
  return finding;
}

Finding Problem(Finding finding, std::string evidence, std::string remedy) {
  finding.verdict = Verdict::kProblem;
  finding.evidence = std::move(evidence);
  finding.remedy = std::move(remedy);
  return finding;
}

std::string WayOut(const Card& card) {
  return absl::StrCat(
      "end whatever holds its memory (`hl-bufctl holders DEVICE`, as root, names it), then: echo 1 "
      "> ",
      card.attributes, "/hard_reset");
}

bool IsGaudi(const Card& card) {
  return card.device_type == "GAUDI" || card.device_type == "GAUDI SEC";
}

}  // namespace

Finding JudgeNoCard(const Driver& driver, bool host_memory_only) {
  Finding finding{.check = "cards"};
  const bool has_function = !driver.functions.empty();
  finding.verdict = host_memory_only && !has_function ? Verdict::kWarning : Verdict::kProblem;
  finding.evidence = absl::StrCat(
      "no Gaudi card: neither class accel nor class habanalabs of sysfs has one of the driver "
      "habanalabs",
      has_function ? ", but there is a PCI device of its maker"
                   : "; no PCI device of vendor 0x1da3 either",
      host_memory_only ? "; the service is configured for host memory alone" : "");
  finding.remedy =
      has_function ? "load the driver (modprobe habanalabs), and see what it says in dmesg"
      : host_memory_only
          ? "none, when this node is meant to have no card"
          : "see `lspci -d 1da3:`; a guest needs the card passed through; a node that is meant for "
            "host memory has devices of kind udmabuf or dma-heap alone in its configuration";
  return finding;
}

Finding JudgeStatus(const Card& card) {
  Finding finding = About(card, "status");
  finding.evidence =
      absl::StrCat(card.device_type.empty() ? "a card" : card.device_type, ": ", card.attributes,
                   "/status is ", card.status.empty() ? "not readable" : card.status);
  const std::string& is = card.status;
  if (absl::EqualsIgnoreCase(is, "disabled") || absl::EqualsIgnoreCase(is, "needs reset"))
    return Problem(finding, finding.evidence, WayOut(card));
  if (absl::StartsWithIgnoreCase(is, "in reset")) {
    finding.verdict = Verdict::kWarning;
    finding.remedy = "wait until it is over; if it stays so, " + WayOut(card);
  } else if (absl::EqualsIgnoreCase(is, "operational") ||
             absl::EqualsIgnoreCase(is, "in device creation")) {
    finding.verdict = Verdict::kOk;
  } else {
    finding.remedy = "see what the driver says in dmesg";
  }
  return finding;
}

Finding JudgeUapi(const Card& card, const Answers& answers, const std::string& kernel) {
  Finding finding = About(card, "uapi");
  const bool legacy = answers.ok() ? answers->legacy_calls : card.legacy;
  finding.evidence = absl::StrCat(
      card.compute.path, ": ",
      legacy ? "the interface of kernels before 6.7" : "DRM ioctls, as since Linux 6.7",
      answers.ok() ? " (the control node answers them)" : " (by its class in sysfs)", ", Linux ",
      kernel);
  if (!legacy) {
    finding.verdict = Verdict::kOk;
    return finding;
  }
  const auto version = KernelVersion(kernel);
  if (version && *version <= std::pair{6U, 1U} && !IsGaudi(card))
    return Problem(finding,
                   absl::StrCat(finding.evidence, ": exports no memory of a ", card.device_type),
                   "run Linux 6.7 or later");
  finding.verdict = Verdict::kWarning;
  absl::StrAppend(&finding.evidence,
                  IsGaudi(card) ? "" : ": each buffer takes a whole allocation of the driver");
  finding.remedy = version && *version >= std::pair{6U, 7U}
                       ? "load the driver that belongs to this kernel"
                       : "run Linux 6.7 or later";
  return finding;
}

Finding JudgeControlNode(const Card& card, const Answers& answers) {
  Finding finding = About(card, "control-node");
  if (!card.control)
    return Problem(finding, card.compute.path + ": the card has no control node",
                   "see what the driver says in dmesg; load it anew");
  if (!answers.ok() && absl::EqualsIgnoreCase(card.status, "disabled"))
    return Problem(finding, absl::StrCat(answers.status().message(), ": the card is disabled"),
                   WayOut(card));
  if (absl::IsFailedPrecondition(answers.status()))
    return Problem(finding, std::string(answers.status().message()),
                   "remove the node and let udev make it anew (udevadm trigger)");
  if (!answers.ok()) return Unknown(finding, answers.status());
  finding.evidence =
      absl::StrCat(card.control->path, " says module ", answers->module_id, " (HW_IP_INFO)");
  if (!card.module_id) {
    absl::StrAppend(&finding.evidence, "; ", card.attributes,
                    "/module_id is not there to compare it with");
    return finding;
  }
  absl::StrAppend(&finding.evidence, ", ", card.attributes, "/module_id is ", *card.module_id);
  if (answers->module_id != *card.module_id)
    return Problem(finding, finding.evidence + ": it belongs to another card",
                   "unload the drivers of other accelerators, then load habanalabs anew");
  finding.verdict = Verdict::kOk;
  return finding;
}

Finding JudgeBar(const Card& card, const Answers& answers) {
  Finding finding = About(card, "bar");
  if (!card.bar_bytes)
    return Unknown(finding, absl::NotFoundError(absl::StrCat(
                                card.resource, ": no BAR 4, in which the memory of a card lies")));
  finding.evidence = absl::StrCat(card.resource, ": BAR 4 has ", SizeText(*card.bar_bytes));
  if (!answers.ok()) {
    absl::StrAppend(&finding.evidence,
                    "; how much memory there is: ", WhyUnknown(answers.status()));
    finding.remedy = HowToKnow(answers.status());
    return finding;
  }
  const std::uint64_t memory = answers->dram_bytes + answers->reserved_bytes;
  absl::StrAppend(&finding.evidence, ", the card ", SizeText(memory), " of memory (HW_IP_INFO)");
  if (*card.bar_bytes < memory)
    return Problem(finding,
                   finding.evidence + ": what lies beyond the BAR cannot be exported (EINVAL)",
                   "switch on \"Above 4G decoding\" and resizable BARs in the firmware setup");
  finding.verdict = Verdict::kOk;
  return finding;
}

}  // namespace hlbuf::ctl::doctor

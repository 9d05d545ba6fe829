// SPDX-License-Identifier: Apache-2.0
#include "tests/card/card_under_test.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

constexpr const char* kImporterNode = "/dev/hlimport";

const char* NamedCard() {
  const char* pci = std::getenv("HLBUF_CARD");
  return pci != nullptr && *pci != '\0' ? pci : nullptr;
}

}  // namespace

const char* ResetKindText(ResetKind kind) {
  switch (kind) {
    case ResetKind::kGraceful:
      return "graceful";
    case ResetKind::kUnannounced:
      return "unannounced";
    case ResetKind::kFirmware:
      return "firmware";
  }
  return "?";
}

bool CardUnderTest::IsNamed() { return NamedCard() != nullptr; }

bool CardUnderTest::MayBeReset() {
  const char* drill = std::getenv("HLBUF_DRILL");
  return !IsNamed() || (drill != nullptr && std::string(drill) == "1");
}

CardUnderTest::CardUnderTest(const std::string& stand_in_parameters) {
  if (!IsNamed()) {
    stand_in_ = std::make_unique<Hlsim>(stand_in_parameters);
    importer_ = std::make_unique<Importer>();
  }
  const std::vector<CardNodes> cards = FindCards();
  EXPECT_FALSE(cards.empty()) << "there is no card";
  if (IsNamed()) {
    const std::optional<CardNodes> named = FindCard(NamedCard());
    EXPECT_TRUE(named.has_value()) << "there is no card " << NamedCard();
    nodes_ = named.value_or(CardNodes{});
  } else if (!cards.empty()) {
    nodes_ = cards.front();
  }
}

std::string CardUnderTest::DeviceKeys() const { return absl::StrCat("pci = \"", pci(), "\""); }

std::vector<ResetKind> CardUnderTest::Resets() const {
  if (stand_in_ != nullptr)
    return {ResetKind::kGraceful, ResetKind::kUnannounced, ResetKind::kFirmware};
  if (MayBeReset()) return {ResetKind::kUnannounced};
  return {};
}

void CardUnderTest::Reset(ResetKind kind) const {
  if (stand_in_ == nullptr) {
    std::ofstream file(nodes_.directory + "/hard_reset");
    file << "1" << std::flush;
    EXPECT_TRUE(file.good()) << nodes_.directory << "/hard_reset cannot be written";
    return;
  }
  switch (kind) {
    case ResetKind::kGraceful:
      return stand_in_->Trigger(absl::StrCat(HLSIM_GRACEFUL, " ", kEventReset));
    case ResetKind::kUnannounced:
      return stand_in_->Trigger(HLSIM_UNGRACEFUL);
    case ResetKind::kFirmware:
      return stand_in_->Trigger(absl::StrCat(HLSIM_FIRMWARE, " ", kEventReset | kEventUnavailable));
  }
}

std::chrono::milliseconds CardUnderTest::ResetPatience() const {
  return nodes_.IsStandIn() ? std::chrono::seconds(30) : std::chrono::minutes(3);
}

std::string CardUnderTest::importer() const {
  return nodes_.IsStandIn() && std::filesystem::exists(kImporterNode) ? kImporterNode : "";
}

std::string CardUnderTest::State() const { return stand_in_ != nullptr ? stand_in_->State() : ""; }

}  // namespace hlbuf

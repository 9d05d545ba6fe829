// SPDX-License-Identifier: Apache-2.0
#include "tests/card/load.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/support/client_process.h"

namespace hlbuf {

std::string LoadTotals::Text() const {
  return absl::StrCat(allocated, " allocated, ", opened, " opened, ", checked, " compared, ",
                      revoked, " revoked, ", unavailable, " refused meanwhile, ", gone, " gone, ",
                      mixed_up, " mixed up, ", failed, " failed");
}

Load::Load(const std::string& client_socket, std::size_t clients, const std::string& importer)
    : file_(::memfd_create("load", MFD_CLOEXEC)) {
  EXPECT_LE(clients, kLoadClientsMax);
  EXPECT_EQ(::ftruncate(file_.get(), sizeof(LoadBoard)), 0);
  void* mapped = ::mmap(nullptr, sizeof(LoadBoard), PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(),
                        /* offset= */ 0);
  EXPECT_NE(mapped, MAP_FAILED);
  board_ = static_cast<LoadBoard*>(mapped);
  if (!importer.empty()) {
    EXPECT_EQ(::chmod(importer.c_str(), 0666), 0) << importer;
  }
  for (std::size_t i = 0; i < clients; ++i) {
    const User user = i % 2 == 0 ? Alice() : Bob();
    const User peer = i % 2 == 0 ? Bob() : Alice();
    clients_.push_back(std::make_unique<Child>(
        Program{.arguments = {BuiltPath("tests/card/load_client"), client_socket, absl::StrCat(i),
                              absl::StrCat(*peer.uid), importer.empty() ? "-" : importer},
                .channel = file_.get(),
                .uid = user.uid,
                .gid = user.gids.front()}));
  }
}

Load::~Load() {
  board_->command = LoadCommand::kEnd;
  clients_.clear();
  ::munmap(board_, sizeof(LoadBoard));
}

LoadTotals Load::Totals() const {
  LoadTotals all;
  for (const LoadPlace& place : board_->places) {
    all.allocated += place.allocated;
    all.opened += place.opened;
    all.checked += place.checked;
    all.revoked += place.revoked;
    all.unavailable += place.unavailable;
    all.gone += place.gone;
    all.mixed_up += place.mixed_up;
    all.failed += place.failed;
  }
  return all;
}

bool Load::Works(std::uint64_t grants) {
  const std::uint64_t until = Totals().grants() + grants;
  return Eventually([&] {
           const LoadTotals now = Totals();
           return now.grants() >= until || now.failed != 0;
         }) &&
         Totals().failed == 0;
}

bool Load::Rests() {
  board_->command = LoadCommand::kRest;
  return Eventually([&] {
    return std::all_of(board_->places.begin(), board_->places.begin() + clients_.size(),
                       [](const LoadPlace& place) { return place.resting == 1; });
  });
}

void Load::End() {
  board_->command = LoadCommand::kEnd;
  for (const auto& client : clients_) EXPECT_EQ(client->ExitStatus(), 0);
}

std::string Load::Failures() const {
  std::string all;
  for (std::size_t i = 0; i < clients_.size(); ++i)
    if (board_->places[i].failed != 0)
      absl::StrAppend(&all, "client ", i, ": ", board_->places[i].first_failure.data(), "\n");
  return all;
}

}  // namespace hlbuf

// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/soak_clients.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/support/client_process.h"

namespace hlbuf {

SoakClients::SoakClients(const Options& options) : file_(::memfd_create("soak", MFD_CLOEXEC)) {
  EXPECT_LE(options.count, kSoakClientsMax);
  EXPECT_EQ(::ftruncate(file_.get(), sizeof(SoakBoard)), 0);
  void* mapped = ::mmap(nullptr, sizeof(SoakBoard), PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(),
                        /* offset= */ 0);
  EXPECT_NE(mapped, MAP_FAILED);
  board_ = static_cast<SoakBoard*>(mapped);
  if (options.importer != "-") {
    EXPECT_EQ(::chmod(options.importer.c_str(), 0666), 0) << options.importer;
  }
  for (std::size_t i = 0; i < options.count; ++i) {
    const User user = i % 2 == 0 ? Alice() : Bob();
    const User peer = i % 2 == 0 ? Bob() : Alice();
    const std::string record = absl::StrFormat("%s/client-%02d.jsonl", options.directory, i);
    clients_.push_back(std::make_unique<Child>(
        Program{.arguments = {BuiltPath("tests/soak/soak_client"), options.client_socket, record,
                              absl::StrCat(i), absl::StrCat(*peer.uid), options.importer},
                .channel = file_.get(),
                .uid = user.uid,
                .gid = options.gid}));
  }
}

SoakClients::~SoakClients() {
  board_->command = SoakCommand::kEnd;
  clients_.clear();
  ::munmap(board_, sizeof(SoakBoard));
}

std::uint64_t SoakClients::Sum(std::atomic<std::uint64_t> SoakPlace::*number) const {
  std::uint64_t sum = 0;
  for (const SoakPlace& place : board_->places) sum += place.*number;
  return sum;
}

std::uint64_t SoakClients::Offered() const {
  for (const SoakPlace& place : board_->places)
    if (const std::uint64_t id = place.offered; id != 0) return id;
  return 0;
}

bool SoakClients::Work(std::uint64_t grants, const std::function<bool()>& over) {
  const std::uint64_t until = Grants() + grants;
  return Eventually([&] {
           return Grants() >= until || !Failures().empty() || (over != nullptr && over());
         }) &&
         Failures().empty();
}

bool SoakClients::Tell(SoakCommand command) {
  board_->command = command;
  return Eventually([&] {
           return !Failures().empty() ||
                  std::all_of(board_->places.begin(), board_->places.begin() + clients_.size(),
                              [&](const SoakPlace& place) { return place.does == command; });
         }) &&
         Failures().empty();
}

bool SoakClients::End() {
  board_->command = SoakCommand::kEnd;
  return std::all_of(clients_.begin(), clients_.end(),
                     [](const auto& client) { return client->ExitStatus() == 0; });
}

std::string SoakClients::Failures() const {
  std::string all;
  for (std::size_t i = 0; i < clients_.size(); ++i)
    if (board_->places[i].failed != 0)
      absl::StrAppend(&all, "client ", i, ": ", board_->places[i].failure.data(), "\n");
  return all;
}

}  // namespace hlbuf

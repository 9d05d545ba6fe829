// SPDX-License-Identifier: Apache-2.0
// What a broker writes into a journal, as it comes out again.
#include "daemon/persist/journal_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "daemon/persist/journal_recorder.h"
#include "tests/support/broker_rig.h"
#include "tests/support/fake_epoch_page.h"

namespace hlbuf {
namespace {

constexpr BootId kBoot = {1, 2, 3};

UniqueFd Memory() { return UniqueFd(::memfd_create("journal", MFD_CLOEXEC)); }
UniqueFd Copy(const Journal& journal) {
  return UniqueFd(::fcntl(journal.fd(), F_DUPFD_CLOEXEC, 0));
}

struct Written {
  Written() : recorder(*journal, [this](const absl::Status& why) { given_up = why; }) {}

  // As the next process reads it.
  ReadJournal Again() const {
    next = *Journal::Adopt(Copy(*journal), kBoot, "2");
    absl::StatusOr<ReadJournal> read = Read(*next);
    EXPECT_TRUE(read.ok()) << read.status();
    return *std::move(read);
  }

  std::unique_ptr<Journal> journal = *Journal::Create(Memory(), kBoot, "1");
  mutable std::unique_ptr<Journal> next;
  absl::Status given_up;
  JournalRecorder recorder;
};

// A broker with one of everything, written into a journal, and what it knows.
struct Told {
  Told() {
    Peer peer = PeerOf(1000, "pod-1");
    peer.unit = "job.service";
    peer.job = 7;
    peer.pidfd_inode = 88;
    peer.start_ticks = 99;
    alice = &rig.Connect(peer);
    bob = &rig.Connect(PeerOf(2000));
    alice->TryAllocate({.size_bytes = 2 * kPage,
                        .name = "weights",
                        .labels = {"a=b", "model=" + std::string(200, 'x')},
                        .cookie = 5});
    lease = alice->session().leases.at(0)->id;
    buffer = rig.Find(lease)->buffer->id;
    for (std::uint32_t id = 2000; id < 2040; ++id)
      alice->Share(buffer, {.kind = Grantee::Kind::kUid, .id = id});
    EXPECT_TRUE(bob->Open(buffer).ok());
    rig.Hold(buffer, 2);
  }

  void WriteAll(Recorder& recorder) {
    for (const auto& device : rig.broker.devices()) recorder.Write(*device);
    for (const auto& [id, session] : rig.broker.ledger().sessions) recorder.Write(*session);
    for (const auto& [id, each] : rig.broker.ledger().registry.in_order()) recorder.Write(*each);
    for (const auto& each : rig.broker.ledger().leases) recorder.Write(*each);
    recorder.Write(*rig.broker.FindDevice("fake0"), {.key = 3, .bytes = std::string(5'000, 'n')});
  }

  FakeEpochPage page{8};
  BrokerRig rig{{.page = &page}};
  FakeClient* alice;
  FakeClient* bob;
  LeaseId lease;
  BufferId buffer;
};

TEST(JournalReader, ReadsWhatWasRecorded) {
  Told told;
  Written written;
  told.WriteAll(written.recorder);
  const ReadJournal read = written.Again();
  EXPECT_TRUE(read.leftover.empty());
  ASSERT_EQ(read.kept.devices.size(), 1u);
  EXPECT_EQ(read.kept.devices[0].name, "fake0");
  ASSERT_EQ(read.kept.devices[0].notes.size(), 1u);
  EXPECT_EQ(read.kept.devices[0].notes[0].bytes, std::string(5'000, 'n'));
  ASSERT_EQ(read.kept.sessions.size(), 2u);
  const KeptSession& session = read.kept.sessions[0];
  EXPECT_EQ(session.id, told.alice->id);
  EXPECT_TRUE(session.secret.Matches(told.alice->secret));
  EXPECT_EQ(session.client, "test");
  EXPECT_EQ(session.peer.container, "pod-1");
  EXPECT_EQ(session.peer.unit, "job.service");
  EXPECT_EQ(session.peer.groups, told.alice->peer.groups);
  EXPECT_EQ(session.peer.pidfd_inode, 88u);
  EXPECT_EQ(session.peer.start_ticks, 99u);
  EXPECT_EQ(session.peer.job, 7u);
  ASSERT_EQ(read.kept.buffers.size(), 1u);
  const KeptBuffer& buffer = read.kept.buffers[0];
  const BufferRecord& record = *told.rig.Find(told.buffer);
  EXPECT_EQ(buffer.name, "weights");
  EXPECT_EQ(buffer.labels, record.labels);
  EXPECT_EQ(buffer.owner, record.owner->domain);
  EXPECT_EQ(buffer.shares, record.shares);
  EXPECT_EQ(buffer.inode, record.allocation.inode);
  EXPECT_EQ(buffer.window, record.allocation.window);
  EXPECT_EQ(buffer.allocated_by, record.allocated_by);
  EXPECT_EQ(buffer.size_bytes, 2 * kPage);
  EXPECT_EQ(buffer.epoch_slot, EpochPage::kFirstSlot);
  EXPECT_EQ(read.kept.leases.size(), 2u);
}

TEST(JournalReader, ReadsRevocationsAndResets) {
  Told told;
  Written written;
  told.rig.Reset(absl::Seconds(20));
  told.WriteAll(written.recorder);
  written.recorder.Write(RevocationReport{.id = RevocationId{77},
                                          .reason = RevokeReason::kReset,
                                          .deadline = told.rig.clock.Now() + absl::Seconds(3)});
  const ReadJournal read = written.Again();
  ASSERT_TRUE(read.kept.devices[0].closing.has_value());
  EXPECT_EQ(read.kept.devices[0].closing->deadline, told.rig.clock.Now() + absl::Seconds(20));
  EXPECT_EQ(read.kept.buffers[0].state, BufferState::kRevoking);
  EXPECT_EQ(read.kept.buffers[0].revoked, RevokeReason::kReset);
  EXPECT_EQ(read.kept.buffers[0].revocations.size(), 1u);
  EXPECT_EQ(read.kept.leases[0].state, LeaseState::kRevoking);
  EXPECT_EQ(read.kept.revocations.at(0).deadline, told.rig.clock.Now() + absl::Seconds(3));
}

// Recorded by the versions that they are named after: one client of two with a buffer, its lease,
// 40 grantees and a revocation that runs.
TEST(JournalReader, ReadsWhatEachVersionWrote) {
  const char* source = ::getenv("HLBUF_SOURCE_DIR");
  const std::string directory =
      std::string(source == nullptr ? "." : source) + "/daemon/persist/testdata";
  std::size_t versions = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    SCOPED_TRACE(entry.path());
    ++versions;
    const auto journal =
        Journal::View(UniqueFd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC)));
    ASSERT_TRUE(journal.ok()) << journal.status();
    const absl::StatusOr<ReadJournal> read = Read(**journal);
    ASSERT_TRUE(read.ok()) << read.status();
    const Kept& kept = read->kept;
    EXPECT_EQ(kept.devices.at(0).name, "fake0");
    EXPECT_EQ(kept.devices.at(0).notes.at(0).bytes, std::string(5'000, 'n'));
    EXPECT_EQ(kept.sessions.at(0).peer.container, "pod-1");
    EXPECT_EQ(kept.sessions.at(0).peer.start_ticks, 99u);
    EXPECT_EQ(kept.buffers.at(0).name, "weights");
    EXPECT_EQ(kept.buffers.at(0).shares.size(), 40u);
    EXPECT_EQ(kept.buffers.at(0).state, BufferState::kRevoking);
    EXPECT_EQ(kept.buffers.at(0).revocations.at(0), kept.revocations.at(0).id);
    EXPECT_EQ(kept.leases.size(), 2u);
    EXPECT_EQ(kept.leases.at(0).state, LeaseState::kRevoking);
    EXPECT_EQ(kept.revocations.at(0).deadline - kept.revocations.at(0).began, absl::Seconds(10));
  }
  EXPECT_GT(versions, 0u);
}

TEST(JournalReader, FindsNothingOfWhatWasForgotten) {
  Told told;
  Written written;
  told.WriteAll(written.recorder);
  for (const auto& lease : told.rig.broker.ledger().leases) written.recorder.Forget(lease->id);
  written.recorder.Forget(told.buffer);
  written.recorder.Forget(told.alice->id);
  written.recorder.Forget(told.bob->id);
  written.recorder.Write(*told.rig.broker.FindDevice("fake0"), {.key = 3, .bytes = ""});
  EXPECT_EQ(written.journal->size(), 1u) << "the device, and no part of anything else";
}

TEST(JournalReader, ReadsTextsThatChange) {
  Told told;
  Written written;
  told.WriteAll(written.recorder);
  const Device& device = *told.rig.broker.FindDevice("fake0");
  written.recorder.Write(device, {.key = 3, .bytes = std::string(3'000, 'm')});
  const ReadJournal read = written.Again();
  EXPECT_EQ(read.kept.devices[0].notes.at(0).bytes, std::string(3'000, 'm'));
  EXPECT_TRUE(read.leftover.empty());
}

std::vector<std::uint64_t> PartKeys(const Journal& journal) {
  std::vector<std::uint64_t> keys;
  for (const Journal::Record& record : journal.Records())
    if (record.key.kind >> journal::kKindBits == 1) keys.push_back(record.key.key);
  std::sort(keys.begin(), keys.end());
  return keys;
}

// Clients choose texts: nobody can tell beforehand where they lie.
TEST(JournalReader, FindsLongTextsWhereEachWriterPutsThem) {
  Told told;
  Written written;
  told.WriteAll(written.recorder);
  const std::vector<std::uint64_t> before = PartKeys(*written.journal);
  JournalRecorder next(*written.journal, [](const absl::Status&) {});
  told.WriteAll(next);
  const std::vector<std::uint64_t> after = PartKeys(*written.journal);
  EXPECT_EQ(after.size(), before.size()) << "the earlier ones are gone";
  EXPECT_NE(after, before);
  const ReadJournal read = written.Again();
  EXPECT_EQ(read.kept.devices[0].notes.at(0).bytes, std::string(5'000, 'n'));
  EXPECT_TRUE(read.leftover.empty());
}

TEST(JournalReader, NamesWhatBelongsToNothing) {
  Told told;
  Written written;
  ASSERT_TRUE(written.journal->Put({.kind = 15, .key = 1}, {}).ok());
  ASSERT_TRUE(written.journal->Put({.kind = 3 | 1 << 4, .key = 1}, {}).ok());
  EXPECT_EQ(written.Again().leftover.size(), 2u);
}

TEST(JournalReader, ReadsShorterRowsOfEarlierVersions) {
  Written written;
  RowWriter rows(*written.journal);
  RowTexts texts;
  for (const char* text : {"fake0", "", ""}) texts.Add(text);
  const std::uint64_t epoch = 12;
  ASSERT_TRUE(rows.Put(journal::RowKind::kDevice, HashOfText("fake0"), epoch, texts.bytes()).ok());
  const ReadJournal read = written.Again();
  EXPECT_EQ(read.kept.devices.at(0).epoch, 12u);
  EXPECT_FALSE(read.kept.devices.at(0).closing.has_value());
}

TEST(JournalRecorder, GivesTheJournalUpThatCannotTakeAWrite) {
  Told told;
  UniqueFd file(::memfd_create("journal", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const int fd = file.get();
  const auto journal = *Journal::Create(std::move(file), kBoot, "");
  ASSERT_EQ(::fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
  absl::Status given_up;
  JournalRecorder recorder(*journal, [&](const absl::Status& why) { given_up = why; });
  EXPECT_EQ(CodeOf(recorder.Reserve(100'000)), "QUOTA_EXCEEDED");
  for (std::uint64_t key = 0; key < journal->capacity(); ++key)
    ASSERT_TRUE(journal->Put({.kind = 15, .key = key}, {}).ok());
  recorder.Write(told.alice->session());
  EXPECT_EQ(given_up.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(Journal::Adopt(Copy(*journal), kBoot, "").ok());
}

// All that tells one row from another.
auto Facts(const KeptDevice& d) {
  std::map<std::uint64_t, std::string> notes;
  for (const DeviceNote& note : d.notes) notes[note.key] = note.bytes;
  return std::tuple(d.name, d.epoch, d.drain.has_value(), d.closing.has_value(), notes);
}
auto Facts(const KeptSession& s) {
  const Peer& p = s.peer;
  return std::tuple(s.id, p.uid, p.gid, p.groups, p.pid, p.container, p.unit, p.job, p.pidfd_inode,
                    p.start_ticks, s.secret.bytes, s.secret_before.bytes, s.client, s.since);
}
auto Facts(const KeptBuffer& b) {
  const bool judged = b.verdict.has_value();
  return std::tuple(b.id, b.device, b.epoch, b.owner, b.name, b.labels, b.shares, b.size_bytes,
                    b.window, b.inode, b.allocated_by, b.job, b.state, b.blind, b.given_up,
                    b.revoked, judged, b.references, b.epoch_slot, b.since, b.draining_since,
                    b.unleased_since, b.revocations);
}
auto Facts(const KeptLease& l) {
  return std::tuple(l.id, l.session, l.buffer, l.share, l.state, l.signalled, l.asked_alone_by,
                    l.due, l.since);
}
auto Facts(const KeptRevocation& r) {
  return std::tuple(r.id, r.reason, r.began, r.deadline, r.sessions_told, r.leases_told);
}
template <class Row>
auto FactsOf(const std::vector<Row>& rows) {
  std::vector<decltype(Facts(rows[0]))> facts;
  for (const Row& row : rows) facts.push_back(Facts(row));
  return facts;
}

// Whatever byte is changed: refused as a whole, or read as it was written.
TEST(JournalReader, NeverReadsWhatWasNotWrittenWhateverByteIsDamaged) {
  Told told;
  Written written;
  told.WriteAll(written.recorder);
  const std::size_t bytes = journal::kHeaderBytes + 40 * journal::kSlotBytes;
  std::string content(bytes, '\0');
  ASSERT_EQ(::pread(written.journal->fd(), content.data(), bytes, 0), static_cast<ssize_t>(bytes));
  const Kept good = written.Again().kept;
  std::size_t refused = 0;
  for (std::size_t at = 0; at < bytes; ++at) {
    std::string damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x5a);
    UniqueFd file = Memory();
    ASSERT_EQ(::write(file.get(), damaged.data(), bytes), static_cast<ssize_t>(bytes));
    const auto journal = Journal::Adopt(std::move(file), kBoot, "");
    const absl::StatusOr<ReadJournal> read = journal.ok() ? Read(**journal) : journal.status();
    if (!read.ok()) {
      ++refused;
      continue;
    }
    const Kept& again = read->kept;
    EXPECT_TRUE(read->leftover.empty()) << at;
    EXPECT_TRUE(FactsOf(again.devices) == FactsOf(good.devices)) << at;
    EXPECT_TRUE(FactsOf(again.sessions) == FactsOf(good.sessions)) << at;
    EXPECT_TRUE(FactsOf(again.buffers) == FactsOf(good.buffers)) << at;
    EXPECT_TRUE(FactsOf(again.leases) == FactsOf(good.leases)) << at;
    EXPECT_TRUE(FactsOf(again.revocations) == FactsOf(good.revocations)) << at;
  }
  EXPECT_GT(refused, 300u);
}

TEST(Journal, CanBeLookedAtWhileItIsWritten) {
  Told told;
  Written written;
  told.WriteAll(written.recorder);
  const std::string path = "/proc/self/fd/" + std::to_string(written.journal->fd());
  const auto view = Journal::View(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ((*view)->written_by(), "1");
  EXPECT_EQ((*view)->boot_id(), kBoot);
  EXPECT_TRUE(Read(**view).ok());
}

}  // namespace
}  // namespace hlbuf

// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "hlbuf/hlbuf.h"
#include "tests/support/step_client/steps.h"

namespace hlbuf {
namespace {

// Negative when it is over already.
std::int64_t MsUntil(std::uint64_t boottime_ns) {
  timespec now = {};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return (static_cast<std::int64_t>(boottime_ns) - now.tv_nsec) / 1'000'000 - now.tv_sec * 1'000;
}

// One session through libhlbuf. Buffers are named by their place in `buffers`, for ever.
class LibraryUser {
 public:
  ~LibraryUser() { hlbuf_client_close(client_); }

  // library-connect PATH
  Outcome Connect(Step& step) {
    hlbuf_connect_options options = {};
    options.struct_bytes = sizeof(options);
    options.socket_path = step.Word(1).c_str();
    options.client_name = "step_client";
    options.callbacks = {
        .on_revoke = OnRevoke, .on_device = OnDevice, .on_goodbye = OnGoodbye, .context = this};
    return hlbuf_connect(&options, &client_, &error_) == HLBUF_OK
               ? Done(absl::StrCat(hlbuf_client_session_id(client_)))
               : Refused();
  }

  Outcome Close(Step&) {
    hlbuf_client_close(std::exchange(client_, nullptr));
    return Done();
  }

  // library-use-device NAME: what is allocated from now on is on it
  Outcome UseDevice(Step& step) {
    device_ = step.Word(1);
    return Done();
  }

  // library-set-timeout MS: of every later call
  Outcome SetTimeout(Step& step) {
    hlbuf_client_set_timeout(client_, static_cast<std::int32_t>(step.Number(1)));
    return Done();
  }

  // library-allocate|library-allocate-waiting BYTES NAME LABEL...; "-": no name
  Outcome Allocate(Step& step) {
    std::vector<const char*> labels;
    for (std::size_t i = 3; i < step.words.size(); ++i) labels.push_back(step.words[i].c_str());
    hlbuf_allocate_options options = {};
    options.struct_bytes = sizeof(options);
    options.size_bytes = step.Number(1);
    options.name = step.Word(2) == "-" ? nullptr : step.Word(2).c_str();
    options.device = device_.empty() ? nullptr : device_.c_str();
    options.labels = labels.data();
    options.label_count = labels.size();
    options.wait_for_device = step.Word(0) == "library-allocate-waiting" ? 1 : 0;
    hlbuf_buffer* buffer = nullptr;
    return hlbuf_allocate(client_, &options, &buffer, &error_) == HLBUF_OK ? Keep(buffer)
                                                                           : Refused();
  }

  // library-allocate-many COUNT BYTES: their ids
  Outcome AllocateMany(Step& step) {
    hlbuf_allocate_options options = {};
    options.struct_bytes = sizeof(options);
    options.size_bytes = step.Number(2);
    std::string ids;
    for (std::uint64_t i = 0; i < step.Number(1); ++i) {
      hlbuf_buffer* buffer = nullptr;
      if (hlbuf_allocate(client_, &options, &buffer, &error_) != HLBUF_OK) return Refused();
      buffers_.push_back(buffer);
      absl::StrAppend(&ids, ids.empty() ? "" : " ", hlbuf_buffer_id(buffer));
    }
    return Done(ids);
  }

  // library-start-thread: notices are the library's affair from now on
  Outcome StartThread(Step&) {
    return hlbuf_client_start_thread(client_, &error_) == HLBUF_OK ? Done() : Refused();
  }

  // library-fd PLACE
  Outcome Fd(Step& step) {
    return Done(absl::StrCat(hlbuf_buffer_fd(buffers_.at(step.Number(1)))));
  }

  // library-is-current PLACE: 1 or 0, by the page alone
  Outcome IsCurrent(Step& step) {
    return Done(hlbuf_buffer_is_current(buffers_.at(step.Number(1))) ? "1" : "0");
  }

  // library-release-all
  Outcome ReleaseAll(Step&) {
    hlbuf_buffers_release(buffers_.data(), buffers_.size());
    buffers_.assign(buffers_.size(), nullptr);
    return Done();
  }

  // library-open-id ID
  Outcome OpenId(Step& step) {
    hlbuf_buffer* buffer = nullptr;
    return hlbuf_open_id(client_, step.Number(1), &buffer, &error_) == HLBUF_OK ? Keep(buffer)
                                                                                : Refused();
  }

  // library-open-name NAME UID
  Outcome OpenName(Step& step) {
    hlbuf_buffer* buffer = nullptr;
    return hlbuf_open_name(client_, step.Word(1).c_str(),
                           static_cast<std::uint32_t>(step.Number(2)), &buffer, &error_) == HLBUF_OK
               ? Keep(buffer)
               : Refused();
  }

  // library-open-many ID...: for each its place, or the refusal's code
  Outcome OpenMany(Step& step) {
    std::vector<hlbuf_open_item> items;
    for (std::size_t i = 1; i < step.words.size(); ++i)
      items.push_back({.buffer_id = step.Number(i)});
    std::vector<hlbuf_open_result> results(items.size());
    if (hlbuf_open_many(client_, items.data(), items.size(), results.data(), &error_) != HLBUF_OK)
      return Refused();
    std::string words;
    for (const hlbuf_open_result& result : results) {
      absl::StrAppend(&words, words.empty() ? "" : " ",
                      result.buffer == nullptr ? hlbuf_error_name(result.error.code)
                                               : absl::StrCat(buffers_.size()));
      if (result.buffer != nullptr) buffers_.push_back(result.buffer);
    }
    return Done(words);
  }

  // library-share|library-unshare ID uid|gid NUMBER
  Outcome Share(Step& step) {
    const auto ask = step.Word(0) == "library-share" ? hlbuf_share : hlbuf_unshare;
    const auto kind = step.Word(2) == "gid" ? HLBUF_GRANTEE_GID : HLBUF_GRANTEE_UID;
    return ask(client_, step.Number(1), kind, static_cast<std::uint32_t>(step.Number(3)),
               &error_) == HLBUF_OK
               ? Done()
               : Refused();
  }

  // library-release PLACE
  Outcome Release(Step& step) {
    hlbuf_buffer_release(std::exchange(buffers_.at(step.Number(1)), nullptr));
    return Done();
  }

  // library-on-revoke release|keep
  Outcome SetAnswer(Step& step) {
    answer_ = step.Word(1) == "keep" ? HLBUF_REVOKE_KEEP : HLBUF_REVOKE_RELEASE;
    return Done();
  }

  // library-dispatch MS: a line for each notice that came; "revoke ID REASON MS" has the time left
  Outcome Dispatch(Step& step) {
    notices_.clear();
    const int result = hlbuf_dispatch(client_, step.Int(1), &error_);
    return result == HLBUF_OK || !notices_.empty() ? Done("", notices_) : Refused();
  }

 private:
  static hlbuf_revoke_answer OnRevoke(void* self, const hlbuf_revocation* r) {
    auto* user = static_cast<LibraryUser*>(self);
    absl::StrAppend(&user->notices_, "revoke ", r->buffer_id, " ",
                    hlbuf_revoke_reason_name(r->reason), " ", MsUntil(r->deadline_boottime_ns),
                    "\n");
    return user->answer_;
  }
  static void OnDevice(void* self, const hlbuf_device_event* event) {
    absl::StrAppend(&static_cast<LibraryUser*>(self)->notices_, "device ", event->device, " ",
                    hlbuf_device_state_name(event->state), " ", event->epoch, "\n");
  }
  static void OnGoodbye(void* self, const hlbuf_goodbye* goodbye) {
    absl::StrAppend(&static_cast<LibraryUser*>(self)->notices_, "goodbye ",
                    hlbuf_goodbye_reason_name(goodbye->reason), " ", goodbye->text, "\n");
  }

  // PLACE FD ID LEASE BYTES EPOCH
  Outcome Keep(hlbuf_buffer* buffer) {
    buffers_.push_back(buffer);
    return Done(absl::StrCat(buffers_.size() - 1, " ", hlbuf_buffer_fd(buffer), " ",
                             hlbuf_buffer_id(buffer), " ", hlbuf_buffer_lease_id(buffer), " ",
                             hlbuf_buffer_size_bytes(buffer), " ", hlbuf_buffer_epoch(buffer)));
  }
  Outcome Refused() const {
    return Failed(absl::StrCat(hlbuf_error_name(error_.code), " ", error_.text));
  }

  hlbuf_client* client_ = nullptr;
  hlbuf_error error_ = {};
  hlbuf_revoke_answer answer_ = HLBUF_REVOKE_RELEASE;
  std::string device_;
  std::vector<hlbuf_buffer*> buffers_;
  std::string notices_;
};

}  // namespace

void AddLibrarySteps(StepTable& table) {
  const auto user = std::make_shared<LibraryUser>();
  const auto add = [&](const char* name, Outcome (LibraryUser::*step)(Step&)) {
    table[name] = [user, step](Step& s) { return (user.get()->*step)(s); };
  };
  add("library-connect", &LibraryUser::Connect);
  add("library-close", &LibraryUser::Close);
  add("library-use-device", &LibraryUser::UseDevice);
  add("library-set-timeout", &LibraryUser::SetTimeout);
  add("library-allocate", &LibraryUser::Allocate);
  add("library-allocate-waiting", &LibraryUser::Allocate);
  add("library-allocate-many", &LibraryUser::AllocateMany);
  add("library-start-thread", &LibraryUser::StartThread);
  add("library-fd", &LibraryUser::Fd);
  add("library-is-current", &LibraryUser::IsCurrent);
  add("library-release-all", &LibraryUser::ReleaseAll);
  add("library-open-id", &LibraryUser::OpenId);
  add("library-open-name", &LibraryUser::OpenName);
  add("library-open-many", &LibraryUser::OpenMany);
  add("library-share", &LibraryUser::Share);
  add("library-unshare", &LibraryUser::Share);
  add("library-release", &LibraryUser::Release);
  add("library-on-revoke", &LibraryUser::SetAnswer);
  add("library-dispatch", &LibraryUser::Dispatch);
}

}  // namespace hlbuf

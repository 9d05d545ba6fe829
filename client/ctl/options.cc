// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/options.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/ctl/enum_names.h"

namespace hlbuf::ctl {
namespace {

// Negative for what is no duration.
absl::Duration ReadDuration(const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration == absl::InfiniteDuration())
    return -absl::InfiniteDuration();
  return duration;
}

std::string CheckDuration(const std::string& text) {
  if (ReadDuration(text) >= absl::ZeroDuration()) return "";
  return absl::StrCat("'", text, "' is no duration; write 0, 500ms, 10s or 1m30s");
}

}  // namespace

void AddStates(CLI::App& command, const google::protobuf::EnumDescriptor& states,
               const std::function<void(int)>& add) {
  const std::string names = absl::StrJoin(ShortNames(states), ", ");
  command
      .add_option_function<std::vector<std::string>>(
          "--state",
          [add, &states](const std::vector<std::string>& given) {
            for (const std::string& name : given) add(*ValueOf(states, name));
          },
          absl::StrCat("in any of these states: ", names))
      ->type_name("STATE[,STATE]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check([&states, names](const std::string& name) -> std::string {
        if (ValueOf(states, name).has_value()) return "";
        return absl::StrCat("'", name, "' is no state; one of ", names);
      });
}

CLI::Option* AddText(CLI::App& command, const std::string& names, const std::string& type,
                     const std::function<void(const std::string&)>& set,
                     const std::string& description) {
  return command.add_option_function<std::string>(names, set, description)->type_name(type);
}

CLI::Option* AddUid(CLI::App& command, const std::string& names,
                    const std::function<void(std::uint32_t)>& set, const std::string& description) {
  return command.add_option_function<std::uint32_t>(names, set, description)->type_name("UID");
}

void AddGrace(CLI::App& command, const std::function<google::protobuf::Duration*()>& grace,
              const std::string& otherwise) {
  AddText(
      command, "--grace", "DURATION",
      [grace](const std::string& text) {
        absl::Duration rest = ReadDuration(text);
        google::protobuf::Duration* const to = grace();
        to->set_seconds(absl::IDivDuration(rest, absl::Seconds(1), &rest));
        to->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
      },
      absl::StrCat("how long holders have to let go, such as 0, 500ms or 10s, at most 1h; ",
                   "when left out, ", otherwise))
      ->check(CheckDuration);
}

}  // namespace hlbuf::ctl

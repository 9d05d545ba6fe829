// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/options.h"

#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
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

std::optional<std::uint32_t> ReadNumber(const std::string& text) {
  std::uint32_t number = 0;
  if (!absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

}  // namespace

void Explain(CLI::App& command, const std::string& text) {
  command.footer(
      text +
      "\n\n`hl-bufctl --help` explains --socket, --server, --output, roles and the exit status.");
}

void AddValues(CLI::App& command, const std::string& noun, const std::string& description,
               const google::protobuf::EnumDescriptor& values,
               const std::function<void(int)>& add) {
  const std::string names = absl::StrJoin(ShortNames(values), ", ");
  const std::string type = absl::AsciiStrToUpper(noun);
  command
      .add_option_function<std::vector<std::string>>(
          absl::StrCat("--", noun),
          [add, &values](const std::vector<std::string>& given) {
            for (const std::string& name : given) add(*ValueOf(values, name));
          },
          absl::StrCat(description, ": ", names))
      ->type_name(absl::StrCat(type, "[,", type, "]"))
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check([&values, noun, names](const std::string& name) -> std::string {
        if (ValueOf(values, name).has_value()) return "";
        return absl::StrCat("'", name, "' is no ", noun, "; one of ", names);
      });
}

CLI::Option* AddText(CLI::App& command, const std::string& names, const std::string& type,
                     const std::function<void(const std::string&)>& set,
                     const std::string& description) {
  return command.add_option_function<std::string>(names, set, description)->type_name(type);
}

CLI::Option* AddName(CLI::App& command, const std::string& names, const std::string& type,
                     const std::function<void(const std::string&)>& set,
                     const std::string& description) {
  return AddText(command, names, type, set, description)
      ->check([](const std::string& text) -> std::string {
        return text.empty() ? "it is empty, and names nothing" : "";
      });
}

CLI::Option* AddNumber(CLI::App& command, const std::string& names, const std::string& type,
                       const std::function<void(std::uint32_t)>& set,
                       const std::string& description) {
  return AddText(
             command, names, type, [set](const std::string& text) { set(*ReadNumber(text)); },
             description)
      ->check([type](const std::string& text) -> std::string {
        if (ReadNumber(text).has_value()) return "";
        return absl::StrCat("'", text, "' is no ", absl::AsciiStrToLower(type),
                            "; give it as a number");
      });
}

CLI::Option* AddUid(CLI::App& command, const std::string& names,
                    const std::function<void(std::uint32_t)>& set, const std::string& description) {
  return AddNumber(command, names, "UID", set, description);
}

void AddDuration(CLI::App& command, const std::string& names,
                 const std::function<void(absl::Duration)>& set, const std::string& description) {
  AddText(
      command, names, "DURATION", [set](const std::string& text) { set(ReadDuration(text)); },
      description)
      ->check(CheckDuration);
}

void SetDuration(absl::Duration from, google::protobuf::Duration& to) {
  to.set_seconds(absl::IDivDuration(from, absl::Seconds(1), &from));
  to.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(from)));
}

void AddGrace(CLI::App& command, const std::function<google::protobuf::Duration*()>& grace,
              const std::string& otherwise) {
  AddDuration(
      command, "--grace", [grace](absl::Duration given) { SetDuration(given, *grace()); },
      absl::StrCat("how long holders have to let go, such as 0, 500ms or 10s, at most 1h; ",
                   "when left out, ", otherwise));
}

}  // namespace hlbuf::ctl

// SPDX-License-Identifier: Apache-2.0
// Options that several commands have. Each is wrong usage when its value is.
#ifndef HLBUF_CLIENT_CTL_OPTIONS_H_
#define HLBUF_CLIENT_CTL_OPTIONS_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/time.h"

namespace hlbuf::ctl {

// What --help says of a command below its options.
void Explain(CLI::App& command, const std::string& text);

// --NOUN NOUN[,NOUN...], by the short names of the enum's values; `add` gets each.
void AddValues(CLI::App& command, const std::string& noun, const std::string& description,
               const google::protobuf::EnumDescriptor& values, const std::function<void(int)>& add);
template <class Enum>
void AddValues(CLI::App& command, const std::string& noun, const std::string& description,
               const std::function<void(Enum)>& add) {
  AddValues(command, noun, description, *google::protobuf::GetEnumDescriptor<Enum>(),
            [add](int value) { add(static_cast<Enum>(value)); });
}
// --state
template <class Enum>
void AddStates(CLI::App& command, const std::function<void(Enum)>& add) {
  AddValues(command, "state", "in any of these states", add);
}

// An option whose value goes to `set`.
CLI::Option* AddText(CLI::App& command, const std::string& names, const std::string& type,
                     const std::function<void(const std::string&)>& set,
                     const std::string& description);
// The same for what is no name or id when it is empty.
CLI::Option* AddName(CLI::App& command, const std::string& names, const std::string& type,
                     const std::function<void(const std::string&)>& set,
                     const std::string& description);
// A number of 32 bits.
CLI::Option* AddNumber(CLI::App& command, const std::string& names, const std::string& type,
                       const std::function<void(std::uint32_t)>& set,
                       const std::string& description);
CLI::Option* AddUid(CLI::App& command, const std::string& names,
                    const std::function<void(std::uint32_t)>& set, const std::string& description);

// A duration, zero or more.
void AddDuration(CLI::App& command, const std::string& names,
                 const std::function<void(absl::Duration)>& set, const std::string& description);
void SetDuration(absl::Duration from, google::protobuf::Duration& to);
// --grace DURATION. `grace` is called, to get where the value goes, only when the option is given.
void AddGrace(CLI::App& command, const std::function<google::protobuf::Duration*()>& grace,
              const std::string& otherwise);

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_OPTIONS_H_

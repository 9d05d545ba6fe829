// SPDX-License-Identifier: Apache-2.0
// The kinds of values that a configuration has.
#ifndef HLBUF_DAEMON_CONFIG_VALUES_H_
#define HLBUF_DAEMON_CONFIG_VALUES_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "daemon/base/inet_address.h"
#include "daemon/config_reader.h"
#include "daemon/machine.h"

namespace hlbuf {

// Digits, then nothing for bytes, or KiB, MiB, GiB, TiB. nullopt: something else, or 2^63 and more.
std::optional<std::uint64_t> ParseSize(absl::string_view text);
// The reverse, with the largest unit that leaves no rest.
std::string SizeText(std::uint64_t bytes);

ValueKind<bool> Boolean();
ValueKind<std::uint64_t> CountFrom(std::uint64_t min, std::uint64_t max);
// A number of bytes, or a string for ParseSize().
ValueKind<std::uint64_t> SizeFrom(std::uint64_t min, std::uint64_t max);
// A string for absl::ParseDuration().
ValueKind<absl::Duration> DurationFrom(absl::Duration min, absl::Duration max);
// A name of core/names.h.
ValueKind<std::string> Name();
// A file name without directory.
ValueKind<std::string> FileName();
// Of one function of a device, with its domain: "0000:19:00.0". As sysfs has it: in lower case.
ValueKind<std::string> PciAddress();
ValueKind<std::string> AbsolutePath();
// A numeric address and a port.
ValueKind<std::optional<InetAddress>> ListenAddress();
// The common name of a certificate, or a URI of its alternative names.
ValueKind<std::string> CertificateName();
// Where a unix socket can be, and is protected by its directory.
ValueKind<std::string> SocketPath();
// Octal, of reading and writing, which is what sockets look at.
ValueKind<mode_t> SocketMode();
ValueKind<uid_t> UserId();
// A group that exists, or a number.
ValueKind<gid_t> Group(const Machine& machine);

// Complains of those of `keys` that are there, lists of users or groups, where this process does
// not see users and groups as its host does.
void ForbidForeignIds(TableReader& table, const Machine& machine,
                      const std::vector<absl::string_view>& keys);

template <class T>
ValueKind<T> OneOf(std::vector<std::pair<std::string, T>> words) {
  const auto quoted = [](std::string* out, const std::pair<std::string, T>& word) {
    absl::StrAppend(out, "\"", word.first, "\"");
  };
  std::string expected = words.empty() ? "nothing, for there is none" : "";
  absl::StrAppend(&expected, words.size() > 1 ? "one of " : "", absl::StrJoin(words, ", ", quoted));
  return {.expected = std::move(expected),
          .parse = [words = std::move(words)](const toml::node& node) -> std::optional<T> {
            const auto* text = node.as_string();
            for (const auto& [word, value] : words)
              if (text != nullptr && text->get() == word) return value;
            return std::nullopt;
          }};
}

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CONFIG_VALUES_H_

// SPDX-License-Identifier: Apache-2.0
#include "daemon/config_values.h"

#include <sys/un.h>

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "daemon/core/names.h"
#include "daemon/core/peer.h"

namespace hlbuf {
namespace {

struct Unit {
  absl::string_view suffix;
  int shift;
};
constexpr std::array kUnits = {Unit{"TiB", 40}, Unit{"GiB", 30}, Unit{"MiB", 20}, Unit{"KiB", 10}};

constexpr std::uint32_t kIdMax = UINT32_MAX - 1;  // the highest number means "none"

bool IsPrintable(absl::string_view text) { return Printable(text, text.size()) == text; }

// `parse` gets the text of a string; anything else is refused.
template <class T, class Parse>
ValueKind<T> Text(std::string expected, Parse parse) {
  return {.expected = std::move(expected), .parse = [parse](const toml::node& node) {
            const auto* text = node.as_string();
            return text != nullptr ? parse(text->get()) : std::optional<T>();
          }};
}

std::optional<std::uint64_t> Integer(const toml::node& node) {
  const auto* integer = node.as_integer();
  if (integer == nullptr || integer->get() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(integer->get());
}

template <class T>
std::optional<T> Within(std::optional<T> value, T min, T max) {
  return value.has_value() && *value >= min && *value <= max ? value : std::nullopt;
}

// Nobody's id matches nobody.
std::optional<std::uint32_t> Id(const toml::node& node) {
  const auto id = Within<std::uint64_t>(Integer(node), 0, kIdMax);
  if (!id.has_value() || *id == kNobodyUid) return std::nullopt;
  return static_cast<std::uint32_t>(*id);
}

std::string IdRange() { return absl::StrCat("0 to ", kIdMax, " except ", kNobodyUid, " (nobody)"); }

}  // namespace

std::optional<std::uint64_t> ParseSize(absl::string_view text) {
  int shift = 0;
  for (const Unit& unit : kUnits)
    if (absl::ConsumeSuffix(&text, unit.suffix)) {
      shift = unit.shift;
      break;
    }
  std::uint64_t number = 0;
  const bool digits =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || !absl::SimpleAtoi(text, &number) || number > (std::uint64_t{INT64_MAX} >> shift))
    return std::nullopt;
  return number << shift;
}

std::string SizeText(std::uint64_t bytes) {
  for (const Unit& unit : kUnits)
    if (bytes > 0 && bytes % (std::uint64_t{1} << unit.shift) == 0)
      return absl::StrCat(bytes >> unit.shift, unit.suffix);
  return absl::StrCat(bytes);
}

ValueKind<bool> Boolean() {
  return {.expected = "true or false",
          .parse = [](const toml::node& node) { return node.value_exact<bool>(); }};
}

ValueKind<std::uint64_t> CountFrom(std::uint64_t min, std::uint64_t max) {
  return {.expected = absl::StrCat("a number from ", min, " to ", max),
          .parse = [min, max](const toml::node& node) { return Within(Integer(node), min, max); }};
}

ValueKind<std::uint64_t> SizeFrom(std::uint64_t min, std::uint64_t max) {
  return {.expected = absl::StrCat("a size from ", SizeText(min), " to ", SizeText(max),
                                   ", in bytes or as in \"16GiB\""),
          .parse = [min, max](const toml::node& node) {
            const auto* text = node.as_string();
            return Within(text != nullptr ? ParseSize(text->get()) : Integer(node), min, max);
          }};
}

ValueKind<absl::Duration> DurationFrom(absl::Duration min, absl::Duration max) {
  return Text<absl::Duration>(absl::StrCat("a duration from ", absl::FormatDuration(min), " to ",
                                           absl::FormatDuration(max), ", as in \"1.5s\""),
                              [min, max](const std::string& text) {
                                absl::Duration duration;
                                if (!absl::ParseDuration(text, &duration))
                                  return std::optional<absl::Duration>();
                                return Within<absl::Duration>(duration, min, max);
                              });
}

ValueKind<std::string> Name() {
  return Text<std::string>(absl::StrCat("1 to ", kNameBytesMax, " characters of [A-Za-z0-9._/-]"),
                           [](const std::string& text) {
                             return CheckName("name", text).ok() ? std::optional(text)
                                                                 : std::nullopt;
                           });
}

ValueKind<std::string> FileName() {
  return Text<std::string>("a file name without directory", [](const std::string& text) {
    const bool good = !text.empty() && text.size() <= kNameBytesMax && IsPrintable(text) &&
                      text.find('/') == std::string::npos && text != "." && text != "..";
    return good ? std::optional(text) : std::nullopt;
  });
}

ValueKind<std::string> PciAddress() {
  return Text<std::string>(
      "a PCI address with its domain, as `lspci -D` shows it: \"0000:19:00.0\"",
      [](const std::string& text) -> std::optional<std::string> {
        constexpr absl::string_view kForm = "xxxx:xx:xx.x";
        bool good = text.size() == kForm.size();
        for (std::size_t i = 0; good && i < kForm.size(); ++i)
          good = kForm[i] == 'x' ? absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))
                                 : text[i] == kForm[i];
        return good ? std::optional(absl::AsciiStrToLower(text)) : std::nullopt;
      });
}

ValueKind<std::string> AbsolutePath() {
  return {.expected = "an absolute path",
          .parse = [](const toml::node& node) -> std::optional<std::string> {
            const auto* text = node.as_string();
            if (text == nullptr || !absl::StartsWith(text->get(), "/") ||
                text->get().find('\0') != std::string::npos)
              return std::nullopt;
            return text->get();
          }};
}

ValueKind<std::optional<InetAddress>> ListenAddress() {
  return Text<std::optional<InetAddress>>(
      "a numeric address and a port, as in \"127.0.0.1:9443\" or \"[::1]:9443\"",
      [](const std::string& text) -> std::optional<std::optional<InetAddress>> {
        const std::optional<InetAddress> address = InetAddress::Parse(text);
        if (!address.has_value()) return std::nullopt;
        return address;
      });
}

ValueKind<std::string> CertificateName() {
  constexpr std::size_t kBytesMax = 255;
  return Text<std::string>(
      absl::StrCat("the common name of a certificate, or a URI of its alternative names, as in "
                   "\"spiffe://example.org/operator\": 1 to ",
                   kBytesMax, " printable characters"),
      [](const std::string& text) {
        const bool good = !text.empty() && text.size() <= kBytesMax && IsPrintable(text);
        return good ? std::optional(text) : std::nullopt;
      });
}

ValueKind<std::string> SocketPath() {
  constexpr std::size_t kPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;
  return Text<std::string>(
      absl::StrCat(
          "an absolute path of at most ", kPathBytesMax,
          " printable characters; an abstract name (@) would have no directory to protect it"),
      [](const std::string& text) {
        const bool good = text.size() > 1 && text.size() <= kPathBytesMax && text.front() == '/' &&
                          text.back() != '/' && IsPrintable(text);
        return good ? std::optional(text) : std::nullopt;
      });
}

ValueKind<mode_t> SocketMode() {
  constexpr std::uint32_t kOwner = 0600, kAll = 0666;
  return Text<mode_t>("a string of octal digits, \"0600\" to \"0666\"",
                      [](const std::string& text) -> std::optional<mode_t> {
                        std::uint32_t mode = 0;
                        const bool octal = text.size() == 4 &&
                                           text.find_first_not_of("01234567") == std::string::npos;
                        for (const char digit : octal ? text : "")
                          mode = mode * 8 + static_cast<std::uint32_t>(digit - '0');
                        if ((mode & kOwner) != kOwner || (mode & ~kAll) != 0) return std::nullopt;
                        return mode;
                      });
}

ValueKind<uid_t> UserId() {
  return {.expected = absl::StrCat("a user id, ", IdRange()), .parse = Id};
}

ValueKind<gid_t> Group(const Machine& machine) {
  return {.expected = absl::StrCat("a group of this system, by name or by number, ", IdRange()),
          .parse = [find = machine.find_group](const toml::node& node) {
            const auto* text = node.as_string();
            if (text == nullptr) return Id(node);
            // A byte 0 would end the name in the middle.
            const std::optional<gid_t> gid =
                IsPrintable(text->get()) ? find(text->get()) : std::nullopt;
            return gid != kNobodyUid ? gid : std::nullopt;
          }};
}

void ForbidForeignIds(TableReader& table, const Machine& machine,
                      const std::vector<absl::string_view>& keys) {
  if (machine.maps_all_ids) return;
  for (const absl::string_view key : keys)
    table.Forbid(
        key,
        "the service's user namespace leaves ids out (/proc/self/uid_map), so that users "
        "outside of it all look like nobody, and numbers are not the host's; run it in the "
        "host's user namespace, or leave the key out");
}

}  // namespace hlbuf

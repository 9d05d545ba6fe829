// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/p2pdma.h"

#include <fcntl.h>
#include <google/protobuf/io/gzip_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr const char* kOption = "CONFIG_PCI_P2PDMA";
constexpr std::size_t kConfigBytesMax = 4 << 20;

// What a kernel's configuration says of the option, line by line.
class OptionLines {
 public:
  bool See(absl::string_view line) {
    is_config_ = is_config_ || absl::StartsWith(line, "CONFIG_PCI=");
    if (absl::StartsWith(line, absl::StrCat(kOption, "=")) ||
        line == absl::StrCat("# ", kOption, " is not set"))
      found_ = std::string(line);
    return found_.empty();
  }
  // nullopt: this was no configuration, or only a part of one.
  std::optional<P2pdma> At(const std::string& path) const {
    if (absl::StartsWith(found_, kOption))
      return P2pdma{.on = absl::EndsWith(found_, "=y"), .source = absl::StrCat(path, ": ", found_)};
    if (found_.empty() && !is_config_) return std::nullopt;
    // What depends on options that are off is not even listed.
    return P2pdma{.on = false, .source = absl::StrCat(path, ": ", kOption, " is not set")};
  }

 private:
  bool is_config_ = false;
  std::string found_;
};

std::optional<P2pdma> FromConfig(const std::string& path) {
  OptionLines lines;
  (void)ForEachLine(path, [&](absl::string_view line) { return lines.See(line); });
  return lines.At(path);
}

std::optional<P2pdma> FromCompressedConfig(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  google::protobuf::io::FileInputStream file(fd);
  file.SetCloseOnDelete(true);
  google::protobuf::io::GzipInputStream unpacked(&file);
  std::string text;
  const void* part = nullptr;
  for (int size = 0; text.size() < kConfigBytesMax && unpacked.Next(&part, &size);)
    text.append(static_cast<const char*>(part), static_cast<std::size_t>(size));
  OptionLines lines;
  for (const absl::string_view line : absl::StrSplit(text, '\n'))
    if (!lines.See(line)) break;
  return lines.At(path);
}

// Names are there for everybody, addresses are not.
std::optional<P2pdma> FromSymbols(const std::string& path) {
  constexpr absl::string_view kSymbol = " T pci_p2pdma_distance_many";
  bool has_pci = false;
  bool has_p2p = false;
  (void)ForEachLine(path, [&](absl::string_view line) {
    has_pci = has_pci || absl::EndsWith(line, " T pci_enable_device");
    has_p2p = absl::EndsWith(line, kSymbol);
    return !has_p2p;
  });
  if (!has_p2p && !has_pci) return std::nullopt;
  return P2pdma{.on = has_p2p,
                .source = absl::StrCat(path, has_p2p ? " has" : " has no",
                                       " pci_p2pdma_distance_many: ", kOption, " is ",
                                       has_p2p ? "set" : "not set")};
}

}  // namespace

P2pdma ReadP2pdma(const Roots& roots, const std::string& kernel) {
  const std::string plain = absl::StrCat(roots.boot, "/config-", kernel);
  const std::string packed = roots.proc + "/config.gz";
  const std::string symbols = roots.proc + "/kallsyms";
  if (const auto found = FromConfig(plain)) return *found;
  if (const auto found = FromCompressedConfig(packed)) return *found;
  if (const auto found = FromSymbols(symbols)) return *found;
  return {.source = absl::StrCat("nothing tells: ", absl::StrJoin({plain, packed, symbols}, ", "),
                                 " are not there, or not readable")};
}

Finding JudgeP2pdma(const P2pdma& p2pdma, bool vendors_driver) {
  Finding finding{.check = "p2pdma", .evidence = p2pdma.source};
  if (!p2pdma.on) {
    finding.remedy = "install the package that has this kernel's configuration in /boot";
  } else if (*p2pdma.on) {
    finding.verdict = Verdict::kOk;
  } else {
    finding.verdict = vendors_driver ? Verdict::kWarning : Verdict::kProblem;
    absl::StrAppend(&finding.evidence,
                    vendors_driver
                        ? "; the vendor's driver does not ask for it, importers may"
                        : "; exports succeed, and every import by a NIC fails with EPERM");
    finding.remedy =
        "run a kernel with CONFIG_PCI_P2PDMA=y; Debian's has it off: build one, or take another "
        "distribution's";
  }
  return finding;
}

}  // namespace hlbuf::ctl::doctor

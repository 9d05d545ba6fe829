// SPDX-License-Identifier: Apache-2.0
// What hl-bufd-holders reads as root, from whoever asks and from files in which others choose
// names; and what is read of its answers.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "daemon/holders/answer.h"
#include "daemon/holders/bufinfo.h"
#include "daemon/holders/proc_text.h"
#include "daemon/holders/question.h"
#include "daemon/holders/words.h"

namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "holders_fuzz: not so: %s\n", what);
  std::abort();
}

bool IsPrintable(std::string_view text) {
  for (const char c : text)
    if (c < ' ' || c > '~') return false;
  return true;
}

void CheckQuestion(std::string_view text) {
  const auto question = hlbuf::ParseQuestion(text);
  Check(!question || hlbuf::ParseQuestion(hlbuf::FormatQuestion(*question)) == question,
        "a question is read as it is written");
}

void CheckAnswer(std::string_view text) {
  const auto answer = hlbuf::ParseAnswer(text);
  if (!answer) return;
  const std::string written = hlbuf::FormatAnswer(*answer);
  const auto again = hlbuf::ParseAnswer(written);
  Check(again.has_value(), "what is written can be read");
  Check(hlbuf::FormatAnswer(*again) == written, "an answer is read as it is written");
}

void CheckProc(std::string_view text) {
  static_cast<void>(hlbuf::ParseFdinfo(text));
  static_cast<void>(hlbuf::ParseStat(text));
  static_cast<void>(hlbuf::ParseStatusUid(text));
  Check(IsPrintable(hlbuf::CommandOf(text)), "commands are printable");
  for (std::string_view rest = text; !rest.empty();)
    static_cast<void>(hlbuf::ParseMapsLine(hlbuf::TakeUntil(rest, '\n')));
  hlbuf::BufinfoReader bufinfo({12, 17, 1234567890});
  for (std::string_view rest = text; !rest.empty();) bufinfo.Read(hlbuf::TakeUntil(rest, '\n'));
  for (const auto& [inode, entry] : bufinfo.objects())
    for (const std::string& name : entry.attached) Check(IsPrintable(name), "names are printable");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  CheckQuestion(text);
  CheckAnswer(text);
  CheckProc(text);
  return 0;
}

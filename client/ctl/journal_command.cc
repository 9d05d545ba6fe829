// SPDX-License-Identifier: Apache-2.0
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/ctl/commands.h"
#include "client/ctl/connection.h"
#include "client/ctl/console.h"
#include "client/ctl/installed_program.h"
#include "client/ctl/listener_process.h"
#include "client/ctl/options.h"

namespace hlbuf::ctl {
namespace {

constexpr const char* kName = "hl-bufd-journal";

constexpr const char* kJournal =
    R"(Looks into the journal: what hl-bufd has written down for its next life. Only reads, also
while the service writes; asks no service.

Without FILE or PID it is the journal of who serves at --socket. PID is that of an hl-bufd, FILE the
file "journal" of its state.directory, or one that was set aside ("journal.bad-1"); a file whose
name is a number is ./NUMBER. Run it as root, or as the user of the service.

It asks hl-bufd-journal, which it finds beside itself, where that is installed, or by --program.)";

constexpr const char* kVerify =
    R"(Says which version wrote it, in which boot of the machine, what records it has, how many
slots are damaged, and whether all fits together: the service takes nothing of a journal that does
not. Records that belong to nothing are no damage: who is killed between two writes leaves some.

Exit status 1 when it is not consistent, or cannot be read.)";

constexpr const char* kDump =
    R"(Shows the devices, sessions, buffers, leases and revocations of it, and how long the notes
are that devices have. Times are since the machine was started.

Exit status 1 when it is not consistent, or cannot be read.)";

struct Question {
  std::string verb;
  std::string where;    // a file or a pid; empty: of who serves
  std::string program;  // empty: to be found
};

ExitCode Fail(ExitCode code, const std::string& text) {
  PrintError(text);
  return code;
}

// With the rights of this process and an empty environment, never through a shell. It writes to
// the same output, and names itself as this program does.
ExitCode Run(const std::string& program, std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  char* environment[] = {nullptr};
  pid_t child = -1;
  const int error =
      ::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), environment);
  if (error != 0) return Fail(ExitCode::kFailed, absl::StrCat(program, ": ", std::strerror(error)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status))
    return Fail(ExitCode::kFailed, absl::StrCat(program, " was ended by a signal"));
  return WEXITSTATUS(status) == 0 ? ExitCode::kOk : ExitCode::kFailed;
}

ExitCode LookIntoJournal(const Invocation& invocation, Question question) {
  if (!IsHere(invocation, "journal")) return ExitCode::kBadUsage;
  if (question.program.empty()) question.program = FindInstalledProgram(kName);
  if (question.program.empty())
    return Fail(ExitCode::kFailed, absl::StrCat("there is no ", kName, "; name it by --program"));
  if (question.where.empty()) {
    const std::optional<ListenerProcess> listener = FindListener(invocation.socket);
    if (!listener)
      return Fail(ExitCode::kUnreachable,
                  absl::StrCat("nobody serves at ", invocation.socket,
                               "; name another by --socket, a file, or the pid of hl-bufd"));
    question.where = std::to_string(listener->pid);
  }
  return Run(question.program,
             {"hl-bufctl", question.verb, "--output",
              invocation.output == Output::kJson ? "json" : "table", question.where});
}

void AddVerb(CLI::App& journal, Invocation& invocation, const std::string& verb,
             const std::string& description, const std::string& text) {
  CLI::App& command = *journal.add_subcommand(verb, description);
  Explain(command, text);
  const auto question = std::make_shared<Question>(Question{.verb = verb});
  AddName(
      command, "FILE|PID", "", [question](auto& where) { question->where = where; },
      "whose journal; default: of the service at --socket")
      ->check([](const std::string& where) -> std::string {
        return where.starts_with('-') ? "it is no file and no pid" : "";
      });
  AddText(
      command, "--program", "PATH", [question](auto& path) { question->program = path; },
      "hl-bufd-journal, if it is elsewhere");
  command.callback([&invocation, question] {
    invocation.run = [question](const Invocation& asked) {
      return LookIntoJournal(asked, *question);
    };
  });
}

}  // namespace

void AddJournalCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& journal = *app.add_subcommand(
      "journal", "Look into what the service has written down for its next life.");
  Explain(journal, kJournal);
  journal.require_subcommand(1);
  AddVerb(journal, invocation, "dump", "Show what is in a journal.", kDump);
  AddVerb(journal, invocation, "verify", "Say whether a journal is consistent.", kVerify);
}

}  // namespace hlbuf::ctl

// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_CORE_TRANSITION_H_
#define HLBUF_DAEMON_CORE_TRANSITION_H_

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>

namespace hlbuf {

// One row of a state machine. A machine is a constexpr table of them: code asks it, tests walk it,
// documents print it.
template <class State, class Event>
struct Transition {
  State from;
  Event on;
  State to;
};

// nullopt: `on` means nothing in `from`.
template <class State, class Event>
constexpr std::optional<State> NextIn(std::span<const Transition<State, Event>> table, State from,
                                      Event on) {
  for (const auto& row : table)
    if (row.from == from && row.on == on) return row.to;
  return std::nullopt;
}

// For transitions that this code itself decided on: one that the table does not have is a bug of
// ours, not of a peer.
template <class State>
State Checked(std::optional<State> next) {
  if (next.has_value()) return *next;
  std::fputs("hl-bufd: a state machine was given an event that its table does not allow\n", stderr);
  std::abort();
}

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_CORE_TRANSITION_H_

// SPDX-License-Identifier: Apache-2.0
// For tests: a notebook that the next process could read.
#ifndef HLBUF_DAEMON_DEVICE_RECORDED_NOTES_H_
#define HLBUF_DAEMON_DEVICE_RECORDED_NOTES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "daemon/device/notebook.h"

namespace hlbuf {

class RecordedNotes final : public Notebook {
 public:
  void Write(DeviceNote note) override {
    ++writes;
    if (note.bytes.empty())
      notes.erase(note.key);
    else
      notes[note.key] = std::move(note.bytes);
    if (written) written();
  }
  bool WriteAhead(DeviceNote note) override {
    if (stops) return false;
    Write(std::move(note));
    if (ahead) ahead();
    return true;
  }
  std::vector<DeviceNote> all() const {
    std::vector<DeviceNote> all;
    for (const auto& [key, bytes] : notes) all.push_back({.key = key, .bytes = bytes});
    return all;
  }

  std::map<std::uint64_t, std::string> notes;  // by key
  int writes = 0;
  bool stops = false;
  std::function<void()> written;  // called after each
  std::function<void()> ahead;    // called when one was written ahead
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_RECORDED_NOTES_H_

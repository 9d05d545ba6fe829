// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_DAEMON_DEVICE_KEEPER_STORE_H_
#define HLBUF_DAEMON_DEVICE_KEEPER_STORE_H_

#include <string>

#include "proto/wire/unique_fd.h"

namespace hlbuf {

// Where connections to keepers outlive this process: the next one takes them out again. A keeper
// lives as long as its connection does. Any thread; may block. This one keeps nothing.
class KeeperStore {
 public:
  virtual ~KeeperStore() = default;
  // Keeps a duplicate of a connection under a name of [A-Za-z0-9._-], in the place of what is there
  // by that name. What cannot be kept is told to people, for the service works without.
  virtual void Put(const std::string& /*name*/, UniqueFd /*connection*/) {}
  // What is kept by that name has ended, or will.
  virtual void Remove(const std::string& /*name*/) {}
  // A duplicate of what an earlier process put there, until the next Put() or Remove(): a keeper
  // that was too busy to answer is asked again. No descriptor: there is none.
  virtual UniqueFd Take(const std::string& /*name*/) { return UniqueFd(); }
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_KEEPER_STORE_H_

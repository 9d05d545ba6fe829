// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_STOP_SIGNALS_H_
#define HLBUF_CLIENT_CTL_STOP_SIGNALS_H_

namespace hlbuf::ctl {

// While it lives SIGINT and SIGTERM make fd() readable and do nothing else, in this thread and in
// those that it starts: make it before gRPC starts any.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // -1 when there is none for want of descriptors: then a signal ends the program as usual.
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace hlbuf::ctl

#endif  // HLBUF_CLIENT_CTL_STOP_SIGNALS_H_

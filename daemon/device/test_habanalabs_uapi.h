// SPDX-License-Identifier: Apache-2.0
// For habanalabs_uapi_*test.cc, behind the driver's header of one kernel: whether our declarations
// are the same.
#ifndef HLBUF_DAEMON_DEVICE_TEST_HABANALABS_UAPI_H_
#define HLBUF_DAEMON_DEVICE_TEST_HABANALABS_UAPI_H_

#include "daemon/device/habanalabs_uapi.h"

#define SAME_PLACE(our_type, our, their_type, their)                      \
  static_assert(offsetof(our_type, our) == offsetof(their_type, their) && \
                sizeof(std::declval<our_type>().our) == sizeof(std::declval<their_type>().their))
#define SAME_SIZE(our_type, their_type) static_assert(sizeof(our_type) == sizeof(their_type))
#define SAME_NUMBER(ours, theirs) \
  static_assert(static_cast<unsigned long>(ours) == static_cast<unsigned long>(theirs))

#endif  // HLBUF_DAEMON_DEVICE_TEST_HABANALABS_UAPI_H_

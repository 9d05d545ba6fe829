/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that carry descriptors, and refusals. */
#ifndef HLBUF_CLIENT_SRC_GRANTS_H_
#define HLBUF_CLIENT_SRC_GRANTS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/src/call.h"

/* call->into is a hlbuf_buffer**. */
enum hlbuf_took hlbuf_take_allocated(struct hlbuf_call* call, hlbuf_client* client);

/* call->into is one of these. */
struct hlbuf_open_outcome {
  hlbuf_open_result* results;
  size_t count;
};
enum hlbuf_took hlbuf_take_opened(struct hlbuf_call* call, hlbuf_client* client);

/* Gives back what an answer grants that nobody waits for any more. False when the frame is broken.
 */
bool hlbuf_grants_discard(hlbuf_client* client, uint16_t opcode);

/* Reads the ERROR in the client's packet; false when it is none that a daemon may send. `text` is
 * of the packet. */
bool hlbuf_take_refusal(const hlbuf_client* client, uint32_t* status, struct hlbuf_span* text);
void hlbuf_set_refusal(hlbuf_error* error, uint32_t status, struct hlbuf_span text);

#endif /* HLBUF_CLIENT_SRC_GRANTS_H_ */

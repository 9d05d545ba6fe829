/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "client/src/client.h"

static bool deliver_goodbye(hlbuf_client* client) {
  if (!client->notices.goodbye) return false;
  client->notices.goodbye = false;
  if (client->callbacks.on_goodbye == NULL) return true;
  const hlbuf_goodbye goodbye = {.reason = client->goodbye_reason,
                                 .leases_kept = client->goodbye_leases_kept,
                                 .text = client->goodbye_text};
  pthread_mutex_unlock(&client->lock);
  client->callbacks.on_goodbye(client->callbacks.context, &goodbye);
  pthread_mutex_lock(&client->lock);
  return true;
}

static bool deliver_service(hlbuf_client* client) {
  const uint32_t state = client->notices.service;
  if (client->notices.service_told == state) return false;
  client->notices.service_told = state;
  if (client->callbacks.on_service == NULL) return false;
  pthread_mutex_unlock(&client->lock);
  client->callbacks.on_service(client->callbacks.context, state);
  pthread_mutex_lock(&client->lock);
  return true;
}

static hlbuf_buffer* pop_revoked(struct hlbuf_notices* notices) {
  hlbuf_buffer* buffer = notices->first_revoked;
  if (buffer == NULL) return NULL;
  notices->first_revoked = buffer->next_revoked;
  if (notices->first_revoked == NULL) notices->last_revoked = NULL;
  buffer->queued = false;
  return buffer;
}

static enum hlbuf_revoke_answer ask(hlbuf_client* client, hlbuf_buffer* buffer) {
  if (client->callbacks.on_revoke == NULL) return HLBUF_REVOKE_KEEP;
  const hlbuf_revocation revocation = {.buffer = buffer,
                                       .buffer_id = buffer->buffer_id,
                                       .lease_id = buffer->lease_id,
                                       .reason = buffer->reason,
                                       .deadline_boottime_ns = buffer->deadline_boottime_ns};
  pthread_mutex_unlock(&client->lock);
  const enum hlbuf_revoke_answer answer =
      client->callbacks.on_revoke(client->callbacks.context, &revocation);
  pthread_mutex_lock(&client->lock);
  return answer;
}

/* The leases that one REVOKE names are given back by one RELEASE. */
static bool deliver_revocations(hlbuf_client* client) {
  struct hlbuf_parting parting;
  parting.count = 0;
  hlbuf_buffer* buffer = pop_revoked(&client->notices);
  if (buffer == NULL) return false;
  for (; buffer != NULL; buffer = pop_revoked(&client->notices)) {
    /* Not leased: the program was faster. */
    if (buffer->leased && ask(client, buffer) == HLBUF_REVOKE_RELEASE)
      hlbuf_parting_add(&parting, buffer);
    hlbuf_buffer_unref(buffer);
    if (parting.count == HLBUF_PARTING_MAX) hlbuf_parting_finish(&parting, client);
  }
  hlbuf_parting_finish(&parting, client);
  return true;
}

static bool deliver_event(hlbuf_client* client) {
  struct hlbuf_notices* notices = &client->notices;
  if (notices->event_count == 0) return false;
  const struct hlbuf_queued_event queued = notices->events[0];
  --notices->event_count;
  memmove(notices->events, notices->events + 1, notices->event_count * sizeof(notices->events[0]));
  const hlbuf_device_event event = {
      .device = queued.name, .state = queued.state, .epoch = queued.epoch};
  pthread_mutex_unlock(&client->lock);
  client->callbacks.on_device(client->callbacks.context, &event);
  pthread_mutex_lock(&client->lock);
  return true;
}

static void clear_wakeup(hlbuf_client* client) {
  uint64_t count;
  if (client->wake_set && read(client->wake_fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
    client->wake_set = false;
}

bool hlbuf_deliver(hlbuf_client* client) {
  bool any = false;
  while (deliver_service(client) || deliver_goodbye(client) || deliver_revocations(client) ||
         deliver_event(client))
    any = true;
  clear_wakeup(client);
  return any;
}

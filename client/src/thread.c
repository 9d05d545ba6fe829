/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>

#include "client/src/call.h"
#include "client/src/errors.h"

static void* run(void* argument) {
  hlbuf_client* client = argument;
  pthread_mutex_lock(&client->lock);
  while (!client->stopping && hlbuf_dispatch_until(client, HLBUF_NEVER, NULL) == HLBUF_OK) {
  }
  pthread_mutex_unlock(&client->lock);
  return NULL;
}

/* Signals are the program's business: the thread is born with all of them blocked. */
static int start(hlbuf_client* client) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int number = pthread_create(&client->thread, NULL, run, client);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (number == 0) (void)pthread_setname_np(client->thread, "hlbuf-notices");
  return number;
}

int hlbuf_client_start_thread(hlbuf_client* client, hlbuf_error* error) {
  if (hlbuf_is_forked(client)) return hlbuf_fail_forked(error);
  pthread_mutex_lock(&client->lock);
  int code = HLBUF_OK;
  if (!client->has_thread) {
    const int number = start(client);
    client->has_thread = number == 0;
    if (number != 0) code = hlbuf_fail_system(error, "pthread_create", number);
  }
  pthread_mutex_unlock(&client->lock);
  return code == HLBUF_OK ? hlbuf_succeed(error) : code;
}

void hlbuf_thread_stop(hlbuf_client* client) {
  if (!client->has_thread) return;
  pthread_mutex_lock(&client->lock);
  client->stopping = true;
  hlbuf_notices_announce(client);
  pthread_mutex_unlock(&client->lock);
  pthread_join(client->thread, NULL);
  client->has_thread = false;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens a buffer, prints the text in it, and holds it until it is asked back. */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "example.h"

static const char kUsage[] =
    "usage: hlbuf-consumer [--socket PATH] (--id ID | --name NAME [--owner UID])\n"
    "\n"
    "Opens a buffer by its id (hexadecimal), or by its name and its owner's uid (default: this\n"
    "user), prints the text in it, and holds it until a revocation, which it prints and obeys.\n";

struct wanted {
  uint64_t id;
  const char* name;
  uint32_t owner_uid;
};

struct state {
  char* memory;
  size_t bytes;
  int revoked;
};

static enum hlbuf_revoke_answer on_revoke(void* context, const hlbuf_revocation* revocation) {
  struct state* state = context;
  state->revoked = revocation->reason == HLBUF_REVOKE_SERVICE_GONE ? -1 : 1;
  print_revocation(revocation);
  munmap(state->memory, state->bytes);
  return HLBUF_REVOKE_RELEASE;
}

static void print_text(struct state* state, const hlbuf_buffer* buffer) {
  state->bytes = hlbuf_buffer_size_bytes(buffer);
  state->memory = mmap(NULL, state->bytes, PROT_READ, MAP_SHARED, hlbuf_buffer_fd(buffer), 0);
  if (state->memory == MAP_FAILED) {
    perror("mmap: this device's memory is not for the CPU");
    exit(1);
  }
  cpu_access(hlbuf_buffer_fd(buffer), DMA_BUF_SYNC_START, DMA_BUF_SYNC_READ);
  printf("%.*s\n", (int)strnlen(state->memory, state->bytes), state->memory);
  cpu_access(hlbuf_buffer_fd(buffer), DMA_BUF_SYNC_END, DMA_BUF_SYNC_READ);
}

static void run(const hlbuf_connect_options* connect, const struct wanted* wanted,
                struct state* state) {
  hlbuf_error error;
  hlbuf_client* client;
  hlbuf_buffer* buffer;
  if (hlbuf_connect(connect, &client, &error) != HLBUF_OK) die(&error);
  const int code = wanted->name != NULL
                       ? hlbuf_open_name(client, wanted->name, wanted->owner_uid, &buffer, &error)
                       : hlbuf_open_id(client, wanted->id, &buffer, &error);
  if (code != HLBUF_OK) die(&error);
  print_text(state, buffer);
  while (state->revoked == 0)
    if (hlbuf_dispatch(client, -1, &error) != HLBUF_OK) die(&error);
  hlbuf_buffer_release(buffer);
  if (state->revoked < 0 && hlbuf_dispatch(client, 0, &error) != HLBUF_OK) die(&error);
  hlbuf_client_close(client);
}

int main(int argc, char** argv) {
  static const struct option kOptions[] = {
      {"socket", required_argument, NULL, 's'}, {"id", required_argument, NULL, 'i'},
      {"name", required_argument, NULL, 'n'},   {"owner", required_argument, NULL, 'o'},
      {"help", no_argument, NULL, 'h'},         {0}};
  struct state state = {0};
  struct wanted wanted = {.owner_uid = HLBUF_OWNER_SELF};
  hlbuf_connect_options connect = {.struct_bytes = sizeof(connect),
                                   .client_name = "consumer",
                                   .callbacks = {.on_revoke = on_revoke, .context = &state}};
  for (int option; (option = getopt_long(argc, argv, "", kOptions, NULL)) != -1;) {
    switch (option) {
      case 's':
        connect.socket_path = optarg;
        break;
      case 'i':
        wanted.id = strtoull(optarg, NULL, 16);
        break;
      case 'n':
        wanted.name = optarg;
        break;
      case 'o':
        wanted.owner_uid = (uint32_t)strtoul(optarg, NULL, 10);
        break;
      default:
        fputs(kUsage, option == 'h' ? stdout : stderr);
        return option == 'h' ? 0 : 2;
    }
  }
  if ((wanted.id == 0) == (wanted.name == NULL) || optind != argc) {
    fputs(kUsage, stderr);
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  run(&connect, &wanted, &state);
  return 0;
}

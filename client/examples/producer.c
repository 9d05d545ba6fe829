/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocates a buffer, writes a text into it, and shares it as it is told on its input. */
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "example.h"

static const char kUsage[] =
    "usage: hlbuf-producer [--socket PATH] [--device NAME] [--size BYTES] --name NAME TEXT\n"
    "\n"
    "Allocates a buffer NAME, writes TEXT into it, prints its id, and waits.\n"
    "Commands on standard input:\n"
    "  share uid N    lets processes of uid N open it; also: share gid N, unshare ...\n"
    "  quit           releases it and ends; so does the end of the input\n"
    "A revocation is printed and obeyed, and ends the program.\n";

struct state {
  hlbuf_client* client;
  hlbuf_buffer* buffer;
  bool revoked;
  bool gone;
};

static enum hlbuf_revoke_answer on_revoke(void* context, const hlbuf_revocation* revocation) {
  struct state* state = context;
  state->revoked = true;
  print_revocation(revocation);
  return HLBUF_REVOKE_RELEASE; /* nothing is mapped any more */
}

static void on_goodbye(void* context, const hlbuf_goodbye* goodbye) {
  struct state* state = context;
  state->gone = true;
  fprintf(stderr, "%s: %s\n", hlbuf_goodbye_reason_name(goodbye->reason), goodbye->text);
}

static void write_text(const hlbuf_buffer* buffer, const char* text) {
  const size_t bytes = hlbuf_buffer_size_bytes(buffer);
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, hlbuf_buffer_fd(buffer), 0);
  if (memory == MAP_FAILED) {
    perror("mmap: this device's memory is not for the CPU");
    exit(1);
  }
  cpu_access(hlbuf_buffer_fd(buffer), DMA_BUF_SYNC_START, DMA_BUF_SYNC_WRITE);
  strncpy(memory, text, bytes - 1);
  cpu_access(hlbuf_buffer_fd(buffer), DMA_BUF_SYNC_END, DMA_BUF_SYNC_WRITE);
  munmap(memory, bytes);
}

/* False: quit. */
static bool obey(struct state* state, const char* line) {
  char verb[16], kind[8];
  uint32_t id;
  hlbuf_error error = {0};
  if (strcmp(line, "quit\n") == 0) return false;
  if (sscanf(line, "%15s %7s %" SCNu32, verb, kind, &id) != 3 ||
      (strcmp(kind, "uid") != 0 && strcmp(kind, "gid") != 0) ||
      (strcmp(verb, "share") != 0 && strcmp(verb, "unshare") != 0)) {
    printf("not understood: %s", line);
    return true;
  }
  const enum hlbuf_grantee_kind grantee = kind[0] == 'u' ? HLBUF_GRANTEE_UID : HLBUF_GRANTEE_GID;
  const uint64_t buffer = hlbuf_buffer_id(state->buffer);
  const int code = verb[0] == 's' ? hlbuf_share(state->client, buffer, grantee, id, &error)
                                  : hlbuf_unshare(state->client, buffer, grantee, id, &error);
  if (code == HLBUF_OK)
    printf("%sd with %s %" PRIu32 "\n", verb, kind, id);
  else
    printf("%s: %s\n", hlbuf_error_name(code), error.text);
  return true;
}

/* Until a command, a revocation or the end of the service ends it. */
static void serve(struct state* state) {
  hlbuf_error error;
  char line[128];
  struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                          {.fd = hlbuf_client_fd(state->client, &error), .events = POLLIN}};
  if (fds[1].fd < 0) die(&error);
  while (!state->revoked && !state->gone) {
    if (poll(fds, 2, -1) < 0) continue; /* a signal */
    if (fds[1].revents != 0) (void)hlbuf_dispatch(state->client, 0, NULL);
    if (fds[0].revents != 0 && (fgets(line, sizeof(line), stdin) == NULL || !obey(state, line)))
      return;
  }
}

struct arguments {
  hlbuf_connect_options connect;
  hlbuf_allocate_options allocate;
  const char* text;
};

/* Ends the program when they make no sense. */
static void read_arguments(int argc, char** argv, struct arguments* arguments) {
  static const struct option kOptions[] = {
      {"socket", required_argument, NULL, 's'}, {"device", required_argument, NULL, 'd'},
      {"size", required_argument, NULL, 'b'},   {"name", required_argument, NULL, 'n'},
      {"help", no_argument, NULL, 'h'},         {0}};
  for (int option; (option = getopt_long(argc, argv, "", kOptions, NULL)) != -1;) {
    switch (option) {
      case 's':
        arguments->connect.socket_path = optarg;
        break;
      case 'd':
        arguments->allocate.device = optarg;
        break;
      case 'b':
        arguments->allocate.size_bytes = strtoull(optarg, NULL, 10);
        break;
      case 'n':
        arguments->allocate.name = optarg;
        break;
      default:
        fputs(kUsage, option == 'h' ? stdout : stderr);
        exit(option == 'h' ? 0 : 2);
    }
  }
  if (arguments->allocate.name == NULL || optind != argc - 1) {
    fputs(kUsage, stderr);
    exit(2);
  }
  arguments->text = argv[optind];
}

int main(int argc, char** argv) {
  struct state state = {0};
  struct arguments arguments = {
      .connect = {.struct_bytes = sizeof(hlbuf_connect_options),
                  .client_name = "producer",
                  .callbacks = {.on_revoke = on_revoke,
                                .on_goodbye = on_goodbye,
                                .context = &state}},
      .allocate = {.struct_bytes = sizeof(hlbuf_allocate_options), .size_bytes = 4096}};
  read_arguments(argc, argv, &arguments);
  /* Lines go out as they are printed, and come in without a rest that poll() would not see. */
  setvbuf(stdout, NULL, _IOLBF, 0);
  setvbuf(stdin, NULL, _IONBF, 0);
  hlbuf_error error;
  if (hlbuf_connect(&arguments.connect, &state.client, &error) != HLBUF_OK) die(&error);
  if (hlbuf_allocate(state.client, &arguments.allocate, &state.buffer, &error) != HLBUF_OK)
    die(&error);
  write_text(state.buffer, arguments.text);
  printf("buffer %" PRIx64 "\n", hlbuf_buffer_id(state.buffer));
  serve(&state);
  hlbuf_buffer_release(state.buffer);
  hlbuf_client_close(state.client);
  return state.gone ? 1 : 0;
}

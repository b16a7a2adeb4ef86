// SPDX-License-Identifier: MIT
/* A small NBD server that is in the way of its client, each way under its name. Its disk has 64 KiB
 * and nothing on it.
 *
 * usage: helper_served MODE SOCKET IMAGE */
#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	OPTION_LIST = 3,
	OPTION_GO = 7,
	REPLY_ACK = 1,
	REPLY_SERVER = 2,
	REPLY_INFO = 3,
	COMMAND_WRITE = 1,
	COMMAND_END = 2,
	EXPORT_HAS_FLAGS = 1,
	EXPORT_IS_READ_ONLY = 2,
	EXPORT_FLUSHES = 4,
	DISK_BYTES = 65536,
	BYTES_MAX = 4096,
};

static const uint32_t unsupported = 0x80000001, unknown = 0x80000006;
static const char *mode;
static int client = -1;

static int is_mode(const char *name)
{
	return strcmp(mode, name) == 0;
}

/* Wait like an event loop. */
static void wait_for(int descriptor)
{
	struct pollfd wanted = { .fd = descriptor, .events = POLLIN };
	while (poll(&wanted, 1, -1) < 0)
		;
}

static void receive(void *to, size_t bytes)
{
	wait_for(client);
	if (recv(client, to, bytes, MSG_WAITALL) != (ssize_t)bytes)
		exit(9);
}

static void send_bytes(const void *from, size_t bytes)
{
	if (send(client, from, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
		exit(9);
}

/* Big-endian numbers, one behind the other. */
static uint8_t message[BYTES_MAX];
static size_t message_bytes;

static void put(uint64_t number, size_t bytes)
{
	uint64_t swapped = htobe64(number);
	memcpy(message + message_bytes, (const uint8_t *)&swapped + sizeof(swapped) - bytes, bytes);
	message_bytes += bytes;
}

static void send_message(void)
{
	send_bytes(message, message_bytes);
	message_bytes = 0;
}

static void begin_reply(uint32_t option, uint32_t type, uint32_t bytes)
{
	put(0x3e889045565a9, 8);
	put(option, 4);
	put(type, 4);
	put(bytes, 4);
}

static void list_export(const char *name)
{
	uint32_t bytes = (uint32_t)strlen(name);
	begin_reply(OPTION_LIST, REPLY_SERVER, 4 + bytes);
	put(bytes, 4);
	memcpy(message + message_bytes, name, bytes);
	message_bytes += bytes;
}

static void answer_list(void)
{
	list_export("disk");
	if (is_mode("two"))
		list_export("other");
	begin_reply(OPTION_LIST, REPLY_ACK, 0);
	send_message();
}

/* Returns 1 when the client got its export. */
static int answer_go(const uint8_t *data, uint32_t bytes)
{
	int is_named = bytes > 8 && memcmp(data + 4, "disk", 4) == 0;
	uint64_t flags = EXPORT_HAS_FLAGS | EXPORT_FLUSHES |
			 (is_mode("read-only") ? EXPORT_IS_READ_ONLY : 0);
	if ((is_mode("two") || is_mode("named")) && !is_named) {
		begin_reply(OPTION_GO, unknown, 0);
		send_message();
		return 0;
	}
	begin_reply(OPTION_GO, REPLY_INFO, 12);
	put(0, 2);
	put(is_mode("small") ? 512 : DISK_BYTES, 8);
	put(flags, 2);
	begin_reply(OPTION_GO, REPLY_ACK, 0);
	send_message();
	return 1;
}

static void greet(void)
{
	uint8_t header[16], data[BYTES_MAX];
	uint32_t option, bytes;
	put(0x4e42444d41474943, 8);
	put(0x49484156454f5054, 8);
	put(3, 2);
	send_message();
	receive(header, 4);
	for (;;) {
		receive(header, sizeof(header));
		memcpy(&option, header + 8, 4);
		memcpy(&bytes, header + 12, 4);
		option = be32toh(option);
		bytes = be32toh(bytes);
		if (bytes > sizeof(data))
			exit(9);
		if (bytes)
			receive(data, bytes);
		if (option == OPTION_GO) {
			if (answer_go(data, bytes))
				return;
		} else if (option == OPTION_LIST) {
			answer_list();
		} else {
			begin_reply(option, unsupported, 0);
			send_message();
		}
	}
}

static void stay(void)
{
	for (;;)
		wait_for(-1);
}

static void misbehave(void)
{
	if (is_mode("abort"))
		abort();
	if (is_mode("leave"))
		exit(7);
	if (is_mode("hang-up")) {
		close(client);
		stay();
	}
	if (is_mode("mute"))
		stay();
}

static void serve(void)
{
	uint8_t request[28], data[BYTES_MAX];
	uint16_t type;
	uint32_t bytes;
	uint64_t cookie;
	for (;;) {
		receive(request, sizeof(request));
		memcpy(&type, request + 6, 2);
		memcpy(&cookie, request + 8, 8);
		memcpy(&bytes, request + 24, 4);
		if (be16toh(type) == COMMAND_END)
			return;
		if (be16toh(type) == COMMAND_WRITE)
			receive(data, be32toh(bytes) < BYTES_MAX ? be32toh(bytes) : BYTES_MAX);
		misbehave();
		put(0x67446698, 4);
		put(is_mode("fail") ? 5 : 0, 4);
		put(be64toh(cookie), 8);
		send_message();
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (argc != 4 || open(argv[3], O_RDWR) < 0)
		return 1;
	mode = argv[1];
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[2]);
	if (is_mode("silent"))
		stay();
	if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 1) < 0)
		return 1;
	wait_for(listener);
	client = accept(listener, NULL, NULL);
	if (is_mode("nonsense")) {
		send_bytes("I speak another language, and much of it", 40);
		stay();
	}
	greet();
	serve();
	if (is_mode("named"))
		stay();
	return 0;
}

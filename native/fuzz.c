/*
 * Fuzzes what the relay does with the bytes of an agent, under sanitizers. Built by tests/relay/test_fuzz.py.
 *
 * With libFuzzer (clang -fsanitize=fuzzer -DLIBFUZZER) or with the plain loop below: seeded, so that a failure repeats.
 *
 *     fuzz SECONDS SEED
 *
 * An input is one byte of choices and then what the agent says. Two things see it:
 *   frame_read(), for every prefix: a verdict never changes once it is final, and what is complete keeps the rules;
 *   converse(), over a real socket pair: it ends, and its result fits what was said.
 */
#define __wrap_main relay_main
#include "relay.c"

#include <assert.h>
#include <poll.h>

enum { INPUT_LIMIT = 4096 };

int __real_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

pid_t __real_fork(void)
{
	return -1;
}

static void fuzz_header(const uint8_t *bytes, size_t size, bool after_go)
{
	enum frame_verdict before = FRAME_INCOMPLETE;
	struct frame frame, same;
	uint8_t header[FRAME_HEADER_SIZE];
	size_t part;

	for (part = 0; part <= size; part++) {
		/* A copy of just that many bytes: reading one more is an error that the sanitizer sees. */
		uint8_t *copy = malloc(part + 1);
		enum frame_verdict verdict;

		assert(copy);
		memcpy(copy, bytes, part);
		verdict = frame_read(copy, part, after_go, &frame);
		free(copy);
		assert(before == FRAME_INCOMPLETE || verdict == before);
		assert(verdict != FRAME_INCOMPLETE || part < FRAME_HEADER_SIZE);
		if (verdict == FRAME_COMPLETE) {
			assert(part >= FRAME_HEADER_SIZE && frame_allowed(&frame, after_go));
			/* What is written is what was read. */
			frame_write(header, frame.kind, frame.length);
			assert(memcmp(header, bytes, sizeof(header)) == 0);
			assert(frame_read(header, sizeof(header), after_go, &same) == FRAME_COMPLETE);
			assert(same.kind == frame.kind && same.length == frame.length);
		}
		before = verdict;
	}
}

/* Let an agent say the bytes and close; see that the conversation ends as the first frames tell. */
static void fuzz_conversation(const uint8_t *bytes, size_t size)
{
	struct call call = {.plugin = &PLUGINS[0], .command = "ADD", .input = INPUT_COPIED};
	struct frame frame;
	const char *reason;
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	call.copy = memfd_create("fuzz", MFD_CLOEXEC);
	assert(call.copy >= 0 && write(call.copy, "{}", 2) == 2);
	call.copied = 2;
	call.agent = pair[0];
	call.deadline = now_ms() + 10000;
	assert(write(pair[1], bytes, size) == (ssize_t)size);
	shutdown(pair[1], SHUT_WR);

	reason = converse(&call);
	if (!reason) {
		assert(call.answer && call.answer_size >= 1 && call.answer_size <= size);
		/* An answer is the agent's own bytes, from the first frame or, never before GO, the second. */
		assert(memcmp(bytes, FRAME_MAGIC, sizeof(FRAME_MAGIC)) == 0);
	} else {
		assert(strcmp(reason, "timeout") != 0 && strcmp(reason, "memory") != 0 && strcmp(reason, "memfd") != 0);
	}
	/* All was said before GO could be: whoever says more than ACCEPTED did not wait for it. */
	assert(!call.gone);
	if (size >= FRAME_HEADER_SIZE && frame_read(bytes, size, false, &frame) == FRAME_COMPLETE &&
	    frame.kind == FRAME_ANSWER && size - FRAME_HEADER_SIZE >= frame.length)
		assert(!reason && call.answer_size == frame.length &&
		       memcmp(call.answer, bytes + FRAME_HEADER_SIZE, frame.length) == 0);
	free(call.answer);
	close(call.copy);
	close(pair[0]);
	close(pair[1]);
}

/* The same after GO: only an answer counts. */
static void fuzz_after_go(const uint8_t *bytes, size_t size)
{
	struct call call = {.plugin = &PLUGINS[0], .command = "ADD", .copy = -1, .gone = true};
	struct frame frame;
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	call.agent = pair[0];
	assert(write(pair[1], bytes, size) == (ssize_t)size);
	close(pair[1]);
	if (!receive_frame(&call, &frame))
		assert(frame.kind == FRAME_ANSWER && call.answer_size == frame.length && frame.length >= 1 &&
		       memcmp(call.answer, bytes + FRAME_HEADER_SIZE, frame.length) == 0);
	free(call.answer);
	close(pair[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool after_go;

	if (size < 1 || size > INPUT_LIMIT)
		return 0;
	after_go = data[0] & 1;
	fuzz_header(data + 1, size - 1 < 64 ? size - 1 : 64, after_go);
	if (after_go)
		fuzz_after_go(data + 1, size - 1);
	else
		fuzz_conversation(data + 1, size - 1);
	return 0;
}

#ifndef LIBFUZZER
static uint64_t state;

/* xorshift64*: enough for choosing where to break things. */
static uint32_t below(uint32_t limit)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 2685821657736338717u) >> 32) % limit;
}

static size_t some_frame(uint8_t *bytes)
{
	static const uint8_t kinds[] = {FRAME_ACCEPTED, FRAME_DECLINED, FRAME_ANSWER, FRAME_ANSWER, FRAME_GO, 0, 255};
	uint32_t length = below(3) ? below(3) : below(200), at;

	frame_write(bytes, kinds[below(sizeof(kinds))], length);
	for (at = 0; at < length; at++)
		bytes[FRAME_HEADER_SIZE + at] = (uint8_t)below(256);
	return FRAME_HEADER_SIZE + length;
}

/* Make an input out of whole frames, and break it in a few places. */
static size_t some_input(uint8_t *bytes)
{
	size_t size = 1, frames = below(4), changes = below(4);

	bytes[0] = (uint8_t)below(256);
	while (frames-- > 0)
		size += some_frame(bytes + size);
	while (changes-- > 0 && size > 1) {
		uint8_t *at = bytes + 1 + below((uint32_t)size - 1);

		switch (below(4)) {
		case 0: *at ^= (uint8_t)(1u << below(8)); break;
		case 1: *at = (uint8_t)below(256); break;
		case 2: size = (size_t)(at - bytes); break;
		case 3:
			memmove(at + 1, at, size - (size_t)(at - bytes));
			size++;
			break;
		}
	}
	return size;
}

int main(int argc, char **argv)
{
	static uint8_t bytes[INPUT_LIMIT];
	int64_t end;
	unsigned long runs;

	assert(argc == 3);
	state = strtoull(argv[2], NULL, 10) * 2 + 1;
	end = now_ms() + atoi(argv[1]) * 1000;
	for (runs = 0; now_ms() < end; runs++)
		LLVMFuzzerTestOneInput(bytes, some_input(bytes));
	printf("%lu inputs\n", runs);
	return 0;
}
#endif

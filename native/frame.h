/*
 * Frames between the relay and the agent (src/spidercni/agent/wire.py has the same rules). Pure: no I/O, no memory.
 *
 *     relay                                  agent
 *     REQUEST, netns as a descriptor  --->
 *                                     <---   ACCEPTED, or DECLINED, or an ANSWER at once
 *     GO                              --->
 *                                     <---   ANSWER
 *     UNDELIVERED                     --->   only if standard output could not take the answer
 *
 * A frame is "spd1", one byte for its kind, three zero bytes, the length of the payload in four bytes (big-endian),
 * and the payload.
 */
#ifndef SPIDERCNI_FRAME_H
#define SPIDERCNI_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	FRAME_HEADER_SIZE = 12,
	/* Standard input of a plugin is 64 MiB at most; names and variables come on top. */
	FRAME_STRINGS_LIMIT = 1 << 20,
	FRAME_PAYLOAD_LIMIT = (64 << 20) + FRAME_STRINGS_LIMIT,
};

enum frame_kind {
	FRAME_REQUEST = 1,
	FRAME_ACCEPTED = 2,
	FRAME_DECLINED = 3,
	FRAME_GO = 4,
	FRAME_ANSWER = 5,
	FRAME_UNDELIVERED = 6,
};

enum frame_verdict {
	FRAME_INCOMPLETE,	/* may still become a header: read on */
	FRAME_COMPLETE,		/* a header that is allowed here */
	FRAME_MALFORMED,	/* can never become one, whatever follows */
};

struct frame {
	enum frame_kind kind;
	uint32_t length;	/* of the payload, in bytes */
};

static const uint8_t FRAME_MAGIC[4] = {'s', 'p', 'd', '1'};

/* Write the header of a frame. */
static inline void frame_write(uint8_t header[FRAME_HEADER_SIZE], enum frame_kind kind, uint32_t length)
{
	memcpy(header, FRAME_MAGIC, sizeof(FRAME_MAGIC));
	header[4] = (uint8_t)kind;
	memset(header + 5, 0, 3);
	header[8] = (uint8_t)(length >> 24);
	header[9] = (uint8_t)(length >> 16);
	header[10] = (uint8_t)(length >> 8);
	header[11] = (uint8_t)length;
}

/* Tell whether an agent may say this: before GO it accepts, declines or answers, after GO it only answers. */
static inline bool frame_allowed(const struct frame *frame, bool after_go)
{
	switch (frame->kind) {
	case FRAME_ACCEPTED:
	case FRAME_DECLINED:
		return !after_go && frame->length == 0;
	case FRAME_ANSWER:
		/* It has an exit status at least. */
		return frame->length >= 1 && frame->length <= FRAME_PAYLOAD_LIMIT;
	default:
		return false;
	}
}

/*
 * Judge the first `size` bytes that came from an agent.
 *
 * What cannot become a frame is told as early as its first wrong byte: a peer that says "no" and then nothing must not
 * be waited for. `frame` is written only where the verdict is FRAME_COMPLETE.
 */
static inline enum frame_verdict frame_read(const uint8_t *bytes, size_t size, bool after_go, struct frame *frame)
{
	struct frame found;
	size_t at;

	for (at = 0; at < size && at < sizeof(FRAME_MAGIC); at++)
		if (bytes[at] != FRAME_MAGIC[at])
			return FRAME_MALFORMED;
	if (size > 4 && bytes[4] != FRAME_ANSWER && (after_go || (bytes[4] != FRAME_ACCEPTED && bytes[4] != FRAME_DECLINED)))
		return FRAME_MALFORMED;
	for (at = 5; at < size && at < 8; at++)
		if (bytes[at] != 0)
			return FRAME_MALFORMED;
	if (size < FRAME_HEADER_SIZE)
		return FRAME_INCOMPLETE;
	found.kind = bytes[4];
	found.length = (uint32_t)bytes[8] << 24 | (uint32_t)bytes[9] << 16 | (uint32_t)bytes[10] << 8 | bytes[11];
	if (!frame_allowed(&found, after_go))
		return FRAME_MALFORMED;
	*frame = found;
	return FRAME_COMPLETE;
}

#endif

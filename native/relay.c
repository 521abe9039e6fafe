/*
 * The relay: answers a CNI call through the agent of this node, in about a millisecond, before Python starts.
 *
 * It is linked into PyInstaller's bootloader with `-Wl,--wrap=main`: main() is ours, __real_main() is the bootloader's
 * and starts Python. Whatever is not plain is left to Python: the relay does no thinking. Theory of operation and the
 * reasons are in docs/design/relay.md; the frames are in frame.h.
 *
 * INV-RELAY-1  Before GO has been sent nothing has been done for the call, and handing it to Python is always right.
 * INV-RELAY-2  An ADD is never done twice: after GO it ends in the agent's answer or in an error document.
 * INV-RELAY-3  Nothing is on standard output before all of the answer is here; if it cannot be written, status 1.
 * INV-RELAY-4  Python finds standard input as the runtime gave it, however much of it the relay has read.
 * INV-RELAY-5  Memory is bounded by the limits in frame.h; time before GO by the deadline, apart from reading stdin.
 * INV-RELAY-6  Only root's agent is believed, and only root can say where it is.
 *
 * Functions that can fail return NULL or a word: the reason for which the call is handed to Python, which finds it in
 * SPIDERCNI_FALLBACK. The words are listed in docs/design/relay.md.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"
#include "generated.h" /* PLUGINS, STDIN_LIMIT: made from the Python sources by build/bootloader.py */

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

#define AGENT_SOCKET "/run/spidercni/agent.sock"

/* A slow agent with a short deadline would make a busy node start many Pythons at once. */
#define ACCEPT_MS 5000

#define ROOT 0

_Static_assert(STDIN_LIMIT + FRAME_STRINGS_LIMIT <= FRAME_PAYLOAD_LIMIT, "standard input must fit into a frame");

int __real_main(int argc, char **argv);
int __wrap_main(int argc, char **argv);
pid_t __real_fork(void);
pid_t __wrap_fork(void);

/* Where the runtime's bytes are. */
enum input {
	INPUT_UNTOUCHED,	/* still in descriptor 0 */
	INPUT_COPIED,		/* in `copy`: all, or one byte more than the limit, which is enough for Python to refuse it */
	INPUT_SPOILED,		/* not readable, perhaps after a part: that must not be taken for the whole */
};

struct call {
	const struct plugin *plugin;
	const char *command;	/* CNI_COMMAND */
	enum input input;
	int copy;		/* memfd with standard input, or -1 */
	size_t copied;		/* its bytes */
	int agent;		/* connected socket, or -1 */
	int64_t deadline;	/* for all until GO; milliseconds of CLOCK_MONOTONIC */
	bool gone;		/* GO has been sent: the agent works, there is no deadline any more */
	uint8_t *answer;	/* payload of ANSWER: one byte exit status, then the bytes for stdout */
	size_t answer_size;
};

/* What of the environment an agent gets to see. */
static const char *const VARIABLES[] = {
	"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH", "CNI_NETNS_OVERRIDE",
	"TRACEPARENT", "TRACESTATE", "BAGGAGE",
};

enum { VARIABLES_COUNT = sizeof(VARIABLES) / sizeof(VARIABLES[0]) };

/* One piece of standard input on its way from a pipe to the memfd, or from there to the agent. As big as a pipe. */
static uint8_t piece[1 << 16];

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Return the milliseconds that are left until GO must have been sent; 0 if none. */
static int left_ms(const struct call *call)
{
	int64_t left = call->deadline - now_ms();

	return left > 0 ? (int)left : 0;
}

/* Return the plugin that we were called as, or NULL: then this is the command line. main.py has the same rule. */
static const struct plugin *find_plugin(int argc, char **argv)
{
	const char *command = getenv("CNI_COMMAND"), *name, *slash;
	size_t at;

	if (argc < 1 || !command || !*command)
		return NULL;
	slash = strrchr(argv[0], '/');
	name = slash ? slash + 1 : argv[0];
	for (at = 0; at < PLUGINS_COUNT; at++)
		if (strcmp(name, PLUGINS[at].name) == 0)
			return &PLUGINS[at];
	/* One file was copied and named in a configuration as it is: it can only be meant as the first, the IPAM plugin. */
	return argc == 1 ? &PLUGINS[0] : NULL;
}

/* Open /dev/null as `number` if it is closed; lower numbers are open. Write-only: reading from it fails, as before. */
static bool open_standard(int number)
{
	if (fcntl(number, F_GETFD) >= 0)
		return true;
	return open("/dev/null", O_WRONLY) == number;
}

/* Write all, or return false with errno set. */
static bool write_all(int descriptor, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t wrote = write(descriptor, bytes, size);

		if (wrote >= 0) {
			bytes += wrote;
			size -= (size_t)wrote;
		} else if (errno == EAGAIN) {
			/* The other end made the pipe non-blocking; if it goes away the next write says so. */
			struct pollfd room = {.fd = descriptor, .events = POLLOUT};

			poll(&room, 1, -1);
		} else if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

/* Write a whole document to standard output. False: it could not be, and standard error says why. */
static bool print(const struct call *call, const uint8_t *bytes, size_t size)
{
	/* Nothing is executed after this that could inherit it; a reader that is gone is an error, not our death. */
	signal(SIGPIPE, SIG_IGN);
	if (write_all(1, bytes, size))
		return true;
	dprintf(2, "%s: the answer cannot be written: %s\n", call->plugin->name, strerror(errno));
	return false;
}

/*
 * Copy standard input to its end into a memfd: if the agent does not take the call, Python reads it from there.
 */
static const char *copy_input(struct call *call)
{
	/* Where vm.memfd_noexec=2, one without the flag is refused; an old kernel does not know the flag. */
	call->copy = memfd_create("stdin", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (call->copy < 0)
		call->copy = memfd_create("stdin", MFD_CLOEXEC);
	if (call->copy < 0)
		return "memfd";
	while (call->copied <= STDIN_LIMIT) {
		size_t wanted = STDIN_LIMIT + 1 - call->copied;
		ssize_t got = read(0, piece, wanted < sizeof(piece) ? wanted : sizeof(piece));

		if (got == 0) {
			call->input = INPUT_COPIED;
			return NULL;
		}
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN) {
			struct pollfd input = {.fd = 0, .events = POLLIN};

			poll(&input, 1, -1);
			continue;
		}
		call->input = INPUT_SPOILED; /* until the end, or until the limit */
		if (got < 0)
			return "stdin";
		if (!write_all(call->copy, piece, (size_t)got))
			return "memfd";
		call->copied += (size_t)got;
	}
	call->input = INPUT_COPIED;
	return "too-large";
}

/* Give standard input back: descriptor 0 is then what Python would have found without us. */
static void restore_input(struct call *call)
{
	if (call->input == INPUT_COPIED) {
		lseek(call->copy, 0, SEEK_SET);
		dup2(call->copy, 0); /* the new one is inherited: the bootloader executes itself again */
	} else if (call->input == INPUT_SPOILED) {
		/* Reading fails then and Python says code 5; on some inputs, a folder for one, it would not even start. */
		close(0);
		open_standard(0);
	}
	if (call->copy >= 0)
		close(call->copy);
}

/* Return where the agent listens, or NULL: there is none. Only root may say something else than we do. */
static const char *agent_socket(void)
{
	const char *given = geteuid() == ROOT ? secure_getenv("SPIDERCNI_AGENT_SOCKET") : NULL;

	if (!given)
		return AGENT_SOCKET;
	return *given ? given : NULL;
}

static int accept_ms(void)
{
	const char *given = geteuid() == ROOT ? secure_getenv("SPIDERCNI_ACCEPT_MS") : NULL;
	long value = given ? strtol(given, NULL, 10) : 0;

	return value >= 1 && value <= 600000 ? (int)value : ACCEPT_MS;
}

/* Connect to the agent. Costs next to nothing where there is none. */
static const char *reach_agent(struct call *call)
{
	const char *path = agent_socket();
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int milliseconds = accept_ms();
	struct timeval patience = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};

	if (!path)
		return "off";
	if (strlen(path) >= sizeof(address.sun_path))
		return "no-socket";
	strcpy(address.sun_path, path);
	call->agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (call->agent < 0)
		return "refused";
	/* Before connect: where too many wait to be accepted, connect waits too. */
	setsockopt(call->agent, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	call->deadline = now_ms() + milliseconds;
	while (connect(call->agent, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return "no-socket";
		if (errno == EAGAIN || (errno == EINTR && left_ms(call) == 0))
			return "timeout";
		if (errno != EINTR)
			return "refused";
	}
	/* Whoever called listen(2). A stranger's socket would get the configuration to see and could invent addresses. */
	if (getsockopt(call->agent, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != ROOT)
		return "peer";
	return NULL;
}

/* Wait for the socket, not longer than until the deadline; return what poll(2) saw, 0 if nothing. */
static short wait_for_agent(const struct call *call, short events)
{
	struct pollfd agent = {.fd = call->agent, .events = events};
	int seen;

	do
		seen = poll(&agent, 1, left_ms(call));
	while (seen < 0 && errno == EINTR && left_ms(call) > 0);
	return seen > 0 ? agent.revents : 0;
}

/* Skip what of a message has been sent. */
static void advance(struct msghdr *message, size_t sent)
{
	while (message->msg_iovlen > 0 && sent >= message->msg_iov->iov_len) {
		sent -= message->msg_iov->iov_len;
		message->msg_iov++;
		message->msg_iovlen--;
	}
	if (message->msg_iovlen > 0) {
		message->msg_iov->iov_base = (uint8_t *)message->msg_iov->iov_base + sent;
		message->msg_iov->iov_len -= sent;
	}
}

/* Send all parts, with a descriptor along with the first byte unless it is -1. */
static const char *send_parts(struct call *call, struct iovec *parts, size_t count, int descriptor)
{
	union {
		struct cmsghdr header; /* for its alignment */
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};

	if (descriptor >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.space);
		control.header = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(descriptor));
	}
	while (message.msg_iovlen > 0) {
		/* No SIGPIPE: ignoring it instead would be inherited by Python and by all that it starts. */
		ssize_t sent = sendmsg(call->agent, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent >= 0) {
			message.msg_control = NULL;
			message.msg_controllen = 0;
			advance(&message, (size_t)sent);
		} else if (errno == EAGAIN) {
			short seen = wait_for_agent(call, POLLIN | POLLOUT);

			if (!seen)
				return "timeout";
			if (seen & POLLIN)
				return "closed"; /* or it answers before it has heard all: the caller looks */
		} else if (errno != EINTR) {
			return "closed";
		}
	}
	return NULL;
}

/* Return the entry "KEY=VALUE" of the environment, or NULL. The first one counts, as for getenv(3) and Python. */
static char *find_variable(const char *key)
{
	size_t size = strlen(key);
	char **entry;

	for (entry = environ; entry && *entry; entry++)
		if (strncmp(*entry, key, size) == 0 && (*entry)[size] == '=')
			return *entry;
	return NULL;
}

/* Read the next piece of standard input from its copy. False: it is not there, which cannot be. */
static bool next_piece(const struct call *call, size_t at, struct iovec *part)
{
	size_t left = call->copied - at;
	ssize_t got;

	part->iov_base = piece;
	part->iov_len = left < sizeof(piece) ? left : sizeof(piece);
	do
		got = pread(call->copy, piece, part->iov_len, (off_t)at);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)part->iov_len;
}

/*
 * Send REQUEST: name, variables, an empty string, standard input. The strings are sent from where they lie, each with
 * its NUL, together with the first piece of input: an agent gets a usual call with one read.
 */
static const char *send_request(struct call *call, int netns)
{
	uint8_t header[FRAME_HEADER_SIZE];
	struct iovec parts[1 + 1 + VARIABLES_COUNT + 1 + 1], *part = parts;
	size_t strings = 0, at;
	const char *reason;

	*part++ = (struct iovec){header, sizeof(header)};
	*part++ = (struct iovec){(void *)(uintptr_t)call->plugin->name, strlen(call->plugin->name) + 1};
	for (at = 0; at < VARIABLES_COUNT; at++) {
		char *entry = find_variable(VARIABLES[at]);

		if (entry)
			*part++ = (struct iovec){entry, strlen(entry) + 1};
	}
	*part++ = (struct iovec){(void *)(uintptr_t) "", 1};
	for (at = 1; at < (size_t)(part - parts); at++)
		strings += parts[at].iov_len;
	if (strings > FRAME_STRINGS_LIMIT)
		return "too-large";
	frame_write(header, FRAME_REQUEST, (uint32_t)(strings + call->copied));
	at = 0;
	do {
		if (!next_piece(call, at, part))
			return "memfd";
		at += part->iov_len;
		if (at == part->iov_len)
			reason = send_parts(call, parts, (size_t)(part + 1 - parts), netns);
		else
			reason = send_parts(call, part, 1, -1);
	} while (!reason && at < call->copied);
	return reason;
}

/* Receive at least one byte more, up to `size`. */
static const char *receive_some(struct call *call, uint8_t *bytes, size_t size, size_t *have)
{
	ssize_t got;

	do {
		if (!call->gone && !wait_for_agent(call, POLLIN))
			return "timeout";
		got = recv(call->agent, bytes + *have, size - *have, 0);
	} while (got < 0 && errno == EINTR);
	if (got <= 0)
		return "closed";
	*have += (size_t)got;
	return NULL;
}

/* Receive one frame; the payload of an ANSWER is in the call then. */
static const char *receive_frame(struct call *call, struct frame *frame)
{
	uint8_t header[FRAME_HEADER_SIZE];
	enum frame_verdict verdict;
	const char *reason = NULL;
	size_t have = 0;

	while ((verdict = frame_read(header, have, call->gone, frame)) == FRAME_INCOMPLETE) {
		reason = receive_some(call, header, sizeof(header), &have);
		if (reason)
			return reason;
	}
	if (verdict == FRAME_MALFORMED)
		return "protocol";
	if (frame->kind != FRAME_ANSWER)
		return NULL;
	/* Bounded by frame_allowed(); pages that nothing comes for are never touched. */
	call->answer = malloc(frame->length);
	if (!call->answer)
		return "memory";
	while (!reason && call->answer_size < frame->length)
		reason = receive_some(call, call->answer, frame->length, &call->answer_size);
	return reason;
}

/*
 * Send a frame without payload. False: not one byte of it is on its way.
 * So few bytes are one piece to the kernel; if it ever sent less, the agent would wait for the rest and we for it.
 */
static bool send_word(const struct call *call, enum frame_kind kind, bool *whole)
{
	uint8_t header[FRAME_HEADER_SIZE];
	ssize_t sent;

	frame_write(header, kind, 0);
	do
		sent = send(call->agent, header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	*whole = sent == sizeof(header);
	return sent > 0;
}

/* Say GO. If it has been said, even in part, `gone` is set: from there on the agent is the one who does it. */
static const char *say_go(struct call *call)
{
	uint8_t byte;
	bool whole;
	ssize_t more = recv(call->agent, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	/* It has died since, or thinks better of it, or does not wait for us. */
	if (more >= 0 || (errno != EAGAIN && errno != EINTR))
		return more > 0 ? "protocol" : "closed";
	call->gone = send_word(call, FRAME_GO, &whole);
	if (!call->gone)
		return "closed";
	return whole ? NULL : "closed";
}

/* Talk to the agent until its answer is here. */
static const char *converse(struct call *call)
{
	const char *path = getenv("CNI_NETNS"), *heard, *reason;
	struct frame frame;
	int netns = -1;

	/*
	 * Not blocking: a path may be anything. Links are followed: /proc/PID/ns/net is one. That it cannot be opened
	 * is for the agent to judge: for DEL it is usual.
	 */
	if (path && *path)
		netns = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	heard = send_request(call, netns);
	if (netns >= 0)
		close(netns);
	/* An agent that closed or speaks already may have answered: "too many calls", without reading to the end. */
	if (heard && strcmp(heard, "closed") != 0)
		return heard;
	reason = receive_frame(call, &frame);
	if (reason)
		return reason;
	if (frame.kind == FRAME_DECLINED)
		return "declined";
	if (frame.kind == FRAME_ANSWER)
		return NULL;
	if (heard)
		return "protocol"; /* accepts what it has not read */
	reason = say_go(call);
	if (reason)
		return reason;
	return receive_frame(call, &frame);
}

/* Do the call by way of the agent. */
static const char *relay(struct call *call)
{
	/* First, so that a node without an agent leaves standard input alone. */
	const char *reason = reach_agent(call);
	int64_t began = now_ms();

	if (!reason)
		reason = copy_input(call);
	/* A runtime may take its time; that is not the agent's fault. */
	call->deadline += now_ms() - began;
	return reason ? reason : converse(call);
}

/* Print the agent's answer and return its status. */
static int deliver(const struct call *call)
{
	bool whole;

	if (print(call, call->answer + 1, call->answer_size - 1))
		return call->answer[0];
	/* Nobody was given the address. If this gets lost too, DEL or GC will find it. */
	send_word(call, FRAME_UNDELIVERED, &whole);
	return 1;
}

/* The agent has begun an ADD and is gone. It may have been done, and doing it again could take a second address. */
static int abandon(const struct call *call)
{
	static const char document[] =
		"{\"code\": 11, \"msg\": \"the agent of spidercni died while it served ADD\", "
		"\"details\": \"the runtime sends DEL and tries again\"}\n";

	print(call, (const uint8_t *)document, sizeof(document) - 1);
	return 1;
}

/* Let Python do the call, in this process. */
static int hand_over(struct call *call, const char *reason, int argc, char **argv)
{
	restore_input(call);
	if (call->agent >= 0)
		close(call->agent);
	free(call->answer);
	/* The bootloader executes itself again, and must not come here again. Python removes it first thing. */
	setenv("SPIDERCNI_RELAYED", "1", 1);
	setenv("SPIDERCNI_FALLBACK", reason, 1);
	return __real_main(argc, argv);
}

int __wrap_main(int argc, char **argv)
{
	struct call call = {.plugin = find_plugin(argc, argv), .copy = -1, .agent = -1};
	const char *reason;

	if (!call.plugin || getenv("SPIDERCNI_RELAYED"))
		return __real_main(argc, argv);
	call.command = getenv("CNI_COMMAND");
	/* Nobody can be told anything, so nothing is done. And no file of ours may become descriptor 1. */
	if (fcntl(1, F_GETFD) < 0)
		return !print(&call, (const uint8_t *)"\n", 1);
	if (!open_standard(0) || !open_standard(2))
		return hand_over(&call, "streams", argc, argv);
	/* Standard input is not read: a runtime may leave it open. */
	if (strcmp(call.command, "VERSION") == 0)
		return !print(&call, (const uint8_t *)call.plugin->version, call.plugin->version_size);
	reason = relay(&call);
	if (!reason)
		return deliver(&call);
	if (!call.gone)
		return hand_over(&call, reason, argc, argv);
	/* The other verbs may be done again: they change nothing, or find nothing left to do. */
	if (strcmp(call.command, "ADD") == 0)
		return abandon(&call);
	return hand_over(&call, "lost", argc, argv);
}

/*
 * The one-file form runs the program as a child of the process that the runtime started, and a runtime that gives up
 * kills only that one. The child must not go on and allocate an address that nobody waits for, nor wait for ever for
 * the bootloader's word that it may begin. The signal outlives execve(2). `-Wl,--wrap=fork` brings it here.
 */
pid_t __wrap_fork(void)
{
	pid_t parent = getpid(), child = __real_fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		/* It may have died before that. */
		if (getppid() != parent)
			_exit(1);
	}
	return child;
}

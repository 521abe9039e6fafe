/*
 * Stands in for the bootloader and Python behind the relay: says on standard output what it was handed, one
 * "name value" a line. With it a test sees why the relay fell back, and that nothing of it is left.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "-";
}

int main(int argc, char **argv)
{
	static uint8_t bytes[1 << 16];
	uint64_t size = 0;
	uint32_t sum = 2166136261u; /* FNV-1a */
	struct sigaction action;
	struct dirent *entry;
	ssize_t got;
	DIR *folder;

	while ((got = read(0, bytes, sizeof(bytes))) > 0) {
		size += (uint64_t)got;
		for (ssize_t at = 0; at < got; at++)
			sum = (sum ^ bytes[at]) * 16777619u;
	}
	printf("stdin %s\n", got < 0 ? "unreadable" : "readable");
	printf("size %llu\nsum %u\n", (unsigned long long)size, sum);
	printf("argc %d\nargv0 %s\n", argc, argc > 0 ? argv[0] : "-");
	printf("relayed %s\nfallback %s\n", variable("SPIDERCNI_RELAYED"), variable("SPIDERCNI_FALLBACK"));
	sigaction(SIGPIPE, NULL, &action);
	printf("sigpipe %s\n", action.sa_handler == SIG_DFL ? "default" : "changed");
	printf("descriptors");
	folder = opendir("/proc/self/fd");
	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder))
			printf(" %s", entry->d_name);
	printf("\n");
	return 77;
}

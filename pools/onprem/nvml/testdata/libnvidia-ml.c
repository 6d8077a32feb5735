/*
 * A stand-in for libnvidia-ml.so.1, built by the tests with the C compiler.
 *
 * It answers for GPUs that do not exist, and obeys the file named by NVML_STANDIN,
 * read anew at every call, one order a line:
 *
 *   gpus N            how many GPUs there are (default 2)
 *   util N            their utilisation in percent (default 42)
 *   hang FUNCTION     that function does not return until the order is gone
 *   fail FUNCTION N   that function returns N
 *   lost I            GPU I is lost: every call on it returns 15
 *   xid I N           one critical error N of GPU I (once for each different N)
 *   stale             time stands still: samples and energy no longer advance
 *   nosamples         the chip keeps no utilisation samples
 *   frozenenergy      only the energy counter stands still
 *
 * The name of each function called is appended to the file named by NVML_CALLS.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

typedef int R;
typedef unsigned long long u64;
typedef struct { int index; } *D;

static struct gpu { int index; } gpus[16] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7},
	{8}, {9}, {10}, {11}, {12}, {13}, {14}, {15}};
static char orders[4096];

static void load(void) {
	const char *path = getenv("NVML_STANDIN");
	int fd = path ? open(path, O_RDONLY) : -1;
	ssize_t n = fd < 0 ? 0 : read(fd, orders, sizeof orders - 1);
	orders[n > 0 ? n : 0] = 0;
	if (fd >= 0) close(fd);
}

/* order finds the line that begins with the words of key and gives what follows, or NULL. */
static const char *order(const char *key) {
	size_t n = strlen(key);
	for (const char *p = orders; p && *p; p = strchr(p, '\n')) {
		if (*p == '\n') p++;
		if (!strncmp(p, key, n) && (p[n] == ' ' || p[n] == '\n' || !p[n])) return p + n;
	}
	return NULL;
}

static long number(const char *key, long otherwise) {
	const char *s = order(key);
	return s ? strtol(s, NULL, 10) : otherwise;
}

static R called(const char *name, D d) {
	char key[128];
	const char *path = getenv("NVML_CALLS");
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
	if (fd >= 0) {
		snprintf(key, sizeof key, "%s\n", name);
		if (write(fd, key, strlen(key)) < 0) abort();
		close(fd);
	}
	snprintf(key, sizeof key, "hang %s", name);
	for (load(); order(key); load()) usleep(2000);
	snprintf(key, sizeof key, "fail %s", name);
	if (order(key)) return (R)number(key, 999);
	if (d) {
		snprintf(key, sizeof key, "lost %d", d->index);
		if (order(key)) return 15;
	}
	return 0;
}

/* clock_us stands still while the order is stale. */
static u64 clock_us(void) {
	static u64 last;
	struct timeval tv;
	gettimeofday(&tv, NULL);
	if (!order("stale") || !last) last = (u64)tv.tv_sec * 1000000 + tv.tv_usec;
	return last;
}

#define BEGIN(d) do { R r = called(__func__, d); if (r) return r; } while (0)

const char *nvmlErrorString(R r) {
	return r == 0 ? "Success" : r == 3 ? "Not Supported" : r == 9 ? "Driver Not Loaded" :
		r == 15 ? "GPU is lost" : r == 999 ? "Unknown Error" : "Other";
}
R nvmlInit_v2(void) { BEGIN(NULL); return 0; }
R nvmlShutdown(void) { BEGIN(NULL); return 0; }
R nvmlDeviceGetCount_v2(unsigned *n) { BEGIN(NULL); *n = number("gpus", 2); return 0; }
R nvmlDeviceGetHandleByIndex_v2(unsigned i, D *d) {
	BEGIN(NULL);
	if (i >= 16) return 2;
	*d = (D)&gpus[i];
	return 0;
}
R nvmlDeviceGetUUID(D d, char *s, unsigned n) { BEGIN(d); snprintf(s, n, "GPU-standin-%d", d->index); return 0; }
struct memory { u64 total, free, used; };
R nvmlDeviceGetMemoryInfo(D d, struct memory *m) {
	BEGIN(d);
	m->total = 80ULL << 30;
	m->used = 20ULL << 30;
	m->free = m->total - m->used;
	return 0;
}
struct rates { unsigned gpu, memory; };
R nvmlDeviceGetUtilizationRates(D d, struct rates *u) {
	BEGIN(d);
	u->gpu = number("util", 42);
	u->memory = 7;
	return 0;
}
R nvmlDeviceGetPowerUsage(D d, unsigned *mw) { BEGIN(d); *mw = 350000; return 0; }
R nvmlDeviceGetTotalEnergyConsumption(D d, u64 *mj) {
	static u64 last;
	BEGIN(d);
	u64 now = clock_us() / 1000;
	if (!order("frozenenergy") || !last) last = now;
	*mj = last;
	return 0;
}
R nvmlDeviceGetTemperature(D d, int sensor, unsigned *c) { BEGIN(d); *c = 61; return sensor; }
R nvmlDeviceGetClockInfo(D d, int kind, unsigned *mhz) { BEGIN(d); *mhz = 1980; return kind == 1 ? 0 : 2; }
R nvmlDeviceGetCurrentClocksThrottleReasons(D d, u64 *why) { BEGIN(d); *why = 0x4; return 0; }
R nvmlDeviceGetComputeRunningProcesses(D d, unsigned *n, void *p) { BEGIN(d); (void)p; *n = 1; return 0; }
R nvmlDeviceGetComputeRunningProcesses_v3(D d, unsigned *n, void *p) { BEGIN(d); (void)p; *n = 1; return 0; }

struct sample { u64 at; union { unsigned ui; u64 ull; } value; };
R nvmlDeviceGetSamples(D d, int kind, u64 seen, int *type, unsigned *n, struct sample *s) {
	BEGIN(d);
	if (order("nosamples")) return 3;
	u64 now = clock_us();
	if (kind != 1) return 2;
	if (now <= seen) return 6;
	*type = 1;
	*n = 1;
	if (s) {
		s->at = now;
		s->value.ull = 0;
		s->value.ui = number("util", 42);
	}
	return 0;
}

struct event { D device; u64 type, data; unsigned gi, ci; };
R nvmlEventSetCreate(void **set) { BEGIN(NULL); *set = orders; return 0; }
R nvmlEventSetFree(void *set) { BEGIN(NULL); (void)set; return 0; }
R nvmlDeviceRegisterEvents(D d, u64 types, void *set) { BEGIN(d); (void)set; return types == 8 ? 0 : 2; }
R nvmlEventSetWait_v2(void *set, struct event *e, unsigned ms) {
	static long said;
	int index;
	long code;
	BEGIN(NULL);
	(void)set; (void)ms;
	const char *s = order("xid");
	if (!s || sscanf(s, " %d %ld", &index, &code) != 2 || code == said) return 10;
	said = code;
	memset(e, 0, sizeof *e);
	e->device = (D)&gpus[index];
	e->type = 8;
	e->data = (u64)code;
	return 0;
}
R nvmlEventSetWait(void *set, struct event *e, unsigned ms) { return nvmlEventSetWait_v2(set, e, ms); }

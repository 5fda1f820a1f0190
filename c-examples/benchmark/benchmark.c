/* What actors cost, beside what the machine allows: see --help. Every reply is checked; a wrong one ends the program
 * with exit status 1. */
#define _GNU_SOURCE
#include "benchmark.h"

#include "benchmark.rk.h"
#include "clock.h"
#include "floor_cuda.h"
#include "floor_vulkan.h"

#include <ringkernel/module.h>

#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

RK_DECLARE_MODULE(benchmarks);

static const char *const help =
    "benchmark: what ringkernel's actors cost, beside the same written by hand (the floor): two rings and a thread, or on\n"
    "a GPU four threads that answer, with launches, copies and submissions for comparison\n"
    "\n"
    "  --backend NAME     cpu (default), cuda, vulkan or auto\n"
    "  --threads N        threads of the CPU backend; default: one less than the processors, at least one\n"
    "  --workers N        workers of each kernel; default: as the library chooses\n"
    "  --lanes N          lanes of each worker; default 1\n"
    "  --actors N         measure echoes by N actors, and no others\n"
    "  --host-threads N   that many threads send and poll in that measurement, each with its own queue\n"
    "  --window N         messages on their way to and from one worker; default 512\n"
    "  --batch N          messages of one rk_send_many(); default 64\n"
    "  --runs N           runs of each measurement, of which the median is printed; default 5\n"
    "  --only TEXT        only measurements whose name begins so: floors round-trip send batches echo batched\n"
    "                     hops batons fanout creation memory park calls idle\n"
    "  --trace N          meanwhile a trace of one message in N is recorded, which nobody reads\n"
    "  --quick            few messages: checks all replies, measures badly\n"
    "  --json             one JSON object a line\n"
    "\n"
    "The main thread runs on the first processor, the library's threads on the others, the floor's on the second.\n";

static const struct {
    const char *name;
    void (*run)(setup *s);
} measurements[] = {
    {"memory", measure_memory}, /* first: the others leave memory behind that it would use again */
    {"creation", measure_creation},
    {"floors", measure_floors},
    {"round-trip", measure_round_trips},
    {"send", measure_send},
    {"batches", measure_batches},
    {"echo", measure_echoes},
    {"batched", measure_batched},
    {"hops", measure_hops},
    {"batons", measure_batons},
    {"fanout", measure_fanout},
    {"park", measure_park},
    {"calls", measure_calls},
    {"idle", measure_idle},
};

static int json;

void report(const setup *s, const char *name, const char *unit, double value, double floor, int at_most,
            double target) {
    report_goal(s, name, unit, value, floor, at_most, s->options.backend == RK_BACKEND_CPU ? target : NONE);
}

void report_goal(const setup *s, const char *name, const char *unit, double value, double floor, int at_most,
                 double target) {
    const int judged = target != NONE && s->divisor == 1;
    const int met = at_most ? value <= target : value >= target;
    if (json) {
        printf("{\"name\": \"%s\", \"unit\": \"%s\", \"value\": %.6g", name, unit, value);
        if (floor != NONE)
            printf(", \"floor\": %.6g, \"ratio\": %.4g", floor, value / floor);
        if (judged)
            printf(", \"target\": %.6g, \"met\": %s", target, met ? "true" : "false");
        printf("}\n");
    } else {
        printf("%-52s %10.3f %-8s", name, value, unit);
        if (floor != NONE)
            printf(" %10.3f %5.2f x", floor, value / floor);
        else
            printf(" %18s", "");
        if (judged)
            printf("  %s %g %s", at_most ? "<=" : ">=", target, met ? "met" : "MISSED");
        printf("\n");
    }
    fflush(stdout);
}

void must(rk_status status, const char *what, const rk_error *error) {
    if (status == RK_OK)
        return;
    fprintf(stderr, "benchmark: %s: %s%s%s\n", what, rk_status_name(status), error != NULL && status < 0 ? ": " : "",
            error != NULL && status < 0 ? error->message : "");
    exit(1);
}

_Noreturn void wrong(const char *what) {
    fprintf(stderr, "benchmark: wrong: %s\n", what);
    exit(1);
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_ticks(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t position(uint32_t count, double share) {
    const uint32_t at = (uint32_t)(share * count);
    return at < count ? at : count - 1;
}

double share_of(double *values, uint32_t count, double share) {
    qsort(values, count, sizeof *values, compare_doubles);
    return values[position(count, share)];
}

double share_of_ticks(uint32_t *values, uint32_t count, double share) {
    qsort(values, count, sizeof *values, compare_ticks);
    return values[position(count, share)];
}

double median_of_steps(uint32_t *values, uint32_t count) {
    const double middle = share_of_ticks(values, count, 0.5);
    double step = 0;
    uint32_t below = 0;
    uint32_t within = 0;
    for (uint32_t i = 0; i < count; i++) {
        below += values[i] < middle;
        within += values[i] == middle;
        if (i > 0 && values[i] != values[i - 1] && (step == 0 || values[i] - values[i - 1] < step))
            step = values[i] - values[i - 1];
    }
    return middle + step * ((0.5 * count - below) / within - 0.5);
}

rk_kernel launch(const setup *s, const char *actor, const rk_kernel_options *options, rk_actor *addresses) {
    rk_kernel kernel;
    rk_error error;
    must(rk_kernel_launch(s->runtime, s->module, actor, strlen(actor), options, &kernel, &error), actor, &error);
    must(rk_kernel_activate(kernel, &error), "rk_kernel_activate", &error);
    for (uint32_t i = 0; i < options->actors; i++)
        must(rk_kernel_actor(kernel, i, &addresses[i]), "rk_kernel_actor", NULL);
    return kernel;
}

void finish(rk_kernel kernel, uint64_t handled) {
    rk_error error;
    rk_kernel_statistics statistics = RK_KERNEL_STATISTICS_INIT;
    must(rk_kernel_deactivate(kernel, &error), "rk_kernel_deactivate", &error);
    must(rk_kernel_stats(kernel, &statistics, &error), "rk_kernel_stats", &error);
    if (statistics.handled != handled || statistics.accepted != handled || statistics.dead_letters != 0)
        wrong("the kernel's count of messages");
    must(rk_kernel_destroy(kernel), "rk_kernel_destroy", NULL);
}

void receive_some(rk_runtime runtime, rk_queue queue, inbox *in) {
    const rk_status status =
        queue.id == 0
            ? rk_poll(runtime, in->messages, POLL_MESSAGES, in->payloads, sizeof in->payloads, 0, &in->count)
            : rk_queue_poll(queue, in->messages, POLL_MESSAGES, in->payloads, sizeof in->payloads, 0, &in->count);
    if (status == RK_AGAIN)
        in->count = 0;
    else
        must(status, "rk_poll", NULL);
}

void receive(rk_runtime runtime, rk_queue queue, inbox *in) {
    double deadline = 0;
    receive_some(runtime, queue, in);
    for (uint32_t spins = 1; in->count == 0; spins++) {
        receive_some(runtime, queue, in);
        if (spins % 65536 != 0)
            continue;
        if (deadline == 0)
            deadline = seconds() + 10;
        else if (seconds() > deadline)
            wrong("no reply for ten seconds");
    }
}

static uint32_t number(const char *text, uint32_t least, uint32_t most) {
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "benchmark: '%s' is not a number from %u to %u\n", text, least, most);
        exit(2);
    }
    return (uint32_t)value;
}

static uint32_t backend(const char *text) {
    static const char *const names[] = {"auto", "cpu", "cuda", "vulkan"};
    for (uint32_t i = 0; i < 4; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    fprintf(stderr, "benchmark: there is no backend '%s'; see --help\n", text);
    exit(2);
}

/* Main thread on the first processor, the CPU backend's threads on those after the host threads'. Not with GPU
 * backends, whose own threads would inherit the main thread's processor. */
static void place(setup *s, rk_runtime_options *runtime, uint32_t *cpus) {
    cpu_set_t allowed;
    uint32_t count = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &allowed))
                cpus[count++] = cpu;
    if (runtime->cpu_threads == 0)
        runtime->cpu_threads = count > s->host_threads ? count - s->host_threads : 1;
    if (s->options.backend != RK_BACKEND_CPU || count < 2 || count < s->host_threads + runtime->cpu_threads)
        return;
    runtime->cpus = cpus + s->host_threads;
    runtime->cpu_count = runtime->cpu_threads;
    s->floor_cpu = (int)cpus[s->host_threads];
    if (s->host_threads > 1)
        return; /* they would inherit the main thread's processor, too */
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(cpus[0], &first);
    (void)pthread_setaffinity_np(pthread_self(), sizeof first, &first);
}

/* Of the device that kernels run on, if it is a GPU's driver that they run by. */
static void open_floors(setup *s) {
    const char *why = NULL;
    uint32_t count = 0;
    if (s->options.backend == RK_BACKEND_CUDA)
        s->cuda = floor_cuda_open(&why);
    if (s->options.backend == RK_BACKEND_VULKAN) {
        rk_device_properties device = RK_DEVICE_PROPERTIES_INIT;
        must(rk_device_count(s->runtime, &count), "rk_device_count", NULL);
        why = "there is no Vulkan device";
        for (uint32_t i = 0; i < count && s->vulkan == NULL; i++) {
            must(rk_device_info(s->runtime, i, &device, NULL), "rk_device_info", NULL);
            if (device.backend == RK_BACKEND_VULKAN && device.ordinal == s->options.device)
                s->vulkan = floor_vulkan_open(device.ordinal, device.name, &why);
        }
    }
    if (s->cuda == NULL && s->vulkan == NULL && why != NULL)
        fprintf(stderr, "benchmark: no floors: %s\n", why);
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"backend", required_argument, NULL, 'b'}, {"threads", required_argument, NULL, 't'},
        {"workers", required_argument, NULL, 'w'}, {"lanes", required_argument, NULL, 'l'},
        {"actors", required_argument, NULL, 'a'},  {"host-threads", required_argument, NULL, 'H'},
        {"window", required_argument, NULL, 'W'},  {"batch", required_argument, NULL, 'B'},
        {"runs", required_argument, NULL, 'r'},    {"only", required_argument, NULL, 'o'},
        {"trace", required_argument, NULL, 'T'},   {"quick", no_argument, NULL, 'q'},
        {"json", no_argument, NULL, 'j'},          {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    setup s = {.host_threads = 1, .window = 512, .batch = 64, .runs = 5, .divisor = 1, .floor_cpu = -1};
    rk_kernel_options kernel_options = RK_KERNEL_OPTIONS_INIT;
    rk_runtime_options runtime_options = RK_RUNTIME_OPTIONS_INIT;
    rk_trace_options trace_options = RK_TRACE_OPTIONS_INIT;
    const char *only = "";
    s.options = kernel_options;
    s.options.backend = RK_BACKEND_CPU;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'b': s.options.backend = backend(optarg); break;
        case 't': runtime_options.cpu_threads = number(optarg, 1, 1024); break;
        case 'w': s.options.workers = number(optarg, 1, 65536); break;
        case 'l': s.options.lanes = number(optarg, 1, 1024); break;
        case 'a': s.actors = number(optarg, 1, 1048576); break;
        case 'H': s.host_threads = number(optarg, 1, 64); break;
        case 'W': s.window = number(optarg, 1, 1048576); break;
        case 'B': s.batch = number(optarg, 1, 4096); break;
        case 'r': s.runs = number(optarg, 1, MAX_RUNS); break;
        case 'o': only = optarg; break;
        case 'T': trace_options.every = number(optarg, 1, UINT32_MAX); break;
        case 'q': s.divisor = 50, s.runs = 2; break;
        case 'j': json = 1; break;
        case 'h': fputs(help, stdout); return 0;
        default: fputs(help, stderr); return 2;
        }
    }
    if (optind != argc || s.window < s.batch) {
        fputs(optind != argc ? help : "benchmark: the window is smaller than the batch\n", stderr);
        return 2;
    }
    if (getrandom(&s.seed, sizeof s.seed, 0) != (ssize_t)sizeof s.seed) {
        perror("benchmark: getrandom");
        return 1;
    }

    uint32_t cpus[CPU_SETSIZE];
    rk_error error;
    place(&s, &runtime_options, cpus);
    s.ns_per_tick = measure_ns_per_tick();
    must(rk_runtime_create(RK_VERSION, &runtime_options, &s.runtime, &error), "rk_runtime_create", &error);
    must(rk_module_create(s.runtime, &benchmarks, &s.module, &error), "rk_module_create", &error);

    open_floors(&s);

    if (trace_options.every != 0)
        must(rk_trace_start(s.runtime, &trace_options, &error), "rk_trace_start", &error);

    if (!json)
        printf("medians of %u runs; %u thread(s) of the CPU backend, %s\n%-52s %10s %-8s %18s  %s\n", s.runs,
               runtime_options.cpu_threads, s.floor_cpu >= 0 ? "each on its own processor" : "not bound to processors",
               "", "ringkernel", "", "floor, times it", "target");
    uint32_t matches = 0;
    for (size_t i = 0; i < sizeof measurements / sizeof *measurements; i++) {
        if (strncmp(measurements[i].name, only, strlen(only)) != 0)
            continue;
        measurements[i].run(&s);
        matches++;
    }
    must(rk_runtime_destroy(s.runtime), "rk_runtime_destroy", NULL);
    if (s.cuda != NULL)
        floor_cuda_close(s.cuda);
    if (s.vulkan != NULL)
        floor_vulkan_close(s.vulkan);
    if (matches == 0) {
        fprintf(stderr, "benchmark: no measurement begins with '%s'; see --help\n", only);
        return 2;
    }
    return 0;
}

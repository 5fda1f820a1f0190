/* What the measurements share. */
#ifndef BENCHMARK_H
#define BENCHMARK_H

#include <ringkernel.h>

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

typedef struct setup {
    rk_runtime runtime;
    rk_module module;
    rk_kernel_options options; /* backend, workers and lanes as given on the command line */
    uint32_t actors;           /* of the echo measurement that the command line asks for; 0: none */
    uint32_t host_threads;     /* of the same */
    uint32_t window;           /* messages on their way, for each worker */
    uint32_t batch;            /* messages of one rk_send_many() */
    uint32_t runs;
    uint32_t divisor; /* of the numbers of messages: 1, more with --quick */
    int floor_cpu;               /* where the library's thread runs, too; -1: anywhere */
    struct floor_cuda *cuda;     /* floors of the CUDA backend; NULL: there are none */
    struct floor_vulkan *vulkan; /* likewise */
    double ns_per_tick;
    uint64_t seed; /* advanced by random_next() */
} setup;

enum { MAX_RUNS = 99, NAME_SIZE = 96 };

/* One measurement: all runs, and the lines about them. */
void measure_round_trips(setup *s);
void measure_send(setup *s);
void measure_batches(setup *s);
void measure_echoes(setup *s);
void measure_batched(setup *s);
void measure_hops(setup *s);
void measure_batons(setup *s);
void measure_fanout(setup *s);
void measure_creation(setup *s);
void measure_memory(setup *s);
void measure_park(setup *s);
void measure_idle(setup *s);
void measure_floors(setup *s);
void measure_calls(setup *s);

/* Prints a line. floor: the same done by hand, or NONE. target: what the CPU backend is to reach on two processors, or
 * NONE; at_most says which way. */
#define NONE (-1.0)
enum { AT_LEAST = 0, AT_MOST = 1 };
void report(const setup *s, const char *name, const char *unit, double value, double floor, int at_most, double target);
/* The same, with a target of the backend that is measured. */
void report_goal(const setup *s, const char *name, const char *unit, double value, double floor, int at_most,
                 double target);

/* Of all runs, in microseconds. */
typedef struct shares {
    double p50[MAX_RUNS], p99[MAX_RUNS], p999[MAX_RUNS];
} shares;
void add_run(shares *all, uint32_t run, uint32_t *samples, uint32_t count, double us_per_tick);
/* Three lines of medians. floor: may be NULL. target: of the p50. */
void report_shares(const setup *s, const char *what, shares *all, shares *floor, double target);

/* Ends the program, with exit status 1, unless the status is RK_OK. error: may be NULL. */
void must(rk_status status, const char *what, const rk_error *error);
/* Ends the program because a reply was wrong. */
_Noreturn void wrong(const char *what);

/* Sorts. share: 0.5 for the median. */
double share_of(double *values, uint32_t count, double share);
double share_of_ticks(uint32_t *values, uint32_t count, double share);
/* The median of values that a counter gives which advances in steps, of 10 ns on some processors: each stands for all
 * within half a step of it, as usual for the median of grouped data. Sorts. */
double median_of_steps(uint32_t *values, uint32_t count);

/* Launches and activates a kernel of `actors` actors; addresses: receives theirs. */
rk_kernel launch(const setup *s, const char *actor, const rk_kernel_options *options, rk_actor *addresses);
/* Checks that the kernel has handled so many messages and lost none, and destroys it. */
void finish(rk_kernel kernel, uint64_t handled);

/* Whether a GPU backend's pump stays on the device when nothing comes for a while, or leaves it. */
int pump_stays(setup *s);

/* Room for what one poll receives. */
enum { POLL_MESSAGES = 256, POLL_BYTES = POLL_MESSAGES * 64 };
typedef struct inbox {
    alignas(16) unsigned char payloads[POLL_BYTES];
    rk_message messages[POLL_MESSAGES];
    uint32_t count;
} inbox;

/* Polls without sleeping until something is there; ends the program when nothing comes for ten seconds. queue: the
 * runtime's own if zero. */
void receive(rk_runtime runtime, rk_queue queue, inbox *in);
/* One poll: what is there, which may be nothing. */
void receive_some(rk_runtime runtime, rk_queue queue, inbox *in);

#endif

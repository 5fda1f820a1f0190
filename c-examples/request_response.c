/* request_response: correlation ids, priorities, deadlines, calls with a timeout, and an epoll loop.
 *
 * Usage: request_response [--backend auto|cpu|cuda|vulkan] [--requests N]
 */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include "common.h"
#include "request_response.rk.h"

#include <getopt.h>
#include <inttypes.h>
#include <ringkernel/module.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

RK_DECLARE_MODULE(request_response);

#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)

struct host {
    rk_runtime runtime;
    rk_kernel kernel;
    rk_actor oracle;
    int epoll;
};

static const char *priority_name(uint32_t priority) {
    return priority >= RK_PRIORITY_CRITICAL ? "critical"
           : priority >= RK_PRIORITY_HIGH   ? "high"
           : priority >= RK_PRIORITY_NORMAL ? "normal"
                                            : "low";
}

static void activate(const struct host *host) {
    rk_error error;
    check(rk_kernel_activate(host->kernel, &error), &error, "rk_kernel_activate");
}

/* What is sent to a suspended kernel waits. */
static void suspend(const struct host *host) {
    rk_error error;
    check(rk_kernel_deactivate(host->kernel, &error), &error, "rk_kernel_deactivate");
}

static void ask(const struct host *host, uint32_t number, const rk_send_options *options) {
    const question message = {.number = number};
    check(rk_send(host->oracle, RK_TYPE(question), &message, RK_SIZE(question), options), NULL, "rk_send");
}

static void print_message(const rk_message *message) {
    if (message->kind == RK_MESSAGE_REPLY) {
        const answer *reply = message->payload;
        printf("    correlation %" PRIu64 ": %" PRIu32 " squared is %" PRIu64 ", answered as number %" PRIu32 "\n",
               message->correlation, reply->number, reply->square, reply->turn);
    } else if (message->kind == RK_MESSAGE_DEAD_LETTER) {
        printf("    correlation %" PRIu64 ": dead letter, %s\n", message->correlation,
               message->reason == RK_DEAD_EXPIRED ? "its deadline had passed" : "for another reason");
    }
}

/* Receives `count` messages in a loop as a program has it that waits for sockets too: poll until nothing is left, arm
 * the descriptor, and sleep only if nothing came in between. */
static void receive(const struct host *host, uint32_t count) {
    while (count > 0) {
        rk_message messages[16];
        _Alignas(16) unsigned char payloads[1024];
        uint32_t received;
        rk_status status = rk_poll(host->runtime, messages, 16, payloads, sizeof payloads, 0, &received);
        if (status == RK_OK) {
            for (uint32_t i = 0; i < received; i++) {
                print_message(&messages[i]);
            }
            count = received < count ? count - received : 0;
            continue;
        }
        if (status != RK_AGAIN) {
            check(status, NULL, "rk_poll");
        }
        status = rk_runtime_arm(host->runtime);
        if (status == RK_AGAIN) {
            continue;
        }
        check(status, NULL, "rk_runtime_arm");
        struct epoll_event event;
        if (epoll_wait(host->epoll, &event, 1, 10000) != 1) {
            fprintf(stderr, "epoll_wait: no message within 10 seconds\n");
            exit(EXIT_FAILURE);
        }
    }
}

static int create_epoll(rk_runtime runtime) {
    rk_error error;
    int32_t fd;
    check(rk_runtime_fd(runtime, &fd, &error), &error, "rk_runtime_fd");
    struct epoll_event interest = {.events = EPOLLIN, .data.fd = fd};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest) != 0) {
        perror("epoll");
        exit(EXIT_FAILURE);
    }
    return epoll;
}

static void show_correlation(const struct host *host, uint32_t requests) {
    printf("%" PRIu32 " requests, each answer with its correlation id:\n", requests);
    rk_send_options options = RK_SEND_OPTIONS_INIT;
    options.timeout_ns = SECOND;
    for (uint32_t i = 1; i <= requests; i++) {
        options.correlation = 1000 + i;
        ask(host, i, &options);
    }
    receive(host, requests);
}

static void show_priorities(const struct host *host) {
    static const uint32_t priorities[] = {RK_PRIORITY_LOW,    RK_PRIORITY_LOW,  RK_PRIORITY_NORMAL,
                                          RK_PRIORITY_NORMAL, RK_PRIORITY_HIGH, RK_PRIORITY_CRITICAL};
    const uint32_t count = sizeof priorities / sizeof *priorities;
    printf("priorities, sent to a kernel that is suspended:\n");
    suspend(host);
    rk_send_options options = RK_SEND_OPTIONS_INIT;
    for (uint32_t i = 0; i < count; i++) {
        options.priority = priorities[i];
        options.correlation = 2000 + i;
        printf("    correlation %" PRIu64 ": %s\n", options.correlation, priority_name(options.priority));
        ask(host, i, &options);
    }
    printf("the order in which they are answered:\n");
    activate(host);
    receive(host, count);
}

static void show_deadlines(const struct host *host) {
    printf("deadlines of 1 ms and of an hour, to a kernel that is suspended for 5 ms:\n");
    suspend(host);
    rk_send_options options = RK_SEND_OPTIONS_INIT;
    options.deadline_ns = (uint64_t)MILLISECOND;
    options.correlation = 3001;
    ask(host, 1, &options);
    options.deadline_ns = (uint64_t)(3600 * SECOND);
    options.correlation = 3002;
    ask(host, 2, &options);
    nanosleep(&(struct timespec){.tv_nsec = 5 * MILLISECOND}, NULL);
    activate(host);
    receive(host, 2);
}

static void call(const struct host *host, uint32_t number, int64_t timeout_ns) {
    const question message = {.number = number};
    answer reply;
    rk_error error;
    rk_status status = rk_call(host->oracle, RK_TYPE(question), &message, RK_SIZE(question), NULL, &reply,
                               sizeof reply, NULL, timeout_ns, &error);
    if (status == RK_TIMEOUT) {
        printf("    RK_TIMEOUT: no answer in time\n");
    } else {
        check(status, &error, "rk_call");
        printf("    RK_OK: %" PRIu32 " squared is %" PRIu64 "\n", reply.number, reply.square);
    }
}

static void show_calls(const struct host *host) {
    printf("calls, which send and wait for the answer: to an active kernel, to a suspended one, to it again:\n");
    call(host, 12, 10 * SECOND);
    suspend(host);
    call(host, 13, 20 * MILLISECOND);
    activate(host); /* the late answer to 13 is discarded */
    call(host, 14, 10 * SECOND);
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"backend", required_argument, NULL, 'b'}, {"requests", required_argument, NULL, 'r'}, {0}};
    rk_runtime_options runtime_options = RK_RUNTIME_OPTIONS_INIT;
    uint32_t requests = 5;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'b': runtime_options.backend = parse_backend(optarg); break;
        case 'r': requests = parse_number("--requests", optarg, 1, 1000); break;
        default: return EXIT_FAILURE;
        }
    }

    struct host host;
    rk_error error;
    rk_module module;
    check(rk_runtime_create(RK_VERSION, &runtime_options, &host.runtime, &error), &error, "rk_runtime_create");
    check(rk_module_create(host.runtime, &request_response, &module, &error), &error, "rk_module_create");
    check(rk_kernel_launch(host.runtime, module, NULL, 0, NULL, &host.kernel, &error), &error, "rk_kernel_launch");
    check(rk_kernel_actor(host.kernel, 0, &host.oracle), NULL, "rk_kernel_actor");
    host.epoll = create_epoll(host.runtime);
    activate(&host);

    show_correlation(&host, requests);
    show_priorities(&host);
    show_deadlines(&host);
    show_calls(&host);

    close(host.epoll);
    check(rk_runtime_destroy(host.runtime), NULL, "rk_runtime_destroy");
    return EXIT_SUCCESS;
}

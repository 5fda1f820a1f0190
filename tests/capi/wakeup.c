/* Waiting: the eventfd with its arm call, and polls of many threads on one and on several queues. Nothing is lost and
 * nobody sleeps through a message. */
#include "fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { SECOND_MS = 1000, BATCH = 32 };
#define SECOND INT64_C(1000000000)

static bool readable(int32_t fd, int timeout_ms) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready = poll(&wait, 1, timeout_ms);
    CHECK(ready >= 0);
    return ready == 1 && (wait.revents & POLLIN) != 0;
}

static uint32_t take(rk_queue queue, rk_runtime runtime, rk_message *messages, unsigned char *payloads, size_t bytes) {
    uint32_t count = 0;
    rk_status status = queue.id != 0 ? rk_queue_poll(queue, messages, BATCH, payloads, bytes, 0, &count)
                                     : rk_poll(runtime, messages, BATCH, payloads, bytes, 0, &count);
    if (status == RK_AGAIN) {
        CHECK_EQ(count, 0);
        return 0;
    }
    CHECK_OK(status);
    CHECK(count >= 1 && count <= BATCH);
    return count;
}

CASE(wakeup_descriptor_contract) {
    fixture all = fixture_open();
    int32_t fd = -1, again = -1, other = -1;
    CHECK_DONE(rk_runtime_fd(all.runtime, &fd, &test_error));
    CHECK_DONE(rk_runtime_fd(all.runtime, &again, &test_error));
    CHECK_DONE(rk_queue_fd(all.queue, &other, &test_error));
    CHECK_EQ(fd, again);
    CHECK(fd >= 0 && other >= 0 && fd != other);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    rk_message messages[BATCH];
    _Alignas(16) unsigned char payloads[BATCH * sizeof(answer)];
    for (int round = 0; round < 100; round++) {
        CHECK_OK(rk_runtime_arm(all.runtime));
        CHECK_OK(rk_runtime_arm(all.runtime)); /* harmless */
        CHECK(!readable(fd, 0));
        CHECK_OK(rk_send(all.actor, RK_TYPE(poke), NULL, 0, NULL));
        CHECK(readable(fd, 30 * SECOND_MS));
        CHECK(readable(fd, 0)); /* and stays so */
        CHECK_STATUS(rk_runtime_arm(all.runtime), RK_AGAIN);
        CHECK_EQ(take((rk_queue){0}, all.runtime, messages, payloads, sizeof payloads), 1);
        CHECK_EQ(messages[0].kind, RK_MESSAGE_EMIT);
        CHECK_OK(rk_runtime_arm(all.runtime));
        CHECK(!readable(fd, 0));
        CHECK(!readable(other, 0));
    }
    fixture_close(&all);
}

typedef struct stream {
    fixture *all;
    rk_kernel kernel;
    rk_queue queues[4]; /* zero: the runtime's own */
    uint32_t each;      /* messages of each sender */
    bool with_epoll;
} stream;

enum { STREAM_SENDERS = 2 };

/* Waits on nothing but the descriptor. If a wake-up is lost it stands still, and says so. */
static void receive(stream *with, rk_queue queue, uint32_t expected) {
    int32_t fd = -1;
    if (queue.id != 0) CHECK_DONE(rk_queue_fd(queue, &fd, &test_error));
    else CHECK_DONE(rk_runtime_fd(with->all->runtime, &fd, &test_error));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(epoll >= 0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    rk_message messages[BATCH];
    _Alignas(16) unsigned char payloads[BATCH * sizeof(answer)];
    for (uint32_t received = 0; received < expected;) {
        uint32_t count = take(queue, with->all->runtime, messages, payloads, sizeof payloads);
        received += count;
        if (count > 0) continue;
        rk_status armed = queue.id != 0 ? rk_queue_arm(queue) : rk_runtime_arm(with->all->runtime);
        if (armed == RK_AGAIN) continue;
        CHECK_OK(armed);
        bool woken =
            with->with_epoll ? epoll_wait(epoll, &event, 1, 30 * SECOND_MS) == 1 : readable(fd, 30 * SECOND_MS);
        if (!woken) test_fail(__FILE__, __LINE__, "asleep after %u of %u messages", received, expected);
    }
    CHECK_EQ(take(queue, with->all->runtime, messages, payloads, sizeof payloads), 0);
    close(epoll);
}

static void stream_thread(unsigned index, void *shared) {
    stream *with = shared;
    if (index == STREAM_SENDERS) {
        receive(with, with->queues[0], with->each * STREAM_SENDERS);
        return;
    }
    uint64_t random = test_seed() + index;
    rk_send_options patient = RK_SEND_OPTIONS_INIT;
    patient.timeout_ns = RK_FOREVER;
    for (uint32_t sent = 0; sent < with->each; sent++) {
        rk_actor actor;
        CHECK_OK(rk_kernel_actor(with->kernel, test_random_below(&random, FIXTURE_ACTORS), &actor));
        CHECK_OK(rk_send(actor, RK_TYPE(poke), NULL, 0, &patient));
        /* Now and then a pause of random length, so that the receiver falls asleep at every point of its loop. */
        if (test_random_below(&random, 16) == 0)
            for (uint32_t spin = test_random_below(&random, 20000); spin > 0; spin--)
                atomic_signal_fence(memory_order_seq_cst);
    }
}

CASE(wakeup_under_load_poll) {
    fixture all = fixture_open();
    stream with = {.all = &all, .kernel = all.kernel, .each = test_load(30000)};
    test_threads(STREAM_SENDERS + 1, stream_thread, &with);
    fixture_close(&all);
}

CASE(wakeup_under_load_epoll) {
    fixture all = fixture_open();
    stream with = {.all = &all, .each = test_load(30000), .with_epoll = true};
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = FIXTURE_ACTORS;
    options.queues = &all.queue;
    options.queue_count = 1;
    with.queues[0] = all.queue;
    with.kernel = fixture_launch(all.runtime, all.module, &options);
    CHECK_DONE(rk_kernel_activate(with.kernel, &test_error));
    test_threads(STREAM_SENDERS + 1, stream_thread, &with);
    CHECK_OK(rk_kernel_destroy(with.kernel));
    fixture_close(&all);
}

enum { QUEUES = 4, QUEUE_ACTORS = 16 };

static void several_queues(unsigned index, void *shared) {
    stream *with = shared;
    if (index < QUEUES) {
        receive(with, with->queues[index], with->each * QUEUE_ACTORS / QUEUES);
        return;
    }
    rk_send_options patient = RK_SEND_OPTIONS_INIT;
    patient.timeout_ns = RK_FOREVER;
    for (uint32_t sent = 0; sent < with->each; sent++)
        for (uint32_t i = 0; i < QUEUE_ACTORS; i++) {
            rk_actor actor;
            CHECK_OK(rk_kernel_actor(with->kernel, i, &actor));
            CHECK_OK(rk_send(actor, RK_TYPE(poke), NULL, 0, &patient));
        }
}

/* Each worker's messages come to its queue, and to no other. */
CASE(wakeup_several_queues) {
    fixture all = fixture_open();
    stream with = {.all = &all, .each = test_load(2000), .with_epoll = true};
    for (unsigned i = 0; i < QUEUES; i++) CHECK_DONE(rk_queue_create(all.runtime, &with.queues[i], &test_error));
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = QUEUE_ACTORS;
    options.workers = QUEUES;
    options.queues = with.queues;
    options.queue_count = QUEUES;
    with.kernel = fixture_launch(all.runtime, all.module, &options);
    CHECK_DONE(rk_kernel_activate(with.kernel, &test_error));
    /* Actors are divided in equal runs: 0 to 3 are the first worker's, whose queue is the first. */
    for (uint32_t i = 0; i < QUEUE_ACTORS; i++) {
        rk_actor actor;
        CHECK_OK(rk_kernel_actor(with.kernel, i, &actor));
        CHECK_OK(rk_send(actor, RK_TYPE(poke), NULL, 0, NULL));
        rk_message message;
        answer emitted;
        uint32_t count = 0;
        CHECK_OK(rk_queue_poll(with.queues[i * QUEUES / QUEUE_ACTORS], &message, 1, &emitted, sizeof emitted,
                               30 * SECOND, &count));
        CHECK_EQ(message.from.id, actor.id);
        CHECK_EQ(emitted.seen, 1);
    }
    test_threads(QUEUES + 1, several_queues, &with);
    CHECK_OK(rk_kernel_destroy(with.kernel));
    for (unsigned i = 0; i < QUEUES; i++) CHECK_OK(rk_queue_destroy(with.queues[i]));
    fixture_close(&all);
}

enum { SHARERS = 4 };

typedef struct sharing {
    fixture *all;
    uint32_t total;
    atomic_uint received;
    atomic_uchar *seen; /* by the emit's number */
} sharing;

static void share(unsigned index, void *shared) {
    sharing *with = shared;
    if (index == SHARERS) {
        rk_send_options patient = RK_SEND_OPTIONS_INIT;
        patient.timeout_ns = RK_FOREVER;
        for (uint32_t i = 0; i < with->total; i++)
            CHECK_OK(rk_send(with->all->actor, RK_TYPE(poke), NULL, 0, &patient));
        return;
    }
    while (atomic_load(&with->received) < with->total) {
        rk_message messages[4];
        _Alignas(16) answer payloads[4];
        uint32_t count = 0;
        rk_status status = rk_poll(with->all->runtime, messages, 4, payloads, sizeof payloads, SECOND / 20, &count);
        if (status == RK_TIMEOUT) continue;
        CHECK_OK(status);
        for (uint32_t i = 0; i < count; i++) {
            answer emitted;
            memcpy(&emitted, messages[i].payload, sizeof emitted);
            CHECK(emitted.seen >= 1 && emitted.seen <= with->total);
            CHECK_EQ(atomic_exchange(&with->seen[emitted.seen - 1], 1), 0);
        }
        atomic_fetch_add(&with->received, count);
    }
}

/* Threads that poll one queue together share its messages: each comes to exactly one of them. */
CASE(wakeup_threads_share_a_queue) {
    fixture all = fixture_open();
    sharing with = {.all = &all, .total = test_load(50000)};
    with.seen = calloc(with.total, sizeof *with.seen);
    CHECK(with.seen != NULL);
    test_threads(SHARERS + 1, share, &with);
    CHECK_EQ(with.received, with.total);
    free(with.seen);
    fixture_close(&all);
}

static void wait_for_one(unsigned index, void *shared) {
    sharing *with = shared;
    if (index == SHARERS) {
        for (unsigned i = 0; i < SHARERS; i++) CHECK_OK(rk_send(with->all->actor, RK_TYPE(poke), NULL, 0, NULL));
        return;
    }
    rk_message message;
    answer emitted;
    uint32_t count = 0;
    CHECK_OK(rk_poll(with->all->runtime, &message, 1, &emitted, sizeof emitted, RK_FOREVER, &count));
    CHECK_EQ(count, 1);
}

/* Four threads asleep on one queue, four messages: all of them wake. */
CASE(wakeup_wakes_as_many_as_there_are_messages) {
    fixture all = fixture_open();
    sharing with = {.all = &all};
    for (uint32_t round = 0; round < test_load(500); round++) test_threads(SHARERS + 1, wait_for_one, &with);
    fixture_close(&all);
}

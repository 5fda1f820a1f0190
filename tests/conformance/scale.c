/* Many actors, many kernels, and what actors know about themselves. */
#include "world.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Who am I, how many are we, who is asking. */
CASE(scale_identity) {
    enum { ACTORS = 37 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS));
    rk_kernel_statistics stats = stats_of(kernel);
    CHECK_EQ(stats.actors, ACTORS);
    CHECK(stats.workers >= 1 && stats.workers <= ACTORS);
    if (world_backend != RK_BACKEND_AUTO) CHECK_EQ(stats.backend, world_backend);
    for (uint32_t i = 0; i < ACTORS; i++) {
        visit message = {.nonce = i};
        visited got;
        ask_for(actor_of(kernel, i), RK_TYPE(visit), &message, sizeof message, RK_TYPE(visited), &got, sizeof got);
        CHECK_EQ(got.index, i);
        CHECK_EQ(got.actors, ACTORS);
        CHECK_EQ(got.self, actor_of(kernel, i).id);
        CHECK_EQ(got.next_peer, actor_of(kernel, (i + 1) % ACTORS).id);
        CHECK_EQ(rk_actor_index(actor_of(kernel, i)), i);
        CHECK_EQ(got.sender, 0);
        CHECK_EQ(got.from_host, 1);
        CHECK_EQ(got.lanes, stats.lanes);
        CHECK_EQ(got.seen, 1);
    }
    world_close(&w);
}

CASE(scale_initial_state) {
    enum { ACTORS = 20 };
    world w = world_open();
    uint64_t random = test_seed();
    for (int zero = 0; zero < 2; zero++) {
        struct patient state;
        memset(&state, 0, sizeof state);
        if (!zero) test_random_bytes(&random, &state, sizeof state);
        struct patient given = state;
        rk_kernel kernel = world_launch(&w, "patient",
                                        OPTIONS(.actors = ACTORS, .initial_state = zero ? NULL : &given,
                                                .initial_state_size = zero ? 0 : sizeof given));
        memset(&given, 0xEE, sizeof given); /* it was copied */
        CHECK_DONE(rk_kernel_activate(kernel, &test_error));
        for (uint32_t i = 0; i < ACTORS; i++) {
            reveal question = {.first = 0};
            revealed got;
            for (int again = 0; again < 2; again++) {
                ask_for(actor_of(kernel, i), RK_TYPE(reveal), &question, sizeof question, RK_TYPE(revealed), &got,
                        sizeof got);
                CHECK_EQ(got.seen, state.seen + (uint64_t)again);
                CHECK_EQ(got.work, state.work);
                for (int k = 0; k < 61; k++) CHECK_EQ(got.given[k], state.given[k]);
                visit message = {.nonce = 0};
                visited seen;
                ask_for(actor_of(kernel, i), RK_TYPE(visit), &message, sizeof message, RK_TYPE(visited), &seen,
                        sizeof seen);
            }
        }
        CHECK_OK(rk_kernel_destroy(kernel));
    }
    world_close(&w);
}

/* All lanes of a worker share its scratch memory, and different workers have different ones. */
CASE(scale_scratch) {
    enum { ACTORS = 8, ROUNDS = 50 };
    world w = world_open();
    rk_kernel kernel = world_start(&w, "patient", OPTIONS(.actors = ACTORS, .workers = 4));
    uint64_t random = test_seed();
    uint32_t seeds[ROUNDS * ACTORS];
    for (uint32_t i = 0; i < ROUNDS * ACTORS; i++) {
        scribble message = {.seed = seeds[i] = (uint32_t)test_random(&random)};
        send_with(actor_of(kernel, i % ACTORS), RK_TYPE(scribble), &message, sizeof message, SENDING(.correlation = i));
    }
    for (uint32_t i = 0; i < ROUNDS * ACTORS; i++) {
        scribbled got;
        rk_message message = next_message(&w, &got, sizeof got);
        CHECK_EQ(got.wrong, 0);
        CHECK(message.correlation < ROUNDS * ACTORS);
        uint32_t sum = 0;
        for (uint32_t k = 0; k < 2048; k++) sum += k * 2654435761u + seeds[message.correlation];
        CHECK_EQ(got.sum, sum);
    }
    world_close(&w);
}

typedef struct crowd {
    world w;
    rk_kernel kernel;
    uint32_t actors;
} crowd;

static void reach_all(unsigned index, void *shared) {
    enum { BATCH = 256 };
    const crowd *with = shared;
    if (index == 0) {
        static visit visits[BATCH];
        static rk_outbound batch[BATCH];
        for (uint32_t start = 0; start < with->actors; start += BATCH) {
            uint32_t count = with->actors - start < BATCH ? with->actors - start : BATCH;
            memset(batch, 0, sizeof batch);
            for (uint32_t i = 0; i < count; i++) {
                visits[i].nonce = (uint64_t)(start + i) * 7;
                batch[i].to = actor_of(with->kernel, start + i);
                batch[i].payload = &visits[i];
                batch[i].type = RK_TYPE(visit);
                batch[i].size = sizeof visits[i];
            }
            CHECK_OK(rk_send_many(batch, count, PATIENCE, NULL));
        }
        return;
    }
    static rk_message messages[BATCH];
    static _Alignas(16) unsigned char payloads[BATCH * sizeof(visited)];
    bool *reached = calloc(with->actors, sizeof *reached);
    CHECK(reached != NULL);
    for (uint32_t received = 0; received < with->actors;) {
        uint32_t count = 0;
        CHECK_OK(rk_poll(with->w.runtime, messages, BATCH, payloads, sizeof payloads, PATIENCE, &count));
        for (uint32_t i = 0; i < count; i++) {
            const visited *got = messages[i].payload;
            CHECK(got->index < with->actors && !reached[got->index]);
            CHECK_EQ(got->nonce, (uint64_t)got->index * 7);
            CHECK_EQ(got->seen, 1);
            CHECK_EQ(got->actors, with->actors);
            CHECK_EQ(rk_actor_index(messages[i].from), got->index);
            reached[got->index] = true;
        }
        received += count;
    }
    free(reached);
}

CASE(scale_a_million_actors) {
    crowd with = {.w = world_open(), .actors = test_load(1000000)};
    with.kernel = world_start(&with.w, "patient", OPTIONS(.actors = with.actors));
    test_threads(2, reach_all, &with);
    rk_kernel_statistics stats = stats_of(with.kernel);
    CHECK_EQ(stats.actors, with.actors);
    CHECK(stats.memory >= (uint64_t)with.actors * sizeof(struct patient));
    CHECK_AT_MOST(stats.memory_per_actor, 128);
    world_close(&with.w);
}

typedef struct churning {
    world w;
    rk_kernel resident;
    uint32_t rounds;
    atomic_bool over;
} churning;

static void churn_or_call(unsigned index, void *shared) {
    churning *with = shared;
    visit message = {.nonce = index};
    visited got;
    if (index < 2) {
        for (uint32_t i = 0; i < with->rounds; i++) {
            rk_kernel kernel = world_start(&with->w, "patient", OPTIONS(.actors = 1 + i % 5, .inbound_capacity = 16));
            rk_actor to = actor_of(kernel, i % (1 + i % 5));
            ask_for(to, RK_TYPE(visit), &message, sizeof message, RK_TYPE(visited), &got, sizeof got);
            CHECK_EQ(got.nonce, index);
            CHECK_EQ(got.seen, 1);
            CHECK_OK(rk_kernel_destroy(kernel));
            CHECK_STATUS(rk_send(to, RK_TYPE(visit), &message, sizeof message, NULL), RK_ERROR_STALE_HANDLE);
        }
        atomic_store(&with->over, true);
        return;
    }
    for (uint64_t seen = 1; !atomic_load(&with->over); seen++) {
        ask_for(actor_of(with->resident, index), RK_TYPE(visit), &message, sizeof message, RK_TYPE(visited), &got,
                sizeof got);
        CHECK_EQ(got.seen, seen);
    }
}

/* Kernels come and go while another one works. */
CASE(scale_kernels_come_and_go) {
    churning with = {.w = world_open(), .rounds = test_load(500)};
    with.resident = world_start(&with.w, "patient", OPTIONS(.actors = 4));
    test_threads(4, churn_or_call, &with);
    CHECK_DONE(rk_kernel_drain(with.resident, PATIENCE, &test_error));
    check_accounts(with.resident);
    world_close(&with.w);
}

/* Many at once. */
CASE(scale_many_kernels) {
    enum { KERNELS = 100 };
    world w = world_open();
    rk_kernel kernels[KERNELS];
    for (int i = 0; i < KERNELS; i++)
        kernels[i] = world_start(&w, "patient", OPTIONS(.actors = 3, .inbound_capacity = 8));
    for (uint64_t round = 1; round <= 3; round++) {
        for (uint64_t i = 0; i < KERNELS; i++) {
            visit message = {.nonce = i};
            send_to(actor_of(kernels[i], 1), RK_TYPE(visit), &message, sizeof message);
        }
        bool answered[KERNELS] = {false};
        for (int i = 0; i < KERNELS; i++) {
            visited got;
            next_message(&w, &got, sizeof got);
            CHECK(got.nonce < KERNELS && !answered[got.nonce]);
            CHECK_EQ(got.self, actor_of(kernels[got.nonce], 1).id);
            CHECK_EQ(got.seen, round);
            answered[got.nonce] = true;
        }
    }
    world_close(&w);
}

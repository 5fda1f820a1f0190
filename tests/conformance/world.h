/* What every case of the conformance suite starts from: a runtime on the backend under test, and the actors. */
#ifndef RK_TESTS_CONFORMANCE_WORLD_H
#define RK_TESTS_CONFORMANCE_WORLD_H

#include "../support/harness.h"
#include "delivery.rk.h"
#include "family.rk.h"
#include "lifecycle.rk.h"
#include "endurance.rk.h"
#include "payload.rk.h"
#include "routing.rk.h"
#include "topics.rk.h"

#define MILLISECOND INT64_C(1000000)
#define SECOND (1000 * MILLISECOND)
/* Longer than anything takes that works. */
#define PATIENCE (30 * SECOND)

/* From the command line. */
extern uint32_t world_backend, world_lanes, world_workers;
/* Seconds that endurance takes instead of a number of messages; or 0. */
extern uint32_t world_soak;

typedef struct world {
    rk_runtime runtime;
    rk_module module;
} world;

world world_open(void);
world world_open_with(rk_runtime_options options);
void world_close(const world *w);

/* Launches actors with the lanes and workers of the command line where the options do not say. Not yet active. */
rk_kernel world_launch(const world *w, const char *actor, rk_kernel_options options);
/* The same, and activated. */
rk_kernel world_start(const world *w, const char *actor, rk_kernel_options options);
#define OPTIONS(...) ((rk_kernel_options){.struct_size = sizeof(rk_kernel_options), __VA_ARGS__})

rk_actor actor_of(rk_kernel kernel, uint32_t index);
rk_kernel_statistics stats_of(rk_kernel kernel);
uint32_t state_of(rk_kernel kernel);
/* accepted = handled + dead_letters + pending, of a kernel that is at rest. */
rk_kernel_statistics check_accounts(rk_kernel kernel);

/* Sends, waiting for room as long as it takes. */
void send_to(rk_actor to, uint32_t type, const void *payload, uint32_t size);
void send_with(rk_actor to, uint32_t type, const void *payload, uint32_t size, rk_send_options options);
#define SENDING(...) ((rk_send_options){.struct_size = sizeof(rk_send_options), __VA_ARGS__})

/* Asks and waits for a reply of exactly that type and size. */
void ask_for(rk_actor to, uint32_t type, const void *payload, uint32_t size, uint32_t reply_type, void *reply,
             uint32_t reply_size);
/* Tells an actor whose handler answers with `attached`. */
void attach_to(rk_actor actor, rk_actor next);
tally inquire_of(rk_actor actor);

/* The next message for the host; the payload goes to `payload`, which has room for `bytes`. */
rk_message next_message(const world *w, void *payload, size_t bytes);
/* There is none, and none comes within some milliseconds. */
void expect_silence(const world *w);

/* Waits until so many messages were handled. */
void wait_until_handled(rk_kernel kernel, uint64_t handled);
/* Waits until a drain that was begun before has come to its end. */
void wait_until_terminated(rk_kernel kernel);

#endif

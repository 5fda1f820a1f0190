/* One of everything, for the tests of the C interface. */
#ifndef RK_TESTS_CAPI_FIXTURE_H
#define RK_TESTS_CAPI_FIXTURE_H

#include "../support/harness.h"
#include "capi.rk.h"

RK_DECLARE_MODULE(capi);

enum { FIXTURE_ACTORS = 4, FIXTURE_BUFFER = 64 };

typedef struct fixture {
    rk_runtime runtime;
    rk_module module;
    rk_queue queue;   /* of the runtime, used by no kernel */
    rk_kernel kernel; /* active; its messages go to the runtime's own queue */
    rk_actor actor;   /* index 1 of the kernel */
    rk_alert alert;   /* of the runtime, for the handles' sake */
    rk_buffer buffer; /* of the runtime, FIXTURE_BUFFER bytes */
    rk_topic topic;   /* "fixture", without subscribers */
    rk_subscription subscription; /* of the runtime's own queue, to nothing */
} fixture;

/* The CPU backend, two threads. */
rk_runtime fixture_runtime(void);
rk_module fixture_module(rk_runtime runtime);
rk_kernel fixture_launch(rk_runtime runtime, rk_module module, const rk_kernel_options *options);
fixture fixture_open(void);
void fixture_close(const fixture *all);

rk_status fixture_buffer(const fixture *all, rk_buffer *buffer, rk_error *error);

/* Opens the topic; subscribes to what nobody publishes. */
rk_status fixture_topic(const fixture *all, rk_topic *topic, rk_error *error);
rk_status fixture_subscription(const fixture *all, rk_subscription *subscription, rk_error *error);

/* Creates an alert that is never raised. */
rk_status fixture_alert(const fixture *all, rk_alert *alert, rk_error *error);

/* The module as a file that rkc wrote; its bytes, read once. */
const char *fixture_file(void);
const void *fixture_file_bytes(size_t *size);

/* A snapshot of a fixture's kernel, taken when the first one was opened. */
const void *fixture_snapshot(size_t *size);

/* Asks an actor and verifies the answer: the kernel works. */
void fixture_verify(rk_actor actor);

#endif

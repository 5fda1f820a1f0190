#include "world.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RK_DECLARE_MODULE(conformance);

uint32_t world_backend = RK_BACKEND_CPU, world_lanes, world_workers, world_soak;

/* Validation layers say their say through the log, RINGKERNEL_VULKAN_VALIDATION permitting; it ends the case. */
static void listen(void *user, uint32_t level, const char *text, size_t length) {
    (void)user, (void)level;
    if (length >= 17 && memcmp(text, "Vulkan validation", 17) == 0) test_fail(__FILE__, __LINE__, "%.*s", (int)length, text);
}

world world_open_with(rk_runtime_options options) {
    options.backend = world_backend;
    if (options.log == NULL) options.log = listen;
    world w = {{0}, {0}};
    CHECK_DONE(rk_runtime_create(RK_VERSION, &options, &w.runtime, &test_error));
    CHECK_DONE(rk_module_create(w.runtime, &conformance, &w.module, &test_error));
    return w;
}

world world_open(void) {
    return world_open_with((rk_runtime_options)RK_RUNTIME_OPTIONS_INIT);
}

void world_close(const world *w) {
    CHECK_OK(rk_runtime_destroy(w->runtime));
}

rk_kernel world_launch(const world *w, const char *actor, rk_kernel_options options) {
    if (options.lanes == 0) options.lanes = world_lanes;
    if (options.workers == 0) options.workers = world_workers;
    if (options.workers > options.actors) options.workers = options.actors;
    rk_kernel kernel = {0};
    CHECK_DONE(rk_kernel_launch(w->runtime, w->module, actor, strlen(actor), &options, &kernel, &test_error));
    CHECK_EQ(state_of(kernel), RK_KERNEL_CREATED);
    return kernel;
}

rk_kernel world_start(const world *w, const char *actor, rk_kernel_options options) {
    rk_kernel kernel = world_launch(w, actor, options);
    CHECK_DONE(rk_kernel_activate(kernel, &test_error));
    return kernel;
}

rk_actor actor_of(rk_kernel kernel, uint32_t index) {
    rk_actor actor = {0};
    CHECK_OK(rk_kernel_actor(kernel, index, &actor));
    return actor;
}

rk_kernel_statistics stats_of(rk_kernel kernel) {
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_stats(kernel, &stats, &test_error));
    return stats;
}

uint32_t state_of(rk_kernel kernel) {
    uint32_t state = 0;
    CHECK_OK(rk_kernel_state(kernel, &state));
    return state;
}

rk_kernel_statistics check_accounts(rk_kernel kernel) {
    rk_kernel_statistics stats = stats_of(kernel);
    if (stats.accepted != stats.handled + stats.dead_letters + stats.pending)
        test_fail(__FILE__, __LINE__, "accepted %llu = handled %llu + dead letters %llu + pending %llu does not hold",
                  (unsigned long long)stats.accepted, (unsigned long long)stats.handled,
                  (unsigned long long)stats.dead_letters, (unsigned long long)stats.pending);
    return stats;
}

void send_with(rk_actor to, uint32_t type, const void *payload, uint32_t size, rk_send_options options) {
    options.timeout_ns = PATIENCE;
    CHECK_OK(rk_send(to, type, payload, size, &options));
}

void send_to(rk_actor to, uint32_t type, const void *payload, uint32_t size) {
    send_with(to, type, payload, size, SENDING(.priority = RK_PRIORITY_DEFAULT));
}

void ask_for(rk_actor to, uint32_t type, const void *payload, uint32_t size, uint32_t reply_type, void *reply,
             uint32_t reply_size) {
    rk_message message;
    CHECK_DONE(rk_call(to, type, payload, size, NULL, reply, reply_size, &message, PATIENCE, &test_error));
    CHECK_EQ(message.kind, RK_MESSAGE_REPLY);
    CHECK_EQ(message.type, reply_type);
    CHECK_EQ(message.size, reply_size);
}

void attach_to(rk_actor actor, rk_actor next) {
    attach message = {.to = next.id};
    ask_for(actor, RK_TYPE(attach), &message, sizeof message, RK_TYPE(attached), NULL, 0);
}

tally inquire_of(rk_actor actor) {
    tally counted;
    ask_for(actor, RK_TYPE(inquire), NULL, 0, RK_TYPE(tally), &counted, sizeof counted);
    return counted;
}

rk_message next_message(const world *w, void *payload, size_t bytes) {
    rk_message message;
    uint32_t count = 0;
    CHECK_OK(rk_poll(w->runtime, &message, 1, payload, bytes, PATIENCE, &count));
    CHECK_EQ(count, 1);
    CHECK(message.payload == (message.size > 0 ? payload : NULL));
    CHECK_EQ(message.reserved, 0);
    return message;
}

void expect_silence(const world *w) {
    rk_message message;
    uint32_t count = 0;
    rk_status status = rk_poll(w->runtime, &message, 1, NULL, 0, 20 * MILLISECOND, &count);
    if (status != RK_TIMEOUT)
        test_fail(__FILE__, __LINE__, "unexpected: %s, kind %u type %u reason %d", rk_status_name(status), message.kind,
                  message.type, message.reason);
}

void wait_until_handled(rk_kernel kernel, uint64_t handled) {
    int64_t deadline = test_now() + PATIENCE;
    for (uint64_t now; (now = stats_of(kernel).handled) < handled; sched_yield())
        if (test_now() >= deadline) CHECK_EQ(now, handled);
}

void wait_until_terminated(rk_kernel kernel) {
    int64_t deadline = test_now() + PATIENCE;
    while (state_of(kernel) != RK_KERNEL_TERMINATED) {
        CHECK(test_now() < deadline);
        sched_yield();
    }
}

static bool option(const char *name, const char *value) {
    static const char *const backends[] = {"auto", "cpu", "cuda", "vulkan"};
    char *end = NULL;
    if (strcmp(name, "--backend") == 0) {
        for (uint32_t i = 0; i < 4; i++) {
            if (strcmp(value, backends[i]) != 0) continue;
            world_backend = i;
            return true;
        }
        return false;
    }
    uint32_t *number = NULL;
    if (strcmp(name, "--lanes") == 0) number = &world_lanes;
    if (strcmp(name, "--workers") == 0) number = &world_workers;
    if (strcmp(name, "--soak") == 0) number = &world_soak;
    if (number == NULL) return false;
    *number = (uint32_t)strtoul(value, &end, 10);
    test_take_longer(world_soak);
    return *value != 0 && *end == 0;
}

/* Is there a device to run on? */
static void need_device(void) {
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.backend = world_backend;
    rk_runtime runtime = {0};
    rk_error error;
    rk_status status = rk_runtime_create(RK_VERSION, &options, &runtime, &error);
    if (status == RK_ERROR_NO_DEVICE || status == RK_ERROR_UNSUPPORTED) test_skip(error.message);
    CHECK_OK(status);
    uint32_t count = 0;
    CHECK_OK(rk_device_count(runtime, &count));
    char reason[512] = "there is no such device";
    for (uint32_t i = 0; i < count; i++) {
        rk_device_properties device = RK_DEVICE_PROPERTIES_INIT;
        CHECK_DONE(rk_device_info(runtime, i, &device, &test_error));
        if (world_backend != RK_BACKEND_AUTO && device.backend != world_backend) continue;
        if (device.usable == 0) {
            snprintf(reason, sizeof reason, "%s: %s", device.name, device.reason);
            continue;
        }
        CHECK_OK(rk_runtime_destroy(runtime));
        return;
    }
    test_skip(reason);
}

int main(int argc, char **argv) {
    return test_main(argc, argv, option, need_device);
}

/* heat_plate: the temperature of a metal plate whose edges are held hot and cold, by actors that share two buffers.
 *
 * The edges fall linearly from 100 degrees on the left to 0 on the right, so that the answer is known: so does the inside.
 *
 * Usage: heat_plate [--backend auto|cpu|cuda|vulkan] [--size N] [--actors N] [--lanes N]
 */
#include "common.h"
#include "heat_plate.rk.h"

#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <ringkernel/module.h>

RK_DECLARE_MODULE(heat_plate);

#define SECOND INT64_C(1000000000)

static float known_answer(uint32_t x, uint32_t size) {
    return 100.0f * (1.0f - (float)x / (float)(size - 1));
}

static float *cold_plate(uint32_t size) {
    float *plate = calloc((size_t)size * size, sizeof *plate);
    if (plate == NULL) exit(EXIT_FAILURE);
    for (uint32_t i = 0; i < size * size; i++) {
        const uint32_t x = i % size, y = i / size;
        if (x == 0 || y == 0 || x == size - 1 || y == size - 1) plate[i] = known_answer(x, size);
    }
    return plate;
}

/* Receives one message of a kind that only success brings. */
static rk_message receive(rk_runtime runtime, void *payload, size_t bytes) {
    rk_message message;
    uint32_t count;
    check(rk_poll(runtime, &message, 1, payload, bytes, 60 * SECOND, &count), NULL, "rk_poll");
    if (message.kind == RK_MESSAGE_DEAD_LETTER || (message.kind == RK_MESSAGE_EVENT && message.reason != RK_OK)) {
        fprintf(stderr, "unexpected: kind %" PRIu32 ", reason %" PRId32 "\n", message.kind, message.reason);
        exit(EXIT_FAILURE);
    }
    return message;
}

/* One step: each actor has its rows. Gives by how much the temperature changed most. */
static float step(rk_runtime runtime, const rk_actor *bands, uint32_t actors, rk_buffer from, rk_buffer to,
                  uint32_t size) {
    for (uint32_t i = 0; i < actors; i++) {
        const relax message = {.from = from.id,
                               .to = to.id,
                               .width = size,
                               .first_row = 1 + (size - 2) * i / actors,
                               .end_row = 1 + (size - 2) * (i + 1) / actors};
        check(rk_send(bands[i], RK_TYPE(relax), &message, sizeof message, NULL), NULL, "rk_send");
    }
    float change = 0;
    for (uint32_t i = 0; i < actors; i++) {
        relaxed reply;
        (void)receive(runtime, &reply, sizeof reply);
        change = fmaxf(change, reply.change);
    }
    return change;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"backend", required_argument, NULL, 'b'},
                                            {"size", required_argument, NULL, 's'},
                                            {"actors", required_argument, NULL, 'a'},
                                            {"lanes", required_argument, NULL, 'l'},
                                            {0}};
    rk_runtime_options runtime_options = RK_RUNTIME_OPTIONS_INIT;
    rk_kernel_options kernel_options = RK_KERNEL_OPTIONS_INIT;
    uint32_t size = 48;
    kernel_options.actors = 4;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'b': runtime_options.backend = parse_backend(optarg); break;
        case 's': size = parse_number("--size", optarg, 3, 1024); break;
        case 'a': kernel_options.actors = parse_number("--actors", optarg, 1, 64); break;
        case 'l': kernel_options.lanes = parse_number("--lanes", optarg, 1, 1024); break;
        default: return EXIT_FAILURE;
        }
    }

    rk_error error;
    rk_runtime runtime;
    rk_module module;
    rk_kernel kernel;
    rk_actor bands[64];
    check(rk_runtime_create(RK_VERSION, &runtime_options, &runtime, &error), &error, "rk_runtime_create");
    check(rk_module_create(runtime, &heat_plate, &module, &error), &error, "rk_module_create");
    check(rk_kernel_launch(runtime, module, NULL, 0, &kernel_options, &kernel, &error), &error, "rk_kernel_launch");
    check(rk_kernel_activate(kernel, &error), &error, "rk_kernel_activate");
    for (uint32_t i = 0; i < kernel_options.actors; i++)
        check(rk_kernel_actor(kernel, i, &bands[i]), NULL, "rk_kernel_actor");

    /* Both buffers start with the cold plate. The copies are made meanwhile; each says when it is done. */
    float *plate = cold_plate(size);
    rk_buffer buffers[2];
    rk_buffer_options buffer_options = RK_BUFFER_OPTIONS_INIT;
    buffer_options.size = (uint64_t)size * size * sizeof *plate;
    const rk_queue own_queue = {0};
    for (uint32_t i = 0; i < 2; i++) {
        check(rk_buffer_create(runtime, &buffer_options, &buffers[i], &error), &error, "rk_buffer_create");
        check(rk_buffer_upload_async(buffers[i], 0, plate, buffer_options.size, own_queue, i, &error), &error,
              "rk_buffer_upload_async");
    }
    for (uint32_t i = 0; i < 2; i++) (void)receive(runtime, NULL, 0);

    uint32_t steps = 0;
    while (step(runtime, bands, kernel_options.actors, buffers[steps % 2], buffers[(steps + 1) % 2], size) > 1e-4f)
        steps++;

    check(rk_buffer_download(buffers[(steps + 1) % 2], 0, plate, buffer_options.size, &error), &error,
          "rk_buffer_download");
    float worst = 0;
    for (uint32_t i = 0; i < size * size; i++) worst = fmaxf(worst, fabsf(plate[i] - known_answer(i % size, size)));
    printf("%" PRIu32 " x %" PRIu32 " points settled after %" PRIu32 " steps\n", size, size, steps);
    printf("in the middle: %.1f degrees; nowhere more than %.2f from the known answer\n",
           (double)plate[size / 2 * size + size / 2], (double)worst);

    free(plate);
    check(rk_buffer_destroy(buffers[0]), NULL, "rk_buffer_destroy");
    check(rk_buffer_destroy(buffers[1]), NULL, "rk_buffer_destroy");
    check(rk_kernel_destroy(kernel), NULL, "rk_kernel_destroy");
    check(rk_module_destroy(module), NULL, "rk_module_destroy");
    check(rk_runtime_destroy(runtime), NULL, "rk_runtime_destroy");
    return EXIT_SUCCESS;
}

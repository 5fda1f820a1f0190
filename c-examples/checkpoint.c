/* checkpoint: a computation that is interrupted, saved to a file, and continued by another process, on another backend if
 * wanted. What comes out is the same as without the interruption.
 *
 * Usage: checkpoint [--backend auto|cpu|cuda|vulkan] [--actors N] [--rounds N] [--save FILE]
 *        checkpoint [--backend auto|cpu|cuda|vulkan] --resume FILE [--save FILE]
 *
 * --save interrupts it when a tenth of the actors is done.
 */
#include "checkpoint.rk.h"
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <ringkernel/module.h>

RK_DECLARE_MODULE(checkpoint);

#define SECOND INT64_C(1000000000)

typedef struct arguments {
    uint32_t backend, actors, rounds;
    const char *save, *resume;
} arguments;

typedef struct computation {
    rk_runtime runtime;
    rk_module module;
    rk_kernel kernel;
    uint32_t actors;
    uint64_t unfinished; /* actors that are not done */
} computation;

static arguments parse(int argc, char **argv) {
    static const struct option options[] = {{"backend", required_argument, NULL, 'b'},
                                            {"actors", required_argument, NULL, 'a'},
                                            {"rounds", required_argument, NULL, 'n'},
                                            {"save", required_argument, NULL, 's'},
                                            {"resume", required_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    arguments given = {.backend = RK_BACKEND_AUTO, .actors = 20, .rounds = 100};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'b': given.backend = parse_backend(optarg); break;
        case 'a': given.actors = parse_number("--actors", optarg, 1, 1 << 20); break;
        case 'n': given.rounds = parse_number("--rounds", optarg, 1, 1000000); break;
        case 's': given.save = optarg; break;
        case 'r': given.resume = optarg; break;
        default: exit(EXIT_FAILURE);
        }
    }
    return given;
}

static void fail(const char *path) {
    fprintf(stderr, "%s: %s\n", path, errno ? strerror(errno) : "not whole");
    exit(EXIT_FAILURE);
}

static void *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail(path);
    void *bytes = NULL;
    for (size_t room = 1 << 16; *size = 0, (bytes = malloc(room)) != NULL; room *= 2) {
        rewind(file);
        *size = fread(bytes, 1, room, file);
        if (*size < room) break;
        free(bytes);
    }
    if (bytes == NULL || ferror(file)) fail(path);
    fclose(file);
    return bytes;
}

static void write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) fail(path);
}

/* Actors of higher numbers have more to do, so that some are done before others. */
static void begin(computation *all, const arguments *given) {
    rk_error error;
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = all->actors = given->actors;
    check(rk_kernel_launch(all->runtime, all->module, NULL, 0, &options, &all->kernel, &error), &error,
          "rk_kernel_launch");
    check(rk_kernel_activate(all->kernel, &error), &error, "rk_kernel_activate");
    const rk_send_options patient = {.struct_size = sizeof patient, .timeout_ns = 60 * SECOND};
    for (uint32_t i = 0; i < all->actors; i++) {
        rk_actor actor;
        check(rk_kernel_actor(all->kernel, i, &actor), NULL, "rk_kernel_actor");
        const draw message = {.rounds = 1 + (uint32_t)((uint64_t)given->rounds * (i + 1) / all->actors)};
        check(rk_send(actor, RK_TYPE(draw), &message, RK_SIZE(draw), &patient), NULL, "rk_send");
    }
    all->unfinished = all->actors;
}

/* The messages that wait are what is left to do: one of each actor that is not done. */
static void resume(computation *all, const char *path) {
    size_t size;
    void *bytes = read_file(path, &size);
    rk_error error;
    rk_snapshot_info info = RK_SNAPSHOT_INFO_INIT;
    check(rk_snapshot_describe(bytes, size, &info, &error), &error, path);
    check(rk_kernel_restore(all->runtime, all->module, bytes, size, 0, NULL, &all->kernel, &error), &error,
          "rk_kernel_restore");
    check(rk_kernel_activate(all->kernel, &error), &error, "rk_kernel_activate");
    free(bytes);
    all->actors = info.actors;
    all->unfinished = info.messages + info.posts;
    fprintf(stderr, "%" PRIu64 " of %" PRIu32 " actors go on\n", all->unfinished, all->actors);
}

/* False: the kernel has ended, which is told last. */
static int await_one(computation *all) {
    rk_message message;
    uint32_t count;
    check(rk_poll(all->runtime, &message, 1, NULL, 0, 60 * SECOND, &count), NULL, "rk_poll");
    if (message.kind == RK_MESSAGE_EVENT && message.type == RK_EVENT_KERNEL_TERMINATED) return 0;
    if (message.kind != RK_MESSAGE_EMIT || message.type != RK_TYPE(done)) {
        fprintf(stderr, "a message of kind %" PRIu32 ", reason %" PRId32 "\n", message.kind, message.reason);
        exit(EXIT_FAILURE);
    }
    all->unfinished--;
    return 1;
}

/* Ends the kernel: nothing of it is lost, and nothing runs on that is not in the file. */
static void save(computation *all, const char *path) {
    void *bytes;
    size_t size;
    rk_error error;
    check(rk_kernel_snapshot(all->kernel, RK_SNAPSHOT_END, &bytes, &size, &error), &error, "rk_kernel_snapshot");
    while (await_one(all)) {
    }
    write_file(path, bytes, size);
    rk_snapshot_free(bytes);
    fprintf(stderr, "saved with %" PRIu64 " of %" PRIu32 " actors not done\n", all->unfinished, all->actors);
}

static void print_result(const computation *all) {
    estimate sum = {0, 0};
    for (uint32_t i = 0; i < all->actors; i++) {
        rk_actor actor;
        estimate part;
        rk_error error;
        check(rk_kernel_actor(all->kernel, i, &actor), NULL, "rk_kernel_actor");
        check(rk_call(actor, RK_TYPE(report), NULL, 0, NULL, &part, sizeof part, NULL, 60 * SECOND, &error), &error,
              "rk_call");
        sum.points += part.points;
        sum.inside += part.inside;
    }
    printf("%" PRIu64 " points, %" PRIu64 " inside: pi is about %.5f\n", sum.points, sum.inside,
           4.0 * (double)sum.inside / (double)sum.points);
}

int main(int argc, char **argv) {
    const arguments given = parse(argc, argv);
    computation all = {.unfinished = 0};
    rk_error error;
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.backend = given.backend;
    check(rk_runtime_create(RK_VERSION, &options, &all.runtime, &error), &error, "rk_runtime_create");
    check(rk_module_create(all.runtime, &checkpoint, &all.module, &error), &error, "rk_module_create");
    if (given.resume != NULL) resume(&all, given.resume);
    else begin(&all, &given);
    const uint64_t goal = given.save != NULL ? all.unfinished - all.unfinished / 10 : 0;
    while (all.unfinished > goal) await_one(&all);
    if (given.save != NULL) save(&all, given.save);
    else print_result(&all);
    check(rk_runtime_destroy(all.runtime), NULL, "rk_runtime_destroy");
    return EXIT_SUCCESS;
}

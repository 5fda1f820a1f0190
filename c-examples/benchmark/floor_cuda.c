#define _GNU_SOURCE
#include "floor_cuda.h"

#include "clock.h"
#include "stamped.h"

#include <stdlib.h>
#include <string.h>

/* echo answers `count` messages, stamped from `first` on, and leaves early when none has come for `limit` nanoseconds. All
 * four threads see the same, or they would wait for each other in the votes for ever. */
static const char KERNELS[] =
    ".version 8.4\n.target sm_70\n.address_size 64\n"
    ".visible .entry empty() { ret; }\n"
    ".visible .entry bump(.param .u64 words) {\n"
    "  .reg .b64 %at, %offset; .reg .b32 %lane, %value;\n"
    "  ld.param.u64 %at, [words]; mov.u32 %lane, %tid.x; mul.wide.u32 %offset, %lane, 4; add.u64 %at, %at, %offset;\n"
    "  ld.global.u32 %value, [%at]; add.u32 %value, %value, 1; st.global.u32 [%at], %value; ret;\n"
    "}\n"
    ".visible .entry echo(.param .u64 in, .param .u64 out, .param .u32 first, .param .u32 count, .param .u64 limit) {\n"
    "  .reg .pred %here, %soon, %late; .reg .b128 %word;\n"
    "  .reg .b64 %from, %to, %limit, %offset, %low, %high, %top, %now, %since, %waited;\n"
    "  .reg .b32 %stamp, %end, %lane, %got, %spins, %often;\n"
    "  ld.param.u64 %from, [in]; ld.param.u64 %to, [out]; ld.param.u64 %limit, [limit];\n"
    "  ld.param.u32 %stamp, [first]; ld.param.u32 %end, [count]; add.u32 %end, %end, %stamp;\n"
    "  mov.u32 %lane, %tid.x; mul.wide.u32 %offset, %lane, 16;\n"
    "  add.u64 %from, %from, %offset; add.u64 %to, %to, %offset;\n"
    "NEXT:\n"
    "  mov.u32 %spins, 0; mov.u64 %since, 0;\n"
    "LOOK:\n"
    "  ld.relaxed.sys.global.b128 %word, [%from];\n"
    "  mov.b128 {%low, %high}, %word; shr.u64 %top, %high, 32; cvt.u32.u64 %got, %top;\n"
    "  setp.eq.u32 %here, %got, %stamp; vote.sync.all.pred %here, %here, 15;\n"
    "  @%here bra ANSWER;\n"
    "  add.u32 %spins, %spins, 1; and.b32 %often, %spins, 1023; setp.ne.u32 %soon, %often, 0;\n"
    "  @%soon bra LOOK;\n"
    "  mov.u64 %now, %globaltimer; setp.eq.u64 %soon, %since, 0;\n"
    "  @%soon mov.u64 %since, %now;\n"
    "  sub.u64 %waited, %now, %since; setp.gt.u64 %late, %waited, %limit; vote.sync.any.pred %late, %late, 15;\n"
    "  @!%late bra LOOK;\n"
    "  ret;\n"
    "ANSWER:\n"
    "  add.u64 %low, %low, 1; mov.b128 %word, {%low, %high};\n"
    "  st.relaxed.sys.global.b128 [%to], %word;\n"
    "  add.u32 %stamp, %stamp, 1; setp.ne.u32 %soon, %stamp, %end;\n"
    "  @%soon bra NEXT;\n"
    "  ret;\n"
    "}\n";

/* Messages of both ways are lines apart. */
enum { APART = 256, TO_DEVICE = 0, FROM_DEVICE = APART, COPIED = 2 * APART, HOST_SIZE = 4096 };
/* The host gives up first, and the kernel a second later, so that nobody waits for the other. */
static const uint64_t KERNEL_PATIENCE_NS = UINT64_C(6000000000);

struct floor_cuda {
    const cuda_driver *cu;
    cu_device device;
    cu_context context;
    cu_stream stream;
    cu_module module;
    cu_function empty, bump, echo;
    unsigned char *host; /* pinned */
    uint64_t mapped;     /* the same for kernels */
    uint64_t words;      /* device memory of the copies */
    bar_memory bar;
    const char *no_bar;
    uint32_t stamp; /* of the last message */
};

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        const cu_result result_ = f->cu->call;                                                                         \
        if (result_ != 0)                                                                                              \
            return cuda_failed(f->cu, #call, result_);                                                                 \
    } while (0)

static const char *launch(floor_cuda *f, cu_function function, unsigned threads, void **parameters) {
    TRY(launch(function, 1, 1, 1, threads, 1, 1, 0, f->stream, parameters, NULL));
    return NULL;
}

static const char *prepare(floor_cuda *f) {
    TRY(device_get(&f->device, 0));
    TRY(primary_retain(&f->context, f->device));
    TRY(context_set(f->context));
    TRY(stream_create(&f->stream, CU_STREAM_NON_BLOCKING_));
    TRY(module_load(&f->module, KERNELS));
    TRY(module_function(&f->empty, f->module, "empty"));
    TRY(module_function(&f->bump, f->module, "bump"));
    TRY(module_function(&f->echo, f->module, "echo"));
    TRY(host_alloc((void **)&f->host, HOST_SIZE, CU_HOST_MAPPED_));
    TRY(host_device_address(&f->mapped, f->host, 0));
    TRY(alloc(&f->words, STAMPED_SIZE));
    memset(f->host, 0, HOST_SIZE);
    f->no_bar = bar_memory_open(&f->bar, f->cu, f->device, HOST_SIZE);
    if (f->no_bar == NULL)
        TRY(set32_async(f->bar.device, 0, HOST_SIZE / 4, f->stream));
    TRY(stream_synchronize(f->stream));
    /* Each kernel once: the driver loads what is launched for the first time, which waits for kernels that run. */
    uint32_t ticks_taken[2];
    const char *failure = floor_cuda_launches(f, 2, ticks_taken);
    if (failure == NULL)
        failure = floor_cuda_copies(f, 0, 2, ticks_taken);
    if (failure == NULL)
        failure = floor_cuda_echoes(f, INBOUND_HOST, 0, 2, ticks_taken);
    return failure;
}

floor_cuda *floor_cuda_open(const char **why) {
#if defined(__x86_64__)
    floor_cuda *f = calloc(1, sizeof *f);
    if (f == NULL) {
        *why = "out of memory";
        return NULL;
    }
    f->cu = cuda_open(why);
    if (f->cu != NULL && (*why = prepare(f)) == NULL)
        return f;
    floor_cuda_close(f);
    return NULL;
#else
    *why = "only written for x86-64";
    return NULL;
#endif
}

/* Whatever has failed before: what is there is given back, and more cannot be done. */
void floor_cuda_close(floor_cuda *f) {
    if (f->stream != NULL) {
        (void)f->cu->stream_synchronize(f->stream);
        (void)f->cu->stream_destroy(f->stream);
    }
    bar_memory_close(&f->bar, f->cu);
    if (f->words != 0)
        (void)f->cu->free(f->words);
    if (f->host != NULL)
        (void)f->cu->host_free(f->host);
    if (f->module != NULL)
        (void)f->cu->module_unload(f->module);
    if (f->context != NULL) {
        (void)f->cu->context_set(NULL);
        (void)f->cu->primary_release(f->device);
    }
    free(f);
}

const char *floor_cuda_no_device_memory(const floor_cuda *f) {
    return f->no_bar;
}

const char *floor_cuda_launches(floor_cuda *f, uint32_t count, uint32_t *ticks_taken) {
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t begin = ticks();
        const char *failure = launch(f, f->empty, 1, NULL);
        if (failure != NULL)
            return failure;
        TRY(stream_synchronize(f->stream));
        ticks_taken[i] = (uint32_t)(ticks() - begin);
    }
    return NULL;
}

static const char *run_graph(floor_cuda *f, cu_graph_exec exec, uint32_t count, uint32_t *ticks_taken) {
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t begin = ticks();
        TRY(graph_launch(exec, f->stream));
        TRY(stream_synchronize(f->stream));
        ticks_taken[i] = (uint32_t)(ticks() - begin);
    }
    return NULL;
}

const char *floor_cuda_graphs(floor_cuda *f, uint32_t count, uint32_t *ticks_taken) {
    cu_graph graph = NULL;
    cu_graph_exec exec = NULL;
    /* Of this thread alone: others, of the library too, may do meanwhile what a capture forbids. */
    TRY(capture_begin(f->stream, CU_CAPTURE_THREAD_LOCAL_));
    const char *failure = launch(f, f->empty, 1, NULL);
    TRY(capture_end(f->stream, &graph));
    if (failure == NULL) {
        const cu_result result = f->cu->graph_instantiate(&exec, graph, 0);
        failure = result == 0 ? run_graph(f, exec, count, ticks_taken)
                              : cuda_failed(f->cu, "cuGraphInstantiateWithFlags", result);
    }
    if (exec != NULL)
        (void)f->cu->graph_exec_destroy(exec);
    (void)f->cu->graph_destroy(graph);
    return failure;
}

const char *floor_cuda_copies(floor_cuda *f, uint64_t seed, uint32_t count, uint32_t *ticks_taken) {
    enum { NUMBERS = STAMPED_SIZE / 4 };
    uint32_t *numbers = (uint32_t *)(f->host + COPIED);
    void *parameters[] = {&f->words};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sent[NUMBERS];
        for (int n = 0; n < NUMBERS; n++)
            numbers[n] = sent[n] = (uint32_t)random_next(&seed);
        const uint64_t begin = ticks();
        TRY(copy_to_device_async(f->words, numbers, STAMPED_SIZE, f->stream));
        const char *failure = launch(f, f->bump, NUMBERS, parameters);
        if (failure != NULL)
            return failure;
        TRY(copy_to_host_async(numbers, f->words, STAMPED_SIZE, f->stream));
        TRY(stream_synchronize(f->stream));
        ticks_taken[i] = (uint32_t)(ticks() - begin);
        for (int n = 0; n < NUMBERS; n++)
            if (numbers[n] != sent[n] + 1)
                return "a copy came back wrong";
    }
    return NULL;
}

const char *floor_cuda_echoes(floor_cuda *f, int inbound, uint64_t seed, uint32_t count, uint32_t *ticks_taken) {
    const int far = inbound == INBOUND_DEVICE;
    if (far && f->no_bar != NULL)
        return f->no_bar;
    uint64_t in = far ? f->bar.device : f->mapped + TO_DEVICE;
    uint64_t out = f->mapped + FROM_DEVICE;
    uint64_t limit = KERNEL_PATIENCE_NS;
    uint32_t first = f->stamp + 1;
    uint32_t messages = STAMPED_WARM + count;
    void *parameters[] = {&in, &out, &first, &messages, &limit};
    const char *failure = launch(f, f->echo, STAMPED_WORDS, parameters);
    if (failure != NULL)
        return failure;
    stamped host = {.to = far ? f->bar.host : (void *)(f->host + TO_DEVICE), .from = f->host + FROM_DEVICE,
                    .combines = far, .stamp = f->stamp};
    failure = stamped_echoes(&host, seed, &count, ticks_taken);
    f->stamp = host.stamp;
    TRY(stream_synchronize(f->stream)); /* returns: the kernel has answered all, or its patience ends */
    return failure;
}

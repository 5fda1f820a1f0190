/* The manners of a guest in a program that uses CUDA itself: its contexts, its calls, its kernels. */
#include "driver.h"
#include "victims.h"

#include <ringkernel/module.h>

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

RK_DECLARE_MODULE(guest);

/* What the host program's own kernel is: adds 1 to each of 32 words. */
static const char OWN_KERNEL[] = ".version 6.0\n.target sm_70\n.address_size 64\n"
                                 ".visible .entry bump(.param .u64 words) {\n"
                                 "  .reg .u64 %a, %o; .reg .u32 %t, %v;\n"
                                 "  ld.param.u64 %a, [words]; mov.u32 %t, %tid.x; mul.wide.u32 %o, %t, 4;\n"
                                 "  add.u64 %a, %a, %o; ld.global.u32 %v, [%a]; add.u32 %v, %v, 1;\n"
                                 "  st.global.u32 [%a], %v; ret;\n}\n";

static cu_context current(void) {
    cu_context context = NULL;
    CHECK_CU(cuda()->context_get(&context));
    return context;
}

/* Every kind of call that reaches the driver, with `mine` current before and after. */
static void use_everything(cu_context mine) {
    uint64_t random = test_seed();
    const rk_runtime runtime = cuda_runtime();
    CHECK(current() == mine);
    victims v = victims_start_in(runtime, NULL);
    CHECK(current() == mine);
    victims_add(&v, &random);
    CHECK(current() == mine);
    rk_buffer_options options = RK_BUFFER_OPTIONS_INIT;
    options.backend = RK_BACKEND_CUDA, options.size = 1 << 20;
    rk_buffer buffer;
    CHECK_DONE(rk_buffer_create(v.runtime, &options, &buffer, &test_error));
    CHECK(current() == mine);
    CHECK_OK(rk_buffer_destroy(buffer));
    CHECK(current() == mine);
    void *bytes;
    size_t size;
    CHECK_DONE(rk_kernel_snapshot(v.kernel, 0, &bytes, &size, &test_error));
    CHECK(current() == mine);
    rk_snapshot_free(bytes);
    uint64_t left;
    CHECK_DONE(rk_kernel_terminate(v.kernel, &left, &test_error));
    CHECK(current() == mine);
    victims_end(&v);
    CHECK(current() == mine);
}

CASE(guest_with_a_context_of_its_own) {
    const cu_context mine = own_context();
    use_everything(mine);
    uint64_t place;
    CHECK_CU(cuda()->alloc(&place, 4096));
    CHECK_CU(cuda()->free(place));
    CHECK_CU(cuda()->context_destroy(mine));
}

CASE(guest_without_a_context) {
    cuda();
    use_everything(NULL);
}

static cu_context primary(void) {
    cu_device device;
    cu_context context;
    CHECK_CU(cuda()->device_get(&device, 0));
    CHECK_CU(cuda()->primary_retain(&context, device));
    CHECK_CU(cuda()->context_set(context));
    return context;
}

/* Whether a library whose name has this in it is loaded. */
static bool is_loaded(const char *part) {
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    char line[4096];
    bool found = false;
    while (!found && fgets(line, sizeof line, maps) != NULL) found = strstr(line, part) != NULL;
    CHECK_EQ(fclose(maps), 0);
    return found;
}

static uint32_t backend_of(rk_kernel kernel) {
    rk_kernel_statistics statistics = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_stats(kernel, &statistics, &test_error));
    return statistics.backend;
}

/* Of one that leaves it open. */
static uint32_t backend_of_a_buffer(rk_runtime runtime) {
    rk_buffer_options options = RK_BUFFER_OPTIONS_INIT;
    options.size = 1 << 20;
    rk_buffer buffer;
    CHECK_DONE(rk_buffer_create(runtime, &options, &buffer, &test_error));
    rk_buffer_properties properties = RK_BUFFER_PROPERTIES_INIT;
    CHECK_DONE(rk_buffer_info(buffer, &properties, &test_error));
    return properties.backend;
}

/* Modules whose pumps are compiled run without NVRTC, be it machine code or PTX. */
CASE(guest_of_a_program_without_nvrtc) {
#if defined(AHEAD)
    RK_DECLARE_MODULE(ahead);
    cuda();
    uint64_t random = test_seed();
    for (uint32_t lanes = 1; lanes <= 2; lanes++) {
        rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
        options.lanes = lanes;
        victims v = victims_start_of(&ahead, cuda_runtime(), &options);
        for (int i = 0; i < 100; i++) victims_add(&v, &random);
        victims_end(&v);
        CHECK(!is_loaded("nvrtc"));
    }
    /* Nor does a program that names no backend need it, for its buffers either. */
    rk_runtime runtime;
    CHECK_DONE(rk_runtime_create(RK_VERSION, NULL, &runtime, &test_error));
    victims anywhere = victims_start_of(&ahead, runtime, NULL);
    CHECK_EQ(backend_of(anywhere.kernel), RK_BACKEND_CUDA);
    CHECK_EQ(backend_of_a_buffer(runtime), RK_BACKEND_CUDA);
    victims_end(&anywhere);
    CHECK(!is_loaded("nvrtc"));
    /* The check would see it: another number of lanes has to be compiled. */
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.lanes = 3;
    victims v = victims_start_of(&ahead, cuda_runtime(), &options);
    victims_add(&v, &random);
    victims_end(&v);
    CHECK(is_loaded("nvrtc"));
#else
    (void)is_loaded;
    test_skip("built where there was no NVRTC (RINGKERNEL_CUDA_HOME)");
#endif
}

/* A program that names no backend is on the device, its buffers too. */
CASE(guest_that_names_no_backend) {
    CHECK_OK(rk_runtime_destroy(cuda_runtime())); /* skipped where there is no device */
    uint64_t random = test_seed();
    rk_runtime runtime;
    CHECK_DONE(rk_runtime_create(RK_VERSION, NULL, &runtime, &test_error));
    victims v = victims_start_in(runtime, NULL);
    for (int i = 0; i < 100; i++) victims_add(&v, &random);
    CHECK_EQ(backend_of(v.kernel), RK_BACKEND_CUDA);
    CHECK_EQ(backend_of_a_buffer(runtime), RK_BACKEND_CUDA);
    victims_end(&v);
}

/* Highest number of a multiprocessor that there may be. */
#define MULTIPROCESSORS 4096

/* On how many multiprocessors that are not yet among `seen` a kernel's workers are seen now. */
static uint32_t spread(victims *v, uint32_t actors, bool *seen) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < 4 * actors; i++) {
        const where question = {0};
        here answer = {0};
        rk_actor actor;
        CHECK_OK(rk_kernel_actor(v->kernel, i % actors, &actor));
        CHECK_DONE(rk_call(actor, RK_TYPE(where), &question, RK_SIZE(where), NULL, &answer, sizeof answer, NULL, PATIENCE,
                           &test_error));
        CHECK(answer.multiprocessor < MULTIPROCESSORS);
        if (!seen[answer.multiprocessor]) count++;
        seen[answer.multiprocessor] = true;
    }
    return count;
}

static uint32_t workers_of(rk_kernel kernel) {
    rk_kernel_statistics statistics = RK_KERNEL_STATISTICS_INIT;
    CHECK_DONE(rk_kernel_stats(kernel, &statistics, &test_error));
    return statistics.workers;
}

/* Two kernels of a runtime with a share of the device stay in it, also with more workers than it has multiprocessors, while
 * another runtime's spread over the whole. */
CASE(guest_with_a_share_of_the_device) {
    enum { WANTED = 5, GROUP = 16 /* no device sets more apart at a time */, MANY = 64 };
    cuda();
    uint64_t random = test_seed();
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = MANY, options.quantum_us = 500;
    victims all = victims_start(&options);
    const rk_kernel_options many = {.struct_size = sizeof many, .actors = MULTIPROCESSORS};
    const uint32_t whole = workers_of(victims_start_in(all.runtime, &many).kernel);
    if (whole < 2 * GROUP) test_skip("the device is too small for a part of it to be told from the whole");
    const rk_runtime runtime = cuda_runtime_of(WANTED);
    rk_module module;
    CHECK_DONE(rk_module_create(runtime, &guest, &module, &test_error));
    rk_kernel kernel;
    rk_error error;
    if (rk_kernel_launch(runtime, module, "victim", 6, &options, &kernel, &error) == RK_ERROR_UNSUPPORTED)
        test_skip(error.message);
    CHECK_OK(rk_kernel_destroy(kernel));
    victims few = victims_start_in(runtime, &options);
    const uint32_t share = workers_of(few.kernel); /* as many as it has multiprocessors */
    CHECK(share >= WANTED && share <= GROUP);
    options.workers = MANY;
    victims crowd = victims_start_in(runtime, &options);
    CHECK_EQ(workers_of(crowd.kernel), MANY);
    bool seen[MULTIPROCESSORS] = {false}, elsewhere[MULTIPROCESSORS] = {false};
    CHECK(spread(&few, MANY, seen) + spread(&crowd, MANY, seen) <= share);
    CHECK(spread(&all, MANY, elsewhere) > GROUP);
    for (int i = 0; i < 100; i++) victims_add(&few, &random), victims_add(&crowd, &random), victims_add(&all, &random);
    victims_end(&few);
    victims_end(&all);
    /* So many that no group is left, and more than there are, are all. */
    const uint32_t most[] = {whole - 1, whole, UINT32_MAX};
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        victims v = victims_start_in(cuda_runtime_of(most[i]), &many);
        CHECK(workers_of(v.kernel) >= (i == 0 ? most[i] : whole));
        victims_add(&v, &random);
        victims_end(&v);
    }
}

/* --- What the host program's calls wait for --- */

typedef struct echo {
    victims v;
    atomic_bool stop;
    atomic_uint_fast64_t count;
} echo;

static void *echo_on(void *at) {
    echo *e = at;
    uint64_t random = test_seed();
    for (; !atomic_load(&e->stop); atomic_fetch_add(&e->count, 1)) victims_add(&e->v, &random);
    return NULL;
}

static void free_device(void) {
    uint64_t place;
    CHECK_CU(cuda()->alloc(&place, 1 << 20));
    CHECK_CU(cuda()->free(place));
}

static void free_host(void) {
    void *place;
    CHECK_CU(cuda()->host_alloc(&place, 1 << 16, 0));
    CHECK_CU(cuda()->host_free(place));
}

static void load_module(void) {
    cu_module module;
    CHECK_CU(cuda()->module_load(&module, OWN_KERNEL));
    CHECK_CU(cuda()->module_unload(module));
}

static void synchronize(void) {
    CHECK_CU(cuda()->context_synchronize());
}

static int by_size(const void *left, const void *right) {
    const int64_t one = *(const int64_t *)left, other = *(const int64_t *)right;
    return (one > other) - (one < other);
}

/* Every call that the driver lets wait for all that runs returns at the quantum's end, while messages are answered. */
CASE(guest_calls_that_wait) {
    static const struct {
        const char *name;
        void (*run)(void);
        int waits; /* how often */
    } calls[] = {{"cuMemAlloc, cuMemFree", free_device, 1},
                 {"cuMemHostAlloc, cuMemFreeHost", free_host, 1},
                 {"cuModuleLoadData, cuModuleUnload", load_module, 2},
                 {"cuCtxSynchronize", synchronize, 1}};
    static const uint32_t quanta_us[] = {1000, 2000, 5000, 20000};
    enum { TIMES = 25 };
    primary();
    load_module(); /* the driver's own compiler caches it */
    for (size_t q = 0; q < sizeof quanta_us / sizeof *quanta_us; q++) {
        rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
        options.quantum_us = quanta_us[q];
        echo e = {.v = victims_start(&options)};
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, echo_on, &e) == 0);
        for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
            int64_t took[TIMES];
            for (int i = 0; i < TIMES; i++) {
                const int64_t begin = test_now();
                calls[c].run();
                took[i] = test_now() - begin;
            }
            qsort(took, TIMES, sizeof *took, by_size);
            /* Answers come all the while. */
            for (const uint64_t before = e.count; atomic_load(&e.count) < before + 100;) calls[c].run();
            printf("quantum %5.1f ms, %-33s p50 %7.3f ms, max %7.3f ms\n", quanta_us[q] / 1000.0, calls[c].name,
                   (double)took[TIMES / 2] / 1e6, (double)took[TIMES - 1] / 1e6);
            /* And what the call itself takes, and the machine's other work. */
            CHECK_AT_MOST(took[TIMES / 2], calls[c].waits * (quanta_us[q] * INT64_C(1100)) + MS);
        }
        atomic_store(&e.stop, true);
        CHECK(pthread_join(thread, NULL) == 0);
        victims_end(&e.v);
    }
}

/* --- Work of its own beside ours --- */

CASE(guest_with_a_kernel_of_its_own) {
    enum { LAUNCHES = 200, WORDS = 32 };
    primary();
    cu_module module;
    cu_function bump;
    cu_stream stream;
    uint64_t words;
    CHECK_CU(cuda()->module_load(&module, OWN_KERNEL));
    CHECK_CU(cuda()->module_function(&bump, module, "bump"));
    CHECK_CU(cuda()->stream_create(&stream, 1 /* CU_STREAM_NON_BLOCKING */));
    CHECK_CU(cuda()->alloc(&words, WORDS * sizeof(uint32_t)));
    CHECK_CU(cuda()->set32(words, 7, WORDS));
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.quantum_us = 100000;
    echo e = {.v = victims_start(&options)};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, echo_on, &e) == 0);
    int64_t took[LAUNCHES];
    for (int i = 0; i < LAUNCHES; i++) {
        const int64_t begin = test_now();
        void *parameters[] = {&words};
        CHECK_CU(cuda()->launch(bump, 1, 1, 1, WORDS, 1, 1, 0, stream, parameters, NULL));
        CHECK_CU(cuda()->stream_synchronize(stream));
        took[i] = test_now() - begin;
    }
    qsort(took, LAUNCHES, sizeof *took, by_size);
    printf("the program's own kernel beside ours: launch and wait, p50 %.1f us\n", (double)took[LAUNCHES / 2] / 1e3);
    /* It does not wait for a quantum. */
    CHECK_AT_MOST(took[LAUNCHES / 2], 10 * MS);
    atomic_store(&e.stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(e.count > 100);
    victims_end(&e.v);
    uint32_t values[WORDS];
    CHECK_CU(cuda()->copy_to_host(values, words, sizeof values));
    for (int i = 0; i < WORDS; i++) CHECK_EQ(values[i], 7 + LAUNCHES);
    CHECK_CU(cuda()->free(words));
    CHECK_CU(cuda()->stream_destroy(stream));
    CHECK_CU(cuda()->module_unload(module));
}

/* A library of NVIDIA's in the same context: the transform of an impulse is flat. */
CASE(guest_with_cufft) {
    enum { N = 4096, C2C = 0x29, FORWARD = -1 };
    primary();
    static const char *const names[] = {"libcufft.so.12", "libcufft.so.11", "libcufft.so"};
    void *library = NULL;
    for (size_t i = 0; library == NULL && i < sizeof names / sizeof *names; i++) library = dlopen(names[i], RTLD_NOW);
    if (library == NULL) test_skip("there is no cuFFT where the linker looks (LD_LIBRARY_PATH)");
    int (*plan)(int *, int, int, int), (*run)(int, void *, void *, int), (*destroy)(int);
    *(void **)&plan = dlsym(library, "cufftPlan1d");
    *(void **)&run = dlsym(library, "cufftExecC2C");
    *(void **)&destroy = dlsym(library, "cufftDestroy");
    CHECK(plan != NULL && run != NULL && destroy != NULL);
    echo e = {.v = victims_start(NULL)};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, echo_on, &e) == 0);
    uint64_t data;
    CHECK_CU(cuda()->alloc(&data, N * 8));
    static float values[N][2];
    for (int i = 0; i < 20; i++) {
        int handle;
        CHECK_CU(cuda()->set32(data, 0, N * 2));
        CHECK_CU(cuda()->set32(data, 0x3f800000 /* 1.0f */, 1));
        CHECK_EQ(plan(&handle, N, C2C, 1), 0);
        CHECK_EQ(run(handle, (void *)(uintptr_t)data, (void *)(uintptr_t)data, FORWARD), 0);
        CHECK_CU(cuda()->copy_to_host(values, data, sizeof values));
        for (int k = 0; k < N; k++) CHECK(fabsf(values[k][0] - 1) < 1e-5f && fabsf(values[k][1]) < 1e-5f);
        CHECK_EQ(destroy(handle), 0);
    }
    CHECK_CU(cuda()->free(data));
    atomic_store(&e.stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(e.count > 0);
    victims_end(&e.v);
}

/* --- Several of us --- */

CASE(guest_two_runtimes) {
    uint64_t random = test_seed();
    victims one = victims_start(NULL), other = victims_start(NULL);
    for (int i = 0; i < 1000; i++) {
        victims_add(&one, &random);
        victims_add(&other, &random);
    }
    victims_end(&one);
    for (int i = 0; i < 1000; i++) victims_add(&other, &random);
    victims_end(&other);
}

CASE(guest_many_kernels) {
    enum { KERNELS = 16 };
    uint64_t random = test_seed();
    const rk_runtime runtime = cuda_runtime();
    victims all[KERNELS];
    for (int k = 0; k < KERNELS; k++) all[k] = victims_start_in(runtime, NULL);
    for (int i = 0; i < 200 * KERNELS; i++) victims_add(&all[i % KERNELS], &random);
    CHECK_OK(rk_runtime_destroy(runtime));
}

CASE(guest_two_processes) {
    enum { PROCESSES = 2 };
    need_driver();
    pid_t children[PROCESSES];
    for (int c = 0; c < PROCESSES; c++) {
        children[c] = fork();
        CHECK(children[c] >= 0);
        if (children[c] == 0) {
            uint64_t random = test_seed() + (uint64_t)c;
            victims v = victims_start(NULL);
            for (const int64_t end = test_now() + 2 * SECOND; test_now() < end;) victims_add(&v, &random);
            victims_end(&v);
            test_child_done();
        }
    }
    int failed = 0;
    for (int c = 0; c < PROCESSES; c++) {
        int status;
        CHECK(waitpid(children[c], &status, 0) == children[c]);
        failed += status != 0;
    }
    victims v = victims_start(NULL); /* skips where there is no device */
    victims_end(&v);
    CHECK_EQ(failed, 0);
}

static void echo_with(const char *variable, const char *value) {
    CHECK(setenv(variable, value, 1) == 0); /* before the driver is opened */
    uint64_t random = test_seed();
    victims v = victims_start(NULL);
    for (int i = 0; i < 2000; i++) victims_add(&v, &random);
    victims_end(&v);
}

CASE(guest_launch_blocking) {
    echo_with("CUDA_LAUNCH_BLOCKING", "1");
}

CASE(guest_module_loading_eager) {
    echo_with("CUDA_MODULE_LOADING", "EAGER");
}

CASE(guest_module_loading_lazy) {
    echo_with("CUDA_MODULE_LOADING", "LAZY");
}

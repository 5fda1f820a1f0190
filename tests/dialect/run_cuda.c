/* The CUDA backend of run.c: kernels.cu, compiled to the PTX file that RUN_PTX names, on the first device. The driver is
 * opened at run time and declared here, so that neither it nor its header is needed to compile this. */
#include "run.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    int (*init)(unsigned flags);
    int (*device)(int *device, int ordinal);
    int (*retain)(void **context, int device);
    int (*set)(void *context);
    int (*allocate)(unsigned long long *address, size_t size);
    int (*load)(void **module, const void *image);
    int (*function)(void **function, void *module, const char *name);
    int (*upload)(unsigned long long to, const void *from, size_t size);
    int (*download)(void *to, unsigned long long from, size_t size);
    int (*launch)(void *function, unsigned, unsigned, unsigned, unsigned lanes, unsigned, unsigned, unsigned shared,
                  void *stream, void **arguments, void **extra);
    int (*synchronize)(void);
} cu;

static void *module;
static unsigned long long address;

static int load_driver(void) {
    static const struct {
        void *to;
        const char *name;
    } functions[] = {
        {&cu.init, "cuInit"},
        {&cu.device, "cuDeviceGet"},
        {&cu.retain, "cuDevicePrimaryCtxRetain"},
        {&cu.set, "cuCtxSetCurrent"},
        {&cu.allocate, "cuMemAlloc_v2"},
        {&cu.load, "cuModuleLoadData"},
        {&cu.function, "cuModuleGetFunction"},
        {&cu.upload, "cuMemcpyHtoD_v2"},
        {&cu.download, "cuMemcpyDtoH_v2"},
        {&cu.launch, "cuLaunchKernel"},
        {&cu.synchronize, "cuCtxSynchronize"},
    };
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    for (size_t i = 0; library && i < sizeof functions / sizeof *functions; i++) {
        void *symbol = dlsym(library, functions[i].name);
        CHECK(symbol);
        memcpy(functions[i].to, &symbol, sizeof symbol);
    }
    return library != NULL;
}

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    CHECK(file && fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    CHECK(size >= 0 && fseek(file, 0, SEEK_SET) == 0);
    char *text = calloc((size_t)size + 1, 1);
    CHECK(text && fread(text, 1, (size_t)size, file) == (size_t)size && fclose(file) == 0);
    return text;
}

static const char *cuda_open(void) {
    const char *path = getenv("RUN_PTX");
    if (!path) {
        return "no PTX was compiled";
    }
    if (!load_driver()) {
        return "there is no CUDA driver";
    }
    int device;
    if (cu.init(0) != 0 || cu.device(&device, 0) != 0) {
        return "there is no CUDA device";
    }
    void *context;
    CHECK(cu.retain(&context, device) == 0 && cu.set(context) == 0);
    char *ptx = read_file(path);
    CHECK(cu.load(&module, ptx) == 0);
    free(ptx);
    CHECK(cu.allocate(&address, sizeof(arena)) == 0);
    return NULL;
}

static int cuda_run(const char *actor, uint32_t lanes, arena *a) {
    char name[64];
    CHECK(snprintf(name, sizeof name, "run_%s", actor) < (int)sizeof name);
    void *function;
    CHECK(cu.function(&function, module, name) == 0);
    arena_point(a, address);
    CHECK(cu.upload(address, a, sizeof *a) == 0);
    unsigned long long context = address + offsetof(arena, context);
    void *arguments[] = {&context};
    CHECK(cu.launch(function, 1, 1, 1, lanes, 1, 1, 0, NULL, arguments, NULL) == 0);
    CHECK(cu.synchronize() == 0);
    CHECK(cu.download(a, address, sizeof *a) == 0);
    arena_unpoint(a);
    return 0;
}

const backend backend_cuda = {"cuda", cuda_open, cuda_run};

/* The shared library opened and closed by hand, as a plug-in of a host that is not linked with it. */
#include "../support/harness.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* Function pointers out of dlsym(), which gives object pointers. */
#define SYMBOL(library, name, type)                                                                                    \
    type name##_ = NULL;                                                                                               \
    do {                                                                                                               \
        void *address = dlsym(library, #name);                                                                         \
        if (address == NULL) test_fail(__FILE__, __LINE__, "no %s: %s", #name, dlerror());                             \
        memcpy(&name##_, &address, sizeof address);                                                                    \
    } while (0)

typedef rk_status (*create_fn)(uint32_t, const rk_runtime_options *, rk_runtime *, rk_error *);
typedef rk_status (*destroy_fn)(rk_runtime);
typedef rk_status (*poll_fn)(rk_runtime, rk_message *, uint32_t, void *, size_t, int64_t, uint32_t *);

static void *open_library(void) {
    void *library = dlopen(TEST_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) test_fail(__FILE__, __LINE__, "%s", dlerror());
    return library;
}

CASE(dlopen_and_dlclose_many_times) {
    for (int round = 0; round < 20; round++) {
        void *library = open_library();
        SYMBOL(library, rk_runtime_create, create_fn);
        SYMBOL(library, rk_runtime_destroy, destroy_fn);
        rk_runtime runtime = {0};
        CHECK_EQ(rk_runtime_create_(RK_VERSION, NULL, &runtime, NULL), RK_OK);
        CHECK_EQ(rk_runtime_destroy_(runtime), RK_OK);
        CHECK_EQ(dlclose(library), 0);
    }
}

/* The code stays while its threads run, whatever the host closes. */
CASE(dlclose_under_a_living_runtime) {
    void *library = open_library();
    SYMBOL(library, rk_runtime_create, create_fn);
    SYMBOL(library, rk_runtime_destroy, destroy_fn);
    SYMBOL(library, rk_poll, poll_fn);
    rk_runtime runtime = {0};
    CHECK_EQ(rk_runtime_create_(RK_VERSION, NULL, &runtime, NULL), RK_OK);
    CHECK_EQ(dlclose(library), 0);
    rk_message message;
    uint32_t count;
    CHECK_EQ(rk_poll_(runtime, &message, 1, NULL, 0, 50000000, &count), RK_TIMEOUT);
    CHECK_EQ(rk_runtime_destroy_(runtime), RK_OK);
    library = open_library();
    CHECK_EQ(dlclose(library), 0);
}

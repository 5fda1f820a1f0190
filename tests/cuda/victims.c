#include "victims.h"

#include <ringkernel/module.h>

#include <dlfcn.h>

RK_DECLARE_MODULE(guest);

void need_driver(void) {
    if (dlopen("libcuda.so.1", RTLD_LAZY) == NULL) test_skip("there is no CUDA driver (libcuda.so.1)");
}

rk_runtime cuda_runtime(void) {
    return cuda_runtime_of(0);
}

rk_runtime cuda_runtime_of(uint32_t multiprocessors) {
    rk_runtime_options options = RK_RUNTIME_OPTIONS_INIT;
    options.backend = RK_BACKEND_CUDA, options.cuda_multiprocessors = multiprocessors;
    rk_runtime runtime = {0};
    rk_error error;
    const rk_status status = rk_runtime_create(RK_VERSION, &options, &runtime, &error);
    static bool was_there;
    if (status == RK_ERROR_NO_DEVICE && !was_there) test_skip(error.message);
    if (status != RK_OK) test_fail(__FILE__, __LINE__, "%s: %s", rk_status_name(status), error.message);
    was_there = true;
    return runtime;
}

victims victims_start(const rk_kernel_options *options) {
    return victims_start_in(cuda_runtime(), options);
}

victims victims_start_in(rk_runtime runtime, const rk_kernel_options *options) {
    return victims_start_of(&guest, runtime, options);
}

victims victims_start_of(const rk_module_image *image, rk_runtime runtime, const rk_kernel_options *options) {
    victims v = {.runtime = runtime};
    CHECK_DONE(rk_module_create(runtime, image, &v.module, &test_error));
    CHECK_DONE(rk_kernel_launch(runtime, v.module, "victim", sizeof "victim" - 1, options, &v.kernel, &test_error));
    CHECK_DONE(rk_kernel_activate(v.kernel, &test_error));
    CHECK_OK(rk_kernel_actor(v.kernel, 0, &v.first));
    return v;
}

void victims_add(victims *v, uint64_t *random) {
    const add question = {test_random(random)};
    sum answer = {0};
    CHECK_DONE(rk_call(v->first, RK_TYPE(add), &question, RK_SIZE(add), NULL, &answer, sizeof answer, NULL, PATIENCE,
                       &test_error));
    v->total += question.value;
    CHECK_EQ(answer.total, v->total);
}

void victims_end(victims *v) {
    CHECK_OK(rk_runtime_destroy(v->runtime));
}

/* Follows the sources of the module: a kernel for each actor, that handles one message. */
#define RUN(actor)                                                                                                     \
    extern "C" __global__ void run_##actor(rk_context *context) {                                                      \
        __shared__ __align__(64) unsigned char scratch[sizeof(everything_rk_scratch)];                                 \
        rk_lane_context own(*context);                                                                                   \
        own.scratch = scratch;                                                                                         \
        actor##_rk_dispatch(&own);                                                                                     \
        __syncthreads();                                                                                               \
        if (rk_lane() == 0u) {                                                                                         \
            *context = own;                                                                                            \
        }                                                                                                              \
    }
RUN(everything)
RUN(mathematician)
RUN(relay)

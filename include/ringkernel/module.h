/* ringkernel/module.h: what a compiled actor module looks like to the library.
 *
 * The module builder `rkc` writes one C file per module that defines a `const rk_module_image`; a program passes its
 * address to rk_module_create() and never fills these structs by hand. They are published because they are an ABI:
 * everything here is covered by RK_LAYOUT_VERSION, and an image of another layout is refused when it is loaded.
 *
 * Compiles as C99 and later, C++11 and later, and CUDA C++. The Rust half is src/layout.rs; tests/layout.rs compares
 * every offset.
 */
#ifndef RINGKERNEL_MODULE_H
#define RINGKERNEL_MODULE_H

#if !defined(__CUDACC_RTC__)
#include <stddef.h>
#include <stdint.h>
#else /* NVRTC has no headers; these are the types of CUDA's own <cuda/std/cstdint> there */
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef unsigned long long uintptr_t;
typedef signed int int32_t;
typedef signed long long int64_t;
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Version of every struct in this file and in device/layout.h, and of the slots in the rings. Raised when any of them changes. */
#define RK_LAYOUT_VERSION 5u

/** Largest payload of one message, in bytes. */
#define RK_PAYLOAD_MAX 65536u
/** Largest state of one actor, in bytes. */
#define RK_STATE_MAX 1048576u
/** Largest scratch memory of one worker, in bytes: what a CUDA block can have without asking the driver. */
#define RK_SCRATCH_MAX 32768u
/** Message types of user actors are 1 to RK_TYPE_MAX; the rest is the library's own. */
#define RK_TYPE_MAX 65279u
#define RK_TYPE_START 65281u /**< rk_actor_start: (re)starts the actor */
#define RK_TYPE_STOP 65282u  /**< rk_actor_stop: stops it */
/** User counters of a kernel, see rk_count(). */
#define RK_COUNTERS 8u

/** Bits of rk_context.result, set by the handler. */
#define RK_RESULT_FAIL 1u
#define RK_RESULT_STOP 2u

/** What a handler asked for; rk_outgoing.kind. */
#define RK_POST_REPLY 1u   /**< to the sender of the message being handled, with its correlation */
#define RK_POST_SEND 2u    /**< to an actor */
#define RK_POST_EMIT 3u    /**< to the host, unasked */
#define RK_POST_FORWARD 4u /**< to an actor, on behalf of the sender of the message being handled */

/** One entry of the outbox, followed by its payload and padded to 16 bytes. 48 bytes. */
typedef struct rk_outgoing {
    uint64_t to;          /**< receiver's address; unused for reply and emit */
    uint64_t correlation; /**< for send and emit; a reply and a forwarded message keep the one they answer */
    uint64_t deadline;    /**< nanoseconds from now after which the message is not to be handled; 0 for none */
    uint32_t kind;        /**< RK_POST_... */
    uint32_t type;
    uint32_t size;     /**< payload in bytes */
    uint32_t priority; /**< 0 (normal), or 1 to 255 as in rk_send_options */
    uint64_t reserved; /**< keeps the payload 16-byte aligned */
} rk_outgoing;

/** Buffers that can exist at once. */
#define RK_BUFFERS 4096u

/** Codes that a handler fails with which misused a buffer; the reason of its RK_EVENT_ACTOR_FAILED. */
#define RK_FAIL_NO_BUFFER (-2000000001)     /**< there is none of that id, or not where the handler runs */
#define RK_FAIL_OUT_OF_BOUNDS (-2000000002) /**< an index was too large; in modules compiled with RK_DEBUG */

/** A buffer as handlers find it. 32 bytes. */
typedef struct rk_buffer_entry {
    uint64_t id;      /**< its handle; 0 for none */
    uint64_t size;    /**< bytes */
    uint64_t address; /**< where it lies for handlers of this device; 0: out of their reach */
    uint64_t reserved;
} rk_buffer_entry;

/** The buffers of a runtime, for the handlers of one device. Entries change while handlers run, but what one says of an id
 * stays true until every handler has returned that may have read it. */
typedef struct rk_buffer_table {
    uint64_t sink; /**< address of RK_PAYLOAD_MAX bytes, for accesses that are out of bounds */
    uint64_t reserved[3];
    rk_buffer_entry entries[RK_BUFFERS]; /**< a buffer's is that of its id modulo RK_BUFFERS */
} rk_buffer_table;

/** What a handler sees while it runs. Owned by the worker; valid during one call of one handler. 144 bytes. */
typedef struct rk_context {
    void *state;           /**< the actor's state, in place */
    const void *message;   /**< payload, 16-byte aligned, readable for at least the declared size of its type */
    void *scratch;         /**< worker's scratch memory, 64-byte aligned */
    uint8_t *outbox;       /**< entries produced so far, then free room */
    uint32_t outbox_used;  /**< bytes */
    uint32_t outbox_limit; /**< bytes that entries may fill; past it there is room for one largest message to stage */
    uint32_t type;
    uint32_t size;        /**< bytes that the sender sent, at most the declared size */
    uint32_t index;       /**< of this actor in its kernel */
    uint32_t actors;      /**< of this kernel */
    uint64_t self;        /**< this actor's address */
    uint64_t sender;      /**< address of the sending actor; 0 for the host */
    uint64_t correlation; /**< of the message being handled */
    uint64_t time;        /**< hybrid logical clock of the worker at the start of this handler */
    uint64_t *counters;   /**< RK_COUNTERS user counters */
    uint32_t priority;    /**< of the message being handled: 0, 64, 128 or 192 */
    uint32_t result;      /**< out: RK_RESULT_... */
    int32_t fail_code;    /**< out: with RK_RESULT_FAIL */
    uint32_t refused;     /**< out: posts that found the outbox full */
    const rk_buffer_table *buffers; /**< NULL: the pump has none */
    uint64_t reserved[3];
} rk_context;

/** A handler compiled for the CPU. */
typedef void (*rk_handler_fn)(rk_context *context);

/** One message type that an actor handles. */
typedef struct rk_handler {
    uint32_t type;
    uint32_t size; /**< declared size of the payload */
    rk_handler_fn run;
} rk_handler;

/** One actor type. */
typedef struct rk_actor_type {
    const char *name;
    uint32_t state_size;
    uint32_t scratch_size;
    const rk_handler *handlers;
    uint32_t handler_count;
    uint32_t reserved;
} rk_actor_type;

/** One message type of the module, handled here or only sent. */
typedef struct rk_message_type {
    const char *name;
    uint32_t type;
    uint32_t size;
} rk_message_type;

/** Kinds of section. */
/** CUDA C++, followed by a NUL that `size` does not count. The first is what to compile; the others are the files that
 * it includes, each under its name, which is its path as rkc was given it. */
#define RK_SECTION_CUDA_SOURCE 1u
/** Compiled already, for so many lanes: machine code, whose name is "<actor>.sm_<NN>.<lanes>", and PTX, whose name is
 * "<actor>.compute_<NN>.<lanes>". "rk_selftest" with 32 lanes is the kernel that tests memory. */
#define RK_SECTION_CUDA_CUBIN 2u
#define RK_SECTION_CUDA_PTX 3u
#define RK_SECTION_SPIRV 4u       /**< name is "<actor>" */

/** A part of the image for one backend. */
typedef struct rk_section {
    uint32_t kind;
    uint32_t reserved;
    const char *name;
    const void *data;
    uint64_t size; /**< bytes */
} rk_section;

/** A module, with an image for each backend it supports. The CPU's is the handlers in `actors`. */
#ifndef RK_MODULE_IMAGE_DECLARED /* ringkernel.h declares it too; C99 allows a typedef once */
#define RK_MODULE_IMAGE_DECLARED
typedef struct rk_module_image rk_module_image;
#endif
struct rk_module_image {
    uint32_t struct_size;
    uint32_t layout_version; /**< RK_LAYOUT_VERSION of the header it was compiled with */
    const char *name;
    const rk_actor_type *actors;
    const rk_message_type *messages;
    const rk_section *sections;
    uint32_t actor_count;
    uint32_t message_count;
    uint32_t section_count;
    uint32_t reserved;
};

/** Declares the image of module `name`, as the C file that rkc writes for it defines it. */
#define RK_DECLARE_MODULE(name) extern const rk_module_image name

#ifdef __cplusplus
}
#endif
#endif

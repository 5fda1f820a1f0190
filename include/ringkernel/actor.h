/* ringkernel/actor.h: the actor dialect.
 *
 * A file of actors is written once and compiled by three stock compilers: as C (or C++) for the CPU, as CUDA C++ for
 * NVIDIA GPUs and as GLSL for Vulkan. There is no transpiler; the preprocessor is the one thing the three share. A
 * program that only talks to actors includes this file and theirs for the message structs and type numbers.
 *
 *     RK_MESSAGE(add, 1, rk_u64 value;)          struct add; types are unique numbers from 1 to RK_TYPE_MAX
 *     RK_MESSAGE(sum, 2, rk_u64 total;)
 *     RK_SIGNAL(reset, 3)                        a message without a payload
 *     RK_STATE(counter, rk_u64 total;)           struct counter (a tag, in C); zero when the kernel is launched
 *     RK_ON(counter, add) {                      the handler of add; every lane of the worker runs it
 *         if (rk_lane() == 0u) rk_state.total += rk_msg.value;
 *         rk_barrier();
 *         RK_OUT(sum).total = rk_state.total;
 *         rk_reply(sum);
 *     }
 *     RK_ON(counter, reset) { rk_state.total = rk_u64(0); }
 *     RK_ACTOR(counter, RK_HANDLES(counter, add) RK_HANDLES(counter, reset))
 *
 * Files        are included by each other and by programs: guard them with #ifndef, for GLSL knows no #pragma once.
 *              Names may not be reserved words of GLSL either, such as input, filter or sample.
 * Types        rk_u8 rk_u16 rk_u32 rk_u64 rk_i32 rk_i64 rk_f32 rk_f64 rk_address (of an actor; an rk_u64). Conversions
 *              are calls: rk_u32(x). Literals: 1, 1u, 1.0f. Structs hold these and arrays of them, fields separated by
 *              `;` alone (one field a declaration, no commas). Bytes are the same on every backend, in C's layout.
 *              Field names that GLSL knows as words (length, sample, buffer, input, output, filter, active, half) are not for use.
 *              Arithmetic on rk_u8 and rk_u16 is int's in C and the type's own in GLSL: widen them to rk_u32 first.
 * In a handler rk_state, rk_msg: the state and the payload, in place. RK_OUT(type): the message being written; fields
 *              not written hold whatever was there. Then, each by all lanes together:
 *                rk_reply(type)            to whoever sent the message being handled, actor or host
 *                rk_tell(address, type)    to an actor; address 0 is the host, as for rk_emit; a topic's (rk_topic.id of the
 *                                          C API) publishes to all who are subscribed
 *                rk_tell_as(address, type, priority, correlation, deadline_ns)
 *                rk_emit(type)             to the host, unasked
 *                rk_forward(address, type) to an actor, which then replies to our sender
 *              Each yields 0u, or 1u when this handler's outbox is full: nothing was sent and the kernel counted it.
 *              rk_index() rk_actors() rk_self() rk_peer(index) rk_sender() rk_from_host() rk_correlation() rk_size()
 *              rk_time() rk_priority(): who we are, who is asking, when.
 *              rk_lane() rk_lanes() rk_barrier() rk_scratch(actor): lanes share the worker's scratch memory, declared
 *              with RK_SCRATCH(actor, fields). Its contents do not outlive the handler.
 *              rk_fail(code), rk_stop(): leave the handler; the actor fails (and is restarted, if rk_kernel_options.on_failure
 *              says so), or takes no further message. By all lanes.
 *              RK_OPEN(view, id): declares `view` of the buffer whose handle's id it is (an rk_u64: rk_buffer.id of the C
 *              API, from a message or state); if there is none, or not where this handler runs, fails with
 *              RK_FAIL_NO_BUFFER. By all lanes. rk_at(view, type, i) is element i, to read and write; rk_length(view, type)
 *              how many there are (on Vulkan the first 2^32 are in reach). Indices are not checked, unless the module is
 *              compiled with RK_DEBUG defined: then one that is too large does no harm, and the actor fails with
 *              RK_FAIL_OUT_OF_BOUNDS when the handler ends.
 *              rk_has(id): 1u if RK_OPEN would succeed; by all lanes. Element types are declared with RK_BUFFER(type), before the
 *              handlers; records for them with RK_RECORD(name, fields).
 *              rk_count(k, n): adds n to user counter k of the kernel, k < RK_COUNTERS; called by one lane.
 * Signals      that every actor takes, whatever its handlers, and from anybody: rk_tell(address, rk_actor_stop) and
 *              rk_actor_start, in order with other messages. One that is stopped takes no message but the other, and starts
 *              with the state that it was launched with, under the address that it had; so does one that had failed, and one
 *              that runs. rk_kernel_options.dormant has actors begin stopped, to be started when they are needed. An actor
 *              that one of its kernel starts is that one's child, and ends when it does: see RK_ACTOR_START in ringkernel.h.
 * Functions    RK_FUNC rk_f32 square(rk_f32 x) { return x * x; }. One that uses the above takes RK_PARAMS(actor) first
 *              and is called with RK_ARGS.
 * Mathematics  rk_sin rk_cos rk_tan rk_atan2 rk_sqrt rk_rsqrt rk_exp rk_log rk_pow rk_floor rk_fabs rk_fma on rk_f32;
 *              rk_min rk_max rk_clamp on any one type.
 * Own code     #if RK_IS_CPU, RK_IS_CUDA, RK_IS_VULKAN select a body for one backend.
 */
#ifndef RINGKERNEL_ACTOR_H
#define RINGKERNEL_ACTOR_H

/* With the whole name, by which NVRTC finds what is only in memory. */
#if defined(RK_GLSL)
#include <ringkernel/dialect_glsl.h>
#else
#include <ringkernel/dialect_c.h>
#endif

#endif

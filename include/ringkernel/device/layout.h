/* What host and devices share, beside the slots of rings (src/ring/slot.rs): compiled as CUDA C++ and as GLSL with scalar
 * layout. src/backend/gpu/layout.rs is the host's half, and tests compare every offset.
 *
 * Memory is of three kinds. Device: only the device touches it. Host: the host's memory, which the device writes. Inbound:
 * what the host writes and the device polls; the device's own memory where the host can reach that, and read by the host
 * only for counts that are seldom asked for (rk_dev_outcome, on CUDA).
 */
#ifndef RINGKERNEL_DEVICE_LAYOUT_H
#define RINGKERNEL_DEVICE_LAYOUT_H

#define RK_LEVELS 4u
/* Rings of a worker: from actors by level, then from the host by level. */
#define RK_RINGS 8u
/* In `tail`: nobody may reserve any more. */
#define RK_CLOSED (rk_u64(1) << 63)
/* `waits`: for the host to poll. Otherwise kernel key << 32 | worker, or 0. */
#define RK_WAIT_HOST (~rk_u64(0))
/* A worker takes a lower level first every so many messages, the last of them, so that no level waits for ever. */
#define RK_FAIRNESS 32u
/* Messages handled between two deliveries of what they led to, at most. */
#define RK_BATCH 8u
/* Bytes of the outbox that a device may keep close to it. */
#define RK_FRONT 2048u

/* What a launch does. */
#define RK_MODE_RUN 0u
#define RK_MODE_LEAVE_IDLE 1u
#define RK_MODE_END 2u
#define RK_MODE_LOOK 3u /* only reports what has come in; the kernel is at rest */

/* Bits of a slot, src/ring/slot.rs. */
#define RK_F_SENDER 1u
#define RK_F_DEADLINE 2u
#define RK_F_BODY 4u
#define RK_F_CALL 8u
#define RK_F_REPLY 16u
#define RK_F_AGAIN 32u
/* What a post says; the others follow from the rest of it. */
#define RK_F_SAID (RK_F_CALL | RK_F_REPLY | RK_F_AGAIN)

/* Classes of letters, and reasons of dead ones: RK_MESSAGE_... and RK_DEAD_... of ringkernel.h. */
#define RK_CLASS_REPLY 1u
#define RK_CLASS_EMIT 2u
#define RK_CLASS_DEAD 3u
#define RK_CLASS_EVENT 4u
/* A message for an actor that the device does not reach: the host takes it there. */
#define RK_CLASS_FORWARD 5u
#define RK_D_EXPIRED 1
#define RK_D_NO_ACTOR 2
#define RK_D_STOPPED 3
#define RK_D_FAILED 4
#define RK_D_TYPE 5
#define RK_D_TERMINATED 6
#define RK_D_OVERFLOW 7
#define RK_D_SIZE 8
#define RK_EVENT_FAILED_ACTOR 1u
#define RK_EVENT_RESTARTED_ACTOR 5u

/* Not a reason: the receiver is elsewhere, or nowhere. */
#define RK_D_ELSEWHERE (-1)

/* In the place of a kernel's key: the address is of the topic whose key is the lower half, src/address.rs. */
#define RK_TOPIC 0xffffffffu
/* In the table of kernels, beside the key of one that nothing is sent to any more, but that is still there to be read. */
#define RK_GONE (rk_u64(1) << 32)
/* Actors in one rk_dev_audience. */
#define RK_PLACES 60u

/* Status of an actor. */
#define RK_RUNNING 0u
#define RK_STOPPED 1u
#define RK_FAILED 2u
/* On Vulkan, until the host has been told: it has failed, and is restarted then. */
#define RK_RESTARTING 3u

/* To an actor whose parent has ended: as START and STOP of module.h, but only from pump to pump. */
#define RK_TYPE_ORPHANED 65283u
/* Beside RK_POST_... of module.h, by pumps only: as RK_POST_FORWARD, of the message at which the receiver itself has failed. */
#define RK_POST_AGAIN 5u
/* rk_dev_kin.first of an actor that has ended: it gets no children before it is started. */
#define RK_ENDED 0xffffffffu

/* Counters of a worker, in the order of src/kernel/stats.rs. */
#define RK_C_HANDLED 0
#define RK_C_DEAD 1
#define RK_C_SENT_HOST 2
#define RK_C_SENT_ACTORS 3
#define RK_C_DEFERRED 4
#define RK_C_UNDELIVERABLE 5
#define RK_C_REFUSED 6
#define RK_C_FAILURES 7
#define RK_C_QUANTA 8
#define RK_C_COMPLETED 9
#define RK_C_RESTARTS 10
#define RK_C_COUNT 11

/* A ring. Slots and bodies of one from the host lie in inbound memory, of one to the host in host memory, else in the
 * device's. `head` is where the consumer publishes its position: near the producer. `tail` is 0 where the host is the
 * producer and keeps it to itself, or where the worker does. 40 bytes. */
struct rk_dev_ring {
    rk_u64 slots, bodies, head, tail;
    rk_u32 shift; /* capacity is 1 << shift */
    rk_u32 body;  /* bytes of a body */
};

/* The message that was being handled when a post was made. 32 bytes. */
struct rk_dev_origin {
    rk_u64 actor, sender, correlation;
    rk_u32 level, call;
};

/* A post with everything about it known but its time, as it waits aside, followed by its payload. 64 bytes. */
struct rk_dev_post {
    rk_u64 to, by, correlation, sender, deadline_ns;
    rk_u32 actor, type, size, level, flags, reserved;
};

/* A handler that was measured, for traces. The host reads those that were written since it last looked, at a quantum's end.
 * 64 bytes. */
struct rk_dev_span {
    rk_u64 stamp, correlation, from;
    rk_u64 waited; /* the message, in units of 2^-24 s */
    rk_u64 took;   /* the handler, in ticks of the device's timer */
    rk_u32 actor, type, size, level;
    rk_u64 reserved;
};

/* Spans of a worker that the host sees: the last ones. */
#define RK_SPANS 128u

/* A worker between two quanta; device memory. What comes before `position` the host sets once. */
struct rk_dev_worker {
    rk_dev_ring rings[RK_RINGS];
    rk_dev_ring outbound;
    rk_u64 outbox;  /* RK_FRONT bytes, then what the posts of one handler may fill and room for a largest message */
    rk_u64 message; /* room for a largest message */
    rk_u64 aside;   /* posts set aside, a ring of aside_size bytes */
    rk_u64 latencies;      /* rk_latencies; 0: nothing is measured. See device/histogram.h */
    rk_u64 latencies_host; /* where the host reads them, as of the end of the last quantum */
    rk_u64 spans;          /* as those, in host memory */
    rk_u32 sample_every, sample_pad;
    rk_u64 position[RK_RINGS];
    rk_u64 out_tail, out_head;
    rk_u64 clock;
    rk_i64 clock_offset; /* unix time minus the device's clock, in ns */
    rk_u64 aside_head, aside_tail;
    rk_dev_origin origins[RK_BATCH]; /* of posts in the outbox, by their `reserved` */
    rk_u32 outbox_used, outbox_sent; /* offsets; entries from `front_end` on lie past RK_FRONT */
    rk_u32 front_end, turn;
    rk_u32 ended;
    rk_u32 irregular; /* 1: an actor is not running or not of generation 0, so that all must be looked up */
    rk_u32 sample_ahead; /* messages before the next that is measured */
    rk_u32 sample_random;
    rk_i64 sample_offset; /* as clock_offset, and no stamp that was measured is of a later time */
    rk_u64 ticks, ticks_ns; /* of the device's timer while the worker was measuring, and how long that was */
    rk_u64 span_count;      /* all that were ever written */
    rk_u64 consumed, found_waiting;
    rk_u64 counts[RK_C_COUNT];
    rk_u64 counters[RK_COUNTERS];
    rk_u64 failed_actor; /* an actor that has ended or failed, of which others are still to be told; where that may wait */
    rk_i32 failed_code;
    rk_u32 aside_count; /* posts set aside, where they are counted */
};

/* What the host reads about a worker after a quantum; host memory. */
struct rk_dev_report {
    rk_u64 counts[RK_C_COUNT];
    rk_u64 counters[RK_COUNTERS];
    rk_u64 accepted[RK_LEVELS], consumed[RK_LEVELS]; /* of rings from actors */
    rk_u64 waits, ended, found_waiting;
    rk_u64 ticks, ticks_ns, span_count;
};

/* From the device; host memory. Each on a line of its own. */
struct rk_dev_control {
    rk_u64 left;    /* the launch whose workers have all left */
    rk_u64 pad0[7];
    rk_u64 foreign; /* changes when something was sent to another kernel */
    rk_u64 pad1[7];
};

/* From the host to all workers; inbound memory. */
struct rk_dev_command {
    rk_u64 leave; /* the launch that is to leave now */
    rk_u64 pad0[7];
    rk_u64 letter_head; /* letters read */
    rk_u64 now;         /* the host's clock, as in stamps, now and then; for devices without one */
    rk_u64 pad1[6];
};

/* From the host to one worker; inbound memory. 64 bytes. */
struct rk_dev_orders {
    rk_u64 out_head;          /* what the host has taken from the worker's ring */
    rk_u64 end_at[RK_LEVELS]; /* messages accepted by the closed rings from the host */
    rk_u64 letters_full;      /* 1: no more dead letters for now */
    rk_u64 pad[2];
};

/* A letter, followed by its payload; host memory. `stamp` is its ticket plus 1, written last. 128 bytes. */
struct rk_dev_letter {
    rk_u64 stamp, from, to, correlation, time;
    rk_u32 worker, klass, type, level, call, size;
    rk_i32 reason;
    rk_u32 reserved;
    rk_u64 deadline_ns; /* of RK_CLASS_FORWARD; 0: none */
    rk_u32 pad[12];
};

/* An actor. 16 bytes. */
struct rk_dev_entry {
    rk_u32 status, generation;
    rk_u32 restarts, since; /* of the window that began then; src/kernel/supervision.rs */
};

/* An actor among its relatives, by their indices plus 1, 0 for none; src/kernel/family.rs. 12 bytes. */
struct rk_dev_kin {
    rk_u32 parent;
    rk_u32 first; /* the child that came last, or RK_ENDED */
    rk_u32 next;  /* the child of the same parent that came before */
};

/* Subscribers of a topic on one device, all of them actors that nobody waits for; inbound memory. The first of a topic's also
 * says what is true of all. A publication is for those who came no later than its worker read `changes`, so that one who leaves
 * and comes again meanwhile does not get it twice. 1024 bytes. */
struct rk_dev_audience {
    rk_u64 next;   /* where there are more; or 0 */
    rk_u64 counts; /* its rk_dev_outcome */
    rk_u64 used;   /* places from which on there are none */
    rk_u64 others; /* 1: the host has subscribers too */
    rk_u64 changes; /* grows with everyone who comes */
    rk_u64 pad[3];
    rk_u64 actors[RK_PLACES]; /* their addresses; 0: none */
    rk_u64 since[RK_PLACES];  /* what `changes` came to with each; ~0: nobody, whatever `actors` says */
};

/* What became of publications at those of one rk_dev_audience, whose counts only grow; inbound memory on CUDA,
 * host memory on Vulkan. 1024 bytes. */
struct rk_dev_outcome {
    rk_u64 published; /* that were for nobody else; of a topic's first */
    rk_u64 pad[7];
    rk_u64 delivered[RK_PLACES], dropped[RK_PLACES];
};

/* A kernel; device memory. Addresses of arrays, and what never changes, but for the last two. */
struct rk_dev_kernel {
    rk_u64 workers, waits, states, entries;
    rk_u64 types; /* hash table of pairs of type and declared size, src/kernel/types.rs */
    rk_u64 reports, orders, control, command, letters;
    rk_u64 directory; /* 4096 pairs of key (or RK_GONE | key) and address of a kernel */
    rk_u64 reciprocal; /* of the number of actors of a worker: index * reciprocal >> 42 is the worker */
    rk_u64 aside_size;
    rk_u64 initial; /* state of an actor that starts; 0: zeros */
    rk_u64 kin;     /* rk_dev_kin of all actors */
    rk_u64 kept;    /* states of those that are restarted, if they begin with others than those that start; or 0 */
    rk_u64 buffers; /* rk_buffer_table of the runtime's on this device */
    rk_u64 topics;  /* 4096 pairs of key and address of the rk_dev_audience of a topic of the runtime's */
    rk_u32 key, actors, worker_count, stride;
    rk_u32 type_shift, type_mask, outbox_limit, letter_mask, letter_stride;
    rk_u32 block; /* actors of a worker */
    rk_u32 restarts, restart_window; /* of one actor within so many units of 2^-10 s */
    rk_u32 near;  /* bytes of a worker's states, if it is to keep them close to it while it is on the device; or 0 */
    rk_u32 left_count;
    rk_u64 letter_tail;
};

#endif

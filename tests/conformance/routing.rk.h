/* Actors that send to one another. They use messages of delivery.rk.h and payload.rk.h. */
#include <ringkernel/actor.h>

/* A station of a ring: passes tokens on until they have made their hops, then hands them to the host. */
RK_MESSAGE(token, 60, rk_u64 id; rk_u32 hops; rk_u32 unused;)
RK_MESSAGE(trail, 61, rk_u32 depth; rk_u32 unused; rk_u64 stamps[16];)
RK_MESSAGE(countdown, 62, rk_u32 left; rk_u32 done;)
RK_STATE(station, rk_address next; rk_u64 passed; rk_u64 home;)

RK_ON(station, attach) {
    if (rk_lane() == 0u) rk_state.next = rk_msg.to;
    rk_reply(attached);
}

RK_ON(station, token) {
    if (rk_lane() == 0u) {
        rk_state.passed += rk_u64(1);
        if (rk_msg.hops == 0u) rk_state.home += rk_u64(1);
    }
    RK_OUT(token).id = rk_msg.id;
    if (rk_msg.hops == 0u) {
        RK_OUT(token).hops = 0u;
        rk_emit(token);
    } else {
        RK_OUT(token).hops = rk_msg.hops - 1u;
        rk_tell(rk_state.next, token);
    }
}

RK_ON(station, inquire) {
    RK_OUT(tally).count = rk_state.passed;
    RK_OUT(tally).other = rk_state.home;
    rk_reply(tally);
}

/* Along the ring with the time of every hop; the last one answers the host. */
RK_ON(station, trail) {
    for (rk_u32 i = rk_lane(); i < 16u; i += rk_lanes()) RK_OUT(trail).stamps[i] = rk_msg.stamps[i];
    rk_barrier();
    RK_OUT(trail).stamps[rk_msg.depth] = rk_time();
    RK_OUT(trail).depth = rk_msg.depth + 1u;
    if (rk_msg.depth == 15u)
        rk_reply(trail);
    else
        rk_forward(rk_state.next, trail);
}

/* To itself, on behalf of the host. */
RK_ON(station, countdown) {
    RK_OUT(countdown).done = rk_msg.done + 1u;
    if (rk_msg.left == 0u) {
        RK_OUT(countdown).left = 0u;
        rk_reply(countdown);
    } else {
        RK_OUT(countdown).left = rk_msg.left - 1u;
        rk_forward(rk_self(), countdown);
    }
}

RK_ACTOR(station, RK_HANDLES(station, attach) RK_HANDLES(station, token) RK_HANDLES(station, inquire)
         RK_HANDLES(station, trail) RK_HANDLES(station, countdown))

/* All to all. Each item goes on to a random peer until its time to live is over. Counter 0 has the items, counter 1
 * those that came before an earlier one of the same sender. */
RK_MESSAGE(burst, 63, rk_u32 ttl; rk_u32 unused;)
RK_MESSAGE(item, 64, rk_u32 ttl; rk_u32 origin; rk_u32 number; rk_u32 unused;)
RK_STATE(mesh, rk_u32 gave; rk_u32 random; rk_u32 last[64];)

RK_ON(mesh, burst) {
    rk_u32 number = rk_state.gave;
    rk_barrier();
    for (rk_u32 i = 0u; i < rk_actors(); i++) {
        RK_OUT(item).ttl = rk_msg.ttl;
        RK_OUT(item).origin = rk_index();
        RK_OUT(item).number = number + i + 1u;
        rk_tell(rk_peer(i), item);
    }
    if (rk_lane() == 0u) rk_state.gave = number + rk_actors();
}

RK_ON(mesh, item) {
    rk_u32 late = rk_msg.number <= rk_state.last[rk_msg.origin] ? 1u : 0u;
    rk_u32 number = rk_state.gave + 1u;
    rk_u32 random = (rk_state.random + rk_index()) * 1664525u + 1013904223u;
    rk_barrier();
    if (rk_lane() == 0u) {
        rk_state.last[rk_msg.origin] = rk_msg.number;
        rk_state.random = random;
        if (rk_msg.ttl > 0u) rk_state.gave = number;
        rk_count(0u, rk_u64(1));
        rk_count(1u, rk_u64(late));
    }
    if (rk_msg.ttl > 0u) {
        RK_OUT(item).ttl = rk_msg.ttl - 1u;
        RK_OUT(item).origin = rk_index();
        RK_OUT(item).number = number;
        rk_tell(rk_peer((random >> 8) % rk_actors()), item);
    }
}

RK_ACTOR(mesh, RK_HANDLES(mesh, burst) RK_HANDLES(mesh, item))

/* Sends where the host says, with everything that can be said. */
RK_MESSAGE(deliver, 65, rk_address to; rk_u64 value; rk_u64 correlation; rk_u64 deadline; rk_u32 priority; rk_u32 what;)
RK_MESSAGE(letter, 66, rk_u64 value;)
RK_MESSAGE(stranger, 67, rk_u64 value;)
RK_MESSAGE(posted, 68, rk_u32 refused; rk_u32 unused;)
RK_MESSAGE(read_letter, 69, rk_u64 value; rk_address from; rk_u64 correlation; rk_u64 time; rk_u32 priority;
           rk_u32 size;)
RK_STATE(courier, rk_u64 letters;)

RK_ON(courier, deliver) {
    rk_u32 refused = 0u;
    if (rk_msg.what == 0u) {
        RK_OUT(letter).value = rk_msg.value;
        refused = rk_tell_as(rk_msg.to, letter, rk_msg.priority, rk_msg.correlation, rk_msg.deadline);
    } else {
        RK_OUT(stranger).value = rk_msg.value;
        refused = rk_tell_as(rk_msg.to, stranger, rk_msg.priority, rk_msg.correlation, rk_msg.deadline);
    }
    RK_OUT(posted).refused = refused;
    rk_reply(posted);
}

RK_ON(courier, letter) {
    if (rk_lane() == 0u) rk_state.letters += rk_u64(1);
    RK_OUT(read_letter).value = rk_msg.value;
    RK_OUT(read_letter).from = rk_sender();
    RK_OUT(read_letter).correlation = rk_correlation();
    RK_OUT(read_letter).time = rk_time();
    RK_OUT(read_letter).priority = rk_priority();
    RK_OUT(read_letter).size = rk_size();
    rk_emit(read_letter);
}

RK_ACTOR(courier, RK_HANDLES(courier, deliver) RK_HANDLES(courier, letter))

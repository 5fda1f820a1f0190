/* Publishing: what an actor tells a topic goes from here to the subscribers that the host has given a place in the topic's
 * rk_dev_audience, one in a step, and to all others by one letter, from which the host leaves these out. They are never waited
 * for. src/topics/fanout.rs says who they are. All by lane 0.
 *
 * First each of another kernel is asked whether it takes such a message, for what one does not take is the host's too; then comes the letter, if
 * there is to be one, for which the worker may have to wait, and even leave and begin again; then nothing holds it up. */
#ifndef RINGKERNEL_VULKAN_TOPICS_GLSL
#define RINGKERNEL_VULKAN_TOPICS_GLSL

/* The publication under way. None outlasts a dispatch. */
rk_u64 rk_topic = rk_u64(0); /* the topic's rk_dev_audience, as soon as it is known; */
rk_u64 rk_topic_counts;      /* its rk_dev_outcome, */
rk_u32 rk_topic_used;        /* the places there, */
rk_u32 rk_topic_at;          /* and the next of them */
rk_u64 rk_topic_changes;     /* who came later than this is not meant */
bool rk_topic_others;        /* some are left to the host */
bool rk_topic_abroad;        /* some that have it are of other kernels */
bool rk_topic_taken;         /* actors of our own kernel take such a message */
bool rk_spreading = false;   /* the letter has left, or there is none: we do not leave before all have had their turn */

#define rk_count_one(place)                                                                                            \
    atomicAdd(place, rk_u64(1), gl_ScopeDevice, gl_StorageSemanticsNone, gl_SemanticsRelaxed)

/* The letter has left, or there is none. */
void rk_spread() {
    rk_spreading = true;
    rk_topic_at = 0u;
}

/* Of those who are to be asked, who is of our own kernel need not be: it takes what all of them take. */
void rk_pass_over_ours() {
    rk_dev_audience_at audience = rk_dev_audience_at(rk_topic);
    bool ours = true;
    [[dont_unroll]] while (ours && rk_topic_at < rk_topic_used) {
        rk_turns++;
        ours = rk_u32(rk_peek(audience.v.actors[rk_topic_at]) >> 32) == rk_kernel.key;
        if (ours) rk_topic_at++;
    }
}

/* Addresses rk_post, which is for a topic, to the next subscriber, to nobody (0) if that has left its place; or leaves it as it
 * is, for the letter. True: the subscriber is only asked. */
bool rk_next_subscriber() {
    if (rk_topic == rk_u64(0)) {
        /* Of several who might answer a call none is the one that does: that is for the host to say. */
        bool call = (rk_post.flags & RK_F_CALL) != 0u;
        rk_topic = call ? rk_u64(0) : rk_look_up(rk_kernel.topics, rk_u64(rk_u32(rk_post.to)));
        if (rk_topic == rk_u64(0)) return false;
        rk_dev_audience_at audience = rk_dev_audience_at(rk_topic);
        rk_topic_changes = rk_peek(audience.v.changes);
        rk_topic_used = rk_u32(rk_peek(audience.v.used));
        rk_acquire(); /* the places that are used are written */
        rk_topic_counts = rk_peek(audience.v.counts);
        rk_topic_others = rk_peek(audience.v.others) != rk_u64(0);
        rk_topic_at = 0u;
        rk_topic_abroad = false;
        rk_u32 declared = rk_declared(rk_kernel.types, rk_kernel.type_shift, rk_kernel.type_mask, rk_post.type);
        rk_topic_taken = declared != ~0u && rk_post.size <= declared;
    }
    if (!rk_spreading && rk_topic_others) return false;
    if (!rk_spreading && rk_topic_taken) rk_pass_over_ours();
    if (!rk_spreading && rk_topic_at == rk_topic_used) rk_spread();
    rk_post.to = rk_u64(0);
    if (rk_topic_at < rk_topic_used) {
        rk_dev_audience_at audience = rk_dev_audience_at(rk_topic);
        bool meant = rk_peek(audience.v.since[rk_topic_at]) <= rk_topic_changes;
        rk_post.to = meant ? rk_peek(audience.v.actors[rk_topic_at]) : rk_u64(0);
        rk_topic_at++;
    }
    rk_post.actor = rk_u32(rk_post.to);
    return !rk_spreading;
}

/* What came of that, for whom nobody waits. False: it was for the letter. */
bool rk_has_reached(bool asks, rk_i32 reason) {
    if (rk_u32(rk_post.to >> 32) == RK_TOPIC) return false;
    bool takes = reason == 0 || reason == RK_D_ELSEWHERE || reason == RK_D_TERMINATED;
    rk_topic_others = rk_topic_others || (asks && !takes);
    if (!asks && takes && rk_post.to != rk_u64(0)) {
        bool delivered = rk_out.slot != rk_u64(0);
        rk_topic_abroad = rk_topic_abroad || rk_out.abroad;
        rk_dev_outcome_at counts = rk_dev_outcome_at(rk_topic_counts);
        rk_u32 place = rk_topic_at - 1u;
        /* Relaxed, both: counts, which the host reads. */
        if (delivered) rk_count_one(counts.v.delivered[place]);
        else rk_count_one(counts.v.dropped[place]);
    }
    return true;
}

/* Whether the publication has more steps. */
bool rk_goes_on() {
    return rk_topic != rk_u64(0) && !(rk_spreading && rk_topic_at == rk_topic_used);
}

/* Everybody has had it. */
void rk_end_publication() {
    if (!rk_topic_others) rk_count_one(rk_dev_outcome_at(rk_topic_counts).v.published);
    rk_topic = rk_u64(0);
    rk_spreading = false;
}

#endif

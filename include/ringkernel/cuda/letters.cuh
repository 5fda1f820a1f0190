/* Dead letters, events, and messages for the host that their ring has no place for: through a ring of letters that all
 * workers of a kernel share. Seldom used, all of it cold. */
#ifndef RINGKERNEL_CUDA_LETTERS_CUH
#define RINGKERNEL_CUDA_LETTERS_CUH

#include <ringkernel/cuda/block.cuh>

/* A letter but for its payload. */
struct rk_note {
    rk_u64 from, to, correlation, time;
    rk_u32 klass, type, level, call;
    rk_i32 reason;
    rk_u64 deadline_ns;
};

/* Has a letter wait for the host, which reads letters as long as we are here: there will be room. */
RK_COLD_FN void rk_letter(const rk_note &note, const rk_u8 *payload, rk_u32 size) {
    rk_u64 ticket = 0;
    if (rk_thread() == 0) {
        unsigned long long *tail = (unsigned long long *)&rk_s.kernel->letter_tail;
        ticket = rk_peek((rk_u64)tail);
        for (;;) {
            /* Acquire: the host has read what was there before we write. */
            if (ticket - rk_acquire((rk_u64)&((rk_dev_command *)rk_s.k.command)->letter_head) > rk_s.k.letter_mask) {
                ticket = rk_peek((rk_u64)tail);
                continue;
            }
            rk_u64 now = atomicCAS(tail, (unsigned long long)ticket, (unsigned long long)ticket + 1);
            if (now == ticket) break;
            ticket = now;
        }
    }
    ticket = rk_shfl(ticket, 0);
    rk_dev_letter *letter =
        (rk_dev_letter *)(rk_s.k.letters + (ticket & rk_s.k.letter_mask) * (rk_u64)rk_s.k.letter_stride);
    if (rk_thread() == 0) {
        letter->from = note.from, letter->to = note.to, letter->correlation = note.correlation;
        letter->time = note.time, letter->worker = blockIdx.x, letter->klass = note.klass, letter->type = note.type;
        letter->level = note.level, letter->call = note.call, letter->size = size, letter->reason = note.reason;
        letter->deadline_ns = note.deadline_ns;
    }
    rk_copy((rk_u64)(letter + 1), payload, size, rk_thread());
    /* Release, by every lane for its part. */
    __threadfence_system();
    __syncwarp();
    if (rk_thread() == 0) rk_poke((rk_u64)&letter->stamp, ticket + 1);
    __syncwarp();
}

/* A post of one of our actors has nowhere to go. */
RK_COLD_FN void rk_undeliverable(const rk_dev_post &post, const rk_u8 *payload, rk_i32 reason) {
    rk_add(RK_C_UNDELIVERABLE, 1);
    rk_note note = {post.sender, post.to, post.correlation, rk_tick(), RK_CLASS_DEAD, post.type, post.level,
                    post.flags & RK_F_CALL, reason, 0};
    rk_letter(note, payload, post.size);
}

/* A post of one of our actors is for one that is not on this device, or for such subscribers: the host takes it there. */
RK_COLD_FN void rk_forward_by_host(const rk_dev_post &post, const rk_u8 *payload, rk_u64 time) {
    rk_add(RK_C_SENT_ACTORS, 1);
    rk_note note = {post.sender, post.to, post.correlation, time, RK_CLASS_FORWARD, post.type, post.level,
                    post.flags & RK_F_CALL, 0, post.deadline_ns};
    rk_letter(note, payload, post.size);
}

/* A message of one of our rings becomes a dead letter. */
RK_COLD_FN void rk_bury(const rk_item &m, const rk_u8 *payload, rk_u32 size, rk_i32 reason) {
    rk_add(RK_C_DEAD, 1);
    rk_note note = {m.sender(), (rk_u64)rk_s.k.key << 32 | m.actor, m.correlation, m.time, RK_CLASS_DEAD, m.type(),
                    m.level(), m.call(), reason, 0};
    rk_letter(note, payload, size);
}

/* Whether the host has so many letters unread that no more may be made; as one lane sees it, for another may see less. */
RK_PUMP_FN rk_u64 rk_peek_letters_full() {
    return rk_peek((rk_u64)&((const rk_dev_orders *)rk_s.k.orders)[blockIdx.x].letters_full);
}

/* The same for all lanes. */
RK_PUMP_FN bool rk_letters_full() {
    return rk_shfl(rk_peek_letters_full(), 0);
}

#endif

/* What handlers publish, to actors of all kinds of subscriptions: where a device can, it hands it over by itself. */
#include "snapshots.h"
#include "topics.h"

#include <stdio.h>
#include <time.h>

static rk_subscription_statistics stats_of_subscription(rk_subscription subscription) {
    rk_subscription_statistics stats = RK_SUBSCRIPTION_STATISTICS_INIT;
    CHECK_DONE(rk_subscription_stats(subscription, &stats, &test_error));
    return stats;
}

/* Has an actor publish numbers from `first` on. */
static void speak(rk_actor actor, rk_topic topic, uint32_t first, uint32_t count, uint32_t speaker) {
    proclaim message = {.topic = topic.id, .first = first, .count = count, .speaker = speaker};
    send_to(actor, RK_TYPE(proclaim), &message, sizeof message);
}

static uint64_t last_heard(rk_actor actor, uint32_t speaker) {
    recite message = {.speaker = speaker};
    tally last;
    ask_for(actor, RK_TYPE(recite), &message, sizeof message, RK_TYPE(tally), &last, sizeof last);
    return last.count;
}

/* Waits until everything that was for a topic's subscribers is with them or lost. */
static void wait_until_spread(rk_topic topic, uint64_t published, uint64_t matched) {
    int64_t deadline = test_now() + PATIENCE;
    for (;;) {
        rk_topic_statistics stats = stats_of_topic(topic);
        if (stats.published == published && stats.delivered + stats.dropped == matched) return;
        CHECK(test_now() < deadline);
    }
}

/* Speakers and listeners of two kernels, where nobody waits and there is room: all hear all, in order, and all is counted. */
CASE(topics_reach_those_who_are_not_waited_for) {
    enum { ACTORS = 24, EACH = 16, LISTENERS = 2 * ACTORS };
    world w = world_open();
    rk_kernel kernels[2];
    for (uint32_t k = 0; k < 2; k++)
        kernels[k] =
            world_start(&w, "herald", OPTIONS(.actors = ACTORS, .inbound_capacity = 1024, .actor_capacity = 1024));
    rk_topic topic = topic_of(&w, "t", 0), early = topic_of(&w, "u", 0);
    rk_subscription subscriptions[LISTENERS];
    for (uint32_t i = 0; i < LISTENERS; i++)
        subscriptions[i] = subscribe(&w, i % 3 ? "t" : "#", SUBSCRIBING(.actor = actor_of(kernels[i % 2], i / 2)));
    const uint32_t rounds = test_load(50);
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t k = 0; k < 2; k++) speak(actor_of(kernels[k], 7 * k), topic, 1 + round * EACH, EACH, k);
        for (uint32_t k = 0; k < 2; k++)
            wait_until_handled(kernels[k], (uint64_t)(round + 1) * (1 + 2 * EACH * ACTORS));
    }
    const uint64_t said = (uint64_t)rounds * EACH * 2;
    for (uint32_t i = 0; i < LISTENERS; i++) {
        tally heard = inquire_of(actor_of(kernels[i % 2], i / 2));
        CHECK_EQ(heard.count, said);
        CHECK_EQ(heard.other, 0);
        rk_subscription_statistics stats = stats_of_subscription(subscriptions[i]);
        CHECK(stats.delivered == said && stats.dropped == 0 && stats.dead_letters == 0 && stats.waiting == 0);
    }
    rk_topic_statistics stats = stats_of_topic(topic);
    CHECK(stats.published == said && stats.delivered == said * LISTENERS && stats.dropped == 0);
    CHECK(stats.dead_letters == 0 && stats.waiting == 0 && stats.subscriptions == LISTENERS);
    /* One that was opened before there was any subscription, of a speaker that comes after; and one that is opened now. */
    rk_topic late = topic_of(&w, "v", 0);
    rk_kernel third = world_start(&w, "herald", OPTIONS(.actors = 1));
    speak(actor_of(third, 0), early, 1, 5, 2);
    speak(actor_of(third, 0), late, 1, 5, 3);
    wait_until_spread(early, 5, 5 * (LISTENERS / 3));
    wait_until_spread(late, 5, 5 * (LISTENERS / 3));
    CHECK(stats_of_topic(early).dropped == 0 && stats_of_topic(late).dropped == 0);
    for (uint32_t k = 0; k < 2; k++) {
        const uint64_t accepted = said * ACTORS + rounds + ACTORS + 2 * 5 * (LISTENERS / 3) / 2;
        wait_until_handled(kernels[k], accepted);
        CHECK_DONE(rk_kernel_deactivate(kernels[k], &test_error));
        rk_kernel_statistics kernel = check_accounts(kernels[k]);
        CHECK_EQ(kernel.accepted, accepted);
        CHECK_EQ(kernel.sent_actors, rounds * EACH);
        CHECK_EQ(kernel.undeliverable, 0);
        CHECK_EQ(kernel.counters[0], 0);
    }
    expect_silence(&w);
    world_close(&w);
}

/* What an actor publishes goes straight into the rings that its messages to actors go into, also on a device: it fills those
 * and not the larger ones that are the host's. */
CASE(topics_use_the_rings_of_actors) {
    enum { SAID = 40, ROOM = 8 };
    world w = world_open();
    rk_kernel speaker = world_start(&w, "herald", OPTIONS(.actors = 1));
    rk_kernel asleep = world_launch(&w, "herald", OPTIONS(.actors = 2, .workers = 1, .inbound_capacity = 256,
                                                          .actor_capacity = ROOM));
    rk_topic topic = topic_of(&w, "t", 0);
    rk_subscription first = subscribe(&w, "t", SUBSCRIBING(.actor = actor_of(asleep, 0)));
    rk_subscription second = subscribe(&w, "t", SUBSCRIBING(.actor = actor_of(asleep, 1)));
    speak(actor_of(speaker, 0), topic, 1, SAID, 0);
    wait_until_spread(topic, SAID, 2 * SAID);
    rk_topic_statistics stats = stats_of_topic(topic);
    CHECK_EQ(stats.delivered, ROOM);
    CHECK_EQ(stats.dropped, 2 * SAID - ROOM);
    CHECK_EQ(stats.waiting, 0);
    rk_subscription_statistics one = stats_of_subscription(first), other = stats_of_subscription(second);
    CHECK(one.delivered == ROOM / 2 && one.dropped == SAID - ROOM / 2);
    CHECK(other.delivered == ROOM / 2 && other.dropped == SAID - ROOM / 2);
    CHECK_DONE(rk_kernel_activate(asleep, &test_error));
    wait_until_handled(asleep, ROOM);
    for (uint32_t i = 0; i < 2; i++) {
        tally heard = inquire_of(actor_of(asleep, i));
        CHECK_EQ(heard.count, ROOM / 2);
        CHECK_EQ(heard.other, 0);
    }
    expect_silence(&w);
    world_close(&w);
}

/* Far more is said than there is room for: what is not heard is counted, and the rest is in order. */
CASE(topics_count_what_is_lost) {
    enum { ACTORS = 6, EACH = 100 };
    world w = world_open();
    rk_kernel kernels[2];
    for (uint32_t k = 0; k < 2; k++)
        kernels[k] = world_start(&w, "herald", OPTIONS(.actors = ACTORS, .inbound_capacity = 4, .actor_capacity = 4));
    rk_topic topic = topic_of(&w, "t", 0);
    rk_subscription subscriptions[2 * ACTORS];
    for (uint32_t i = 0; i < 2 * ACTORS; i++)
        subscriptions[i] = subscribe(&w, "t", SUBSCRIBING(.actor = actor_of(kernels[i % 2], i / 2)));
    const uint32_t rounds = test_load(40);
    for (uint32_t round = 0; round < rounds; round++)
        for (uint32_t k = 0; k < 2; k++) speak(actor_of(kernels[k], 0), topic, 1 + round * EACH, EACH, k);
    const uint64_t said = (uint64_t)rounds * EACH * 2;
    wait_until_spread(topic, said, said * 2 * ACTORS);
    const uint64_t delivered = stats_of_topic(topic).delivered;
    uint64_t heard = 0;
    for (int64_t deadline = test_now() + PATIENCE; heard != delivered;) {
        CHECK(test_now() < deadline);
        heard = 0;
        for (uint32_t i = 0; i < 2 * ACTORS; i++) heard += inquire_of(actor_of(kernels[i % 2], i / 2)).count;
    }
    for (uint32_t i = 0; i < 2 * ACTORS; i++) {
        rk_subscription_statistics stats = stats_of_subscription(subscriptions[i]);
        CHECK_EQ(stats.delivered + stats.dropped, said);
        CHECK_EQ(stats.delivered, inquire_of(actor_of(kernels[i % 2], i / 2)).count);
    }
    for (uint32_t k = 0; k < 2; k++) {
        CHECK_DONE(rk_kernel_deactivate(kernels[k], &test_error));
        rk_kernel_statistics stats = check_accounts(kernels[k]);
        CHECK_EQ(stats.sent_actors, rounds * EACH);
        CHECK_EQ(stats.counters[0], 0);
    }
    world_close(&w);
}

/* Some come and go while others stay: who stays hears all, who is gone nothing more, and the counts agree with what was heard. */
CASE(topics_while_subscribers_come_and_go) {
    enum { STAY = 6, COME = 6, EACH = 12, TURNS = 4 };
    world w = world_open();
    rk_kernel kernels[2];
    for (uint32_t k = 0; k < 2; k++)
        kernels[k] = world_start(&w, "herald", OPTIONS(.actors = STAY + COME, .inbound_capacity = 1024,
                                                       .actor_capacity = 1024));
    rk_topic topic = topic_of(&w, "t", 0);
    rk_subscription steady[2 * STAY], passing[2 * COME];
    for (uint32_t i = 0; i < 2 * STAY; i++)
        steady[i] = subscribe(&w, "t", SUBSCRIBING(.actor = actor_of(kernels[i % 2], i / 2)));
    const uint32_t rounds = test_load(40);
    uint64_t seed = test_seed();
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t k = 0; k < 2; k++) speak(actor_of(kernels[k], 0), topic, 1 + round * EACH, EACH, k);
        for (uint32_t turn = 0; turn < TURNS; turn++) {
            for (uint32_t i = 0; i < 2 * COME; i++)
                passing[i] = subscribe(&w, turn % 2 ? "t" : "#",
                                       SUBSCRIBING(.actor = actor_of(kernels[i % 2], STAY + i / 2)));
            for (uint32_t left = 2 * COME; left > 0; left--) {
                uint32_t which = test_random_below(&seed, left);
                CHECK_OK(rk_unsubscribe(passing[which]));
                passing[which] = passing[left - 1];
            }
        }
        /* Nobody of those hears what is said from here on. */
        speak(actor_of(kernels[round % 2], 1), topic, 1 + round, 1, 15);
        wait_until_published(topic, (uint64_t)(round + 1) * (2 * EACH + 1));
        int64_t deadline = test_now() + PATIENCE;
        for (uint32_t i = 0; i < 2 * STAY; i++)
            while (last_heard(actor_of(kernels[i % 2], i / 2), 15) < 1 + round) CHECK(test_now() < deadline);
    }
    const uint64_t said = (uint64_t)rounds * (2 * EACH + 1);
    for (uint32_t i = 0; i < 2 * STAY; i++) {
        int64_t deadline = test_now() + PATIENCE;
        while (inquire_of(actor_of(kernels[i % 2], i / 2)).count < said) CHECK(test_now() < deadline);
        tally heard = inquire_of(actor_of(kernels[i % 2], i / 2));
        CHECK_EQ(heard.count, said);
        CHECK_EQ(heard.other, 0);
        CHECK_EQ(stats_of_subscription(steady[i]).delivered, said);
    }
    uint64_t heard = said * 2 * STAY;
    for (uint32_t i = 0; i < 2 * COME; i++) {
        rk_actor actor = actor_of(kernels[i % 2], STAY + i / 2);
        CHECK_EQ(last_heard(actor, 15), 0);
        heard += inquire_of(actor).count;
    }
    rk_topic_statistics stats = stats_of_topic(topic);
    CHECK_EQ(stats.published, said);
    CHECK_EQ(stats.delivered, heard);
    CHECK(stats.dropped == 0 && stats.waiting == 0 && stats.subscriptions == 2 * STAY);
    for (uint32_t k = 0; k < 2; k++) {
        CHECK_DONE(rk_kernel_deactivate(kernels[k], &test_error));
        CHECK_EQ(check_accounts(kernels[k]).counters[0], 0);
    }
    world_close(&w);
}

/* Signals too, which every actor takes: all who subscribe are ended and started, on each backend by actors of each. */
CASE(topics_carry_signals) {
    lands all = lands_open("herald", 2);
    rk_topic topic = topic_of(&all.w, "t", 0);
    for (uint32_t k = 0; k < 3; k++) subscribe(&all.w, "t", SUBSCRIBING(.actor = actor_of(all.kernels[k], 1)));
    for (uint32_t turn = 0; turn < 6; turn++) {
        summon message = {.topic = topic.id, .ends = turn % 2 == 0};
        send_to(actor_of(all.kernels[turn / 2], 0), RK_TYPE(summon), &message, sizeof message);
        wait_until_spread(topic, turn + 1, (turn + 1) * 3);
        const rk_status expected = message.ends ? RK_ERROR_UNDELIVERED : RK_OK;
        for (uint32_t k = 0; k < 3; k++) {
            tally got;
            int64_t deadline = test_now() + PATIENCE;
            while (rk_call(actor_of(all.kernels[k], 1), RK_TYPE(inquire), NULL, 0, NULL, &got, sizeof got, NULL, PATIENCE,
                           NULL) != expected)
                CHECK(test_now() < deadline);
        }
    }
    rk_topic_statistics stats = stats_of_topic(topic);
    CHECK(stats.published == 6 && stats.delivered == 18 && stats.dropped == 0 && stats.dead_letters == 0);
    expect_silence(&all.w);
    world_close(&all.w);
}

/* Those whom a device serves beside all kinds of others: each has everything once and in order, and an actor that takes no such
 * messages is told of. */
CASE(topics_of_all_kinds_of_subscribers) {
    enum { EACH = 20 };
    lands all = lands_open("herald", 3);
    rk_kernel ledger = world_start(&all.w, "ledger", OPTIONS(.actors = 1));
    rk_topic topic = topic_of(&all.w, "t", 0);
    rk_queue queue = {0};
    CHECK_DONE(rk_queue_create(all.w.runtime, &queue, &test_error));
    for (uint32_t k = 0; k < 3; k++) {
        subscribe(&all.w, "t", SUBSCRIBING(.actor = actor_of(all.kernels[k], 0)));
        subscribe(&all.w, "t", SUBSCRIBING(.actor = actor_of(all.kernels[k], 1), .qos = RK_QOS_AT_LEAST_ONCE));
        /* Twice the same, of which one counts. */
        for (uint32_t i = 0; i < 2; i++)
            subscribe(&all.w, "t", SUBSCRIBING(.actor = actor_of(all.kernels[k], 2), .qos = RK_QOS_EXACTLY_ONCE));
    }
    subscribe(&all.w, "t", SUBSCRIBING(.queue = queue, .capacity = 1024));
    rk_subscription deaf = {0};
    const uint32_t rounds = test_load(20);
    for (uint32_t round = 0; round < rounds; round++) {
        /* Half of the time there is one that a device would serve if it took such messages. */
        if (round == rounds / 2) deaf = subscribe(&all.w, "t", SUBSCRIBING(.actor = actor_of(ledger, 0)));
        for (uint32_t k = 0; k < 3; k++) speak(actor_of(all.kernels[k], 0), topic, 1 + round * EACH, EACH, k);
        uint32_t last[3];
        for (uint32_t k = 0; k < 3; k++) last[k] = round * EACH;
        for (uint32_t i = 0; i < 3 * EACH; i++) {
            rk_message message;
            news got;
            uint32_t count = 0;
            CHECK_OK(rk_queue_poll(queue, &message, 1, &got, sizeof got, PATIENCE, &count));
            CHECK_EQ(got.number, ++last[got.speaker]);
            CHECK_EQ(message.from.id, actor_of(all.kernels[got.speaker], 0).id);
        }
        for (uint32_t i = 0; round >= rounds / 2 && i < 3 * EACH; i++) {
            news got;
            rk_message dead = next_message(&all.w, &got, sizeof got);
            CHECK_EQ(dead.kind, RK_MESSAGE_DEAD_LETTER);
            CHECK_EQ(dead.reason, RK_DEAD_UNKNOWN_TYPE);
            CHECK_EQ(dead.to.id, actor_of(ledger, 0).id);
            CHECK_EQ(dead.from.id, actor_of(all.kernels[got.speaker], 0).id);
        }
        for (uint32_t k = 0; k < 3; k++)
            wait_until_handled(all.kernels[k], (uint64_t)(round + 1) * (1 + 3 * 3 * EACH));
    }
    const uint64_t said = (uint64_t)rounds * 3 * EACH, lost = (uint64_t)(rounds - rounds / 2) * 3 * EACH;
    for (uint32_t i = 0; i < 9; i++) {
        tally heard = inquire_of(actor_of(all.kernels[i % 3], i / 3));
        CHECK_EQ(heard.count, said);
        CHECK_EQ(heard.other, 0);
    }
    CHECK_EQ(stats_of_subscription(deaf).dead_letters, lost);
    rk_topic_statistics stats = stats_of_topic(topic);
    CHECK(stats.published == said && stats.delivered == 10 * said && stats.dropped == 0 && stats.waiting == 0);
    CHECK_EQ(stats.dead_letters, lost);
    for (uint32_t k = 0; k < 3; k++) {
        CHECK_DONE(rk_kernel_deactivate(all.kernels[k], &test_error));
        rk_kernel_statistics kernel = check_accounts(all.kernels[k]);
        CHECK_EQ(kernel.sent_actors, rounds * EACH);
        CHECK_EQ(kernel.undeliverable, 0);
    }
    expect_silence(&all.w);
    world_close(&all.w);
}

/* Actors hear what a topic retains and what is said after, and the last of that is what later ones hear. */
CASE(topics_retain_for_actors) {
    world w = world_open();
    rk_kernel kernel = world_start(&w, "herald", OPTIONS(.actors = 4));
    /* Retained by the host, in a topic that retains nothing else. */
    rk_topic topic = topic_of(&w, "now and then", 0);
    news first = {.number = 1, .speaker = 0};
    rk_publish_options options = RK_PUBLISH_OPTIONS_INIT;
    options.flags = RK_PUBLISH_RETAIN;
    CHECK_OK(rk_publish(topic, RK_TYPE(news), &first, sizeof first, &options));
    subscribe(&w, "now and then", SUBSCRIBING(.actor = actor_of(kernel, 1)));
    /* Heard before an actor says more: of what two have said no order is promised. */
    wait_until_handled(kernel, 1);
    speak(actor_of(kernel, 0), topic, 2, 10, 0);
    wait_until_spread(topic, 11, 11);
    /* By handlers, in one that retains all. */
    topic = topic_of(&w, "always", RK_TOPIC_RETAIN);
    subscribe(&w, "always", SUBSCRIBING(.actor = actor_of(kernel, 2)));
    speak(actor_of(kernel, 0), topic, 1, 10, 1);
    wait_until_spread(topic, 10, 10);
    subscribe(&w, "always", SUBSCRIBING(.actor = actor_of(kernel, 3)));
    wait_until_spread(topic, 10, 11);
    wait_until_handled(kernel, 2 + 11 + 11);
    tally heard = inquire_of(actor_of(kernel, 1));
    CHECK(heard.count == 11 && heard.other == 0);
    heard = inquire_of(actor_of(kernel, 2));
    CHECK(heard.count == 10 && heard.other == 0);
    CHECK_EQ(inquire_of(actor_of(kernel, 3)).count, 1);
    CHECK_EQ(last_heard(actor_of(kernel, 3), 1), 10);
    CHECK_EQ(stats_of_topic(topic).retained, 1);
    world_close(&w);
}

/* Topics close while an actor publishes to them: each publication is heard, or comes back. */
CASE(topics_that_close_while_actors_publish) {
    enum { SAID = 200 };
    world w = world_open();
    rk_kernel speaker = world_start(&w, "herald", OPTIONS(.actors = 1));
    rk_kernel listener =
        world_start(&w, "herald", OPTIONS(.actors = 2, .inbound_capacity = 1024, .actor_capacity = 1024));
    for (uint32_t i = 0; i < 2; i++) subscribe(&w, "x/#", SUBSCRIBING(.actor = actor_of(listener, i)));
    const uint32_t rounds = test_load(40);
    uint64_t seed = test_seed(), before = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        char name[16];
        snprintf(name, sizeof name, "x/%u", round);
        rk_topic topic = topic_of(&w, name, 0);
        speak(actor_of(speaker, 0), topic, 1, SAID, 0);
        for (int64_t until = test_now() + test_random_below(&seed, 300) * INT64_C(1000); test_now() < until;) continue;
        CHECK_OK(rk_topic_close(topic));
        uint64_t dead = 0, heard[2] = {0, 0};
        uint32_t last = 0;
        for (int64_t deadline = test_now() + PATIENCE; dead + heard[0] != SAID || dead + heard[1] != SAID;) {
            CHECK(test_now() < deadline);
            rk_message message;
            news got;
            uint32_t count = 0;
            if (rk_poll(w.runtime, &message, 1, &got, sizeof got, 0, &count) == RK_OK) {
                CHECK_EQ(message.kind, RK_MESSAGE_DEAD_LETTER);
                CHECK_EQ(message.reason, RK_DEAD_NO_ACTOR);
                CHECK_EQ(message.to.id, topic.id);
                /* All that was heard came before; of those that come back none is missing. */
                CHECK(dead == 0 || got.number == last + 1);
                last = got.number;
                dead++;
                continue;
            }
            for (uint32_t i = 0; i < 2; i++) heard[i] = inquire_of(actor_of(listener, i)).count - before;
            CHECK(dead + heard[0] <= SAID && dead + heard[1] <= SAID);
        }
        CHECK(dead == 0 || last == SAID);
        before += heard[0];
    }
    expect_silence(&w);
    world_close(&w);
}

enum { SAID = 6, PLACES = 2, TALKERS = 2, HEARERS = 4, LIVE = HEARERS + 3, OTHERS = LIVE + 1 };

/* A speaker, and all kinds of subscribers: some that a device serves, and some that wait for a queue of the host's. */
typedef struct audience {
    world w;
    rk_kernel speaker, near, far, asleep;
    rk_topic topic;
    rk_queue queue;
    rk_subscription sleeper;
} audience;

static void subscribe_near(const audience *with) {
    subscribe(&with->w, "t", SUBSCRIBING(.actor = actor_of(with->near, 0)));
    subscribe(&with->w, "t", SUBSCRIBING(.actor = actor_of(with->near, 1), .qos = RK_QOS_AT_LEAST_ONCE));
    /* Hears everything twice, and both ways. */
    subscribe(&with->w, "t", SUBSCRIBING(.actor = actor_of(with->near, 2), .qos = RK_QOS_AT_LEAST_ONCE));
    subscribe(&with->w, "#", SUBSCRIBING(.actor = actor_of(with->near, 2)));
    /* And this twice one way. */
    for (uint32_t i = 0; i < 2; i++) subscribe(&with->w, "t", SUBSCRIBING(.actor = actor_of(with->near, 3)));
}

static void subscribe_speaker(const audience *with) {
    subscribe(&with->w, "t", SUBSCRIBING(.actor = actor_of(with->speaker, 1)));
}

/* How often each of those that run has heard something, and how much the one that sleeps has had or lost. */
static void count_heard(const audience *with, uint64_t heard[OTHERS]) {
    for (uint32_t i = 0; i < HEARERS; i++) heard[i] = inquire_of(actor_of(with->near, i)).count;
    for (uint32_t i = 0; i < TALKERS; i++) heard[HEARERS + i] = inquire_of(actor_of(with->speaker, i)).count;
    heard[HEARERS + TALKERS] = inquire_of(actor_of(with->far, 0)).count;
    rk_subscription_statistics stats = stats_of_subscription(with->sleeper);
    heard[LIVE] = stats.delivered + stats.dropped;
}

static const uint64_t each_hears[OTHERS] = {1, 1, 2, 2, 0, 1, 1, 1};

/* Waits until everybody has heard all of what is said to all, and `more` each. */
static void wait_until_heard(const audience *with, uint64_t said, const uint64_t more[OTHERS]) {
    uint64_t heard[OTHERS];
    uint32_t still = OTHERS;
    for (int64_t deadline = test_now() + PATIENCE; still > 0;) {
        CHECK(test_now() < deadline);
        count_heard(with, heard);
        still = 0;
        for (uint32_t i = 0; i < OTHERS; i++) still += heard[i] < said * each_hears[i] + more[i];
    }
    count_heard(with, heard);
    for (uint32_t i = 0; i < OTHERS; i++) CHECK_EQ(heard[i], said * each_hears[i] + more[i]);
}

static void read_queue(const audience *with, uint32_t first, uint32_t last) {
    for (uint32_t number = first; number <= last; number++) {
        rk_message message;
        news got;
        uint32_t count = 0;
        CHECK_OK(rk_queue_poll(with->queue, &message, 1, &got, sizeof got, PATIENCE, &count));
        CHECK_EQ(got.number, number);
    }
}

static rk_kernel move_to(const audience *with, rk_kernel kernel, uint32_t turn) {
    snapshot taken = take(kernel, RK_SNAPSHOT_END);
    CHECK_OK(rk_kernel_destroy(kernel));
    rk_kernel_options options = place(turn);
    options.inbound_capacity = options.actor_capacity = 64;
    kernel = restore(&with->w, taken, 0, options);
    rk_snapshot_free(taken.data);
    return kernel;
}

/* What a queue of the host's holds up goes on from a snapshot, on any backend, once and again: who had it from a device before
 * does not get it again, and who had not does. Also where those that hear it move too. */
CASE(topics_go_on_from_a_snapshot) {
    enum { ROOM = 2 };
    const uint64_t none[OTHERS] = {0};
    for (uint32_t turn = 0; turn < 8; turn++) {
        audience all = {.w = world_open()};
        all.speaker = world_start(&all.w, "herald", OPTIONS(.actors = TALKERS));
        all.near = world_start(&all.w, "herald", OPTIONS(.actors = HEARERS));
        all.far = world_start(&all.w, "herald", OPTIONS(.actors = 1, .backend = RK_BACKEND_CPU, .lanes = 1));
        all.asleep = world_launch(&all.w, "herald", OPTIONS(.actors = 1, .inbound_capacity = 4, .actor_capacity = 4));
        all.topic = topic_of(&all.w, "t", 0);
        CHECK_DONE(rk_queue_create(all.w.runtime, &all.queue, &test_error));
        subscribe(&all.w, "t", SUBSCRIBING(.queue = all.queue, .qos = RK_QOS_AT_LEAST_ONCE,
                                           .overflow = RK_OVERFLOW_BLOCK, .capacity = ROOM));
        subscribe(&all.w, "t", SUBSCRIBING(.actor = actor_of(all.far, 0)));
        all.sleeper = subscribe(&all.w, "t", SUBSCRIBING(.actor = actor_of(all.asleep, 0)));
        subscribe_near(&all);
        subscribe_speaker(&all);
        speak(actor_of(all.speaker, 0), all.topic, 1, SAID, 0);
        wait_until_published(all.topic, ROOM);
        int64_t deadline = test_now() + PATIENCE;
        /* A device has told those whom it serves of the rest. On the CPU all of it waits. */
        while (world_backend != RK_BACKEND_CPU && last_heard(actor_of(all.near, 0), 0) < SAID)
            CHECK(test_now() < deadline);
        if (turn / 4 == 1) {
            all.near = move_to(&all, all.near, turn);
            CHECK_DONE(rk_kernel_activate(all.near, &test_error));
            subscribe_near(&all);
        }
        snapshot taken = take(all.speaker, RK_SNAPSHOT_END);
        CHECK_EQ(info_of(taken).posts, SAID - ROOM);
        CHECK_OK(rk_kernel_destroy(all.speaker));
        for (uint32_t hop = 0; hop < 2; hop++) {
            rk_kernel_options options = place(hop == 0 ? turn : turn / 2);
            all.speaker = restore(&all.w, taken, 0, options);
            subscribe_speaker(&all);
            if (hop == 1) break;
            rk_snapshot_free(taken.data);
            CHECK_DONE(rk_kernel_activate(all.speaker, &test_error));
            /* It tries, in vain. */
            nanosleep(&(struct timespec){.tv_nsec = 20 * MILLISECOND}, NULL);
            taken = take(all.speaker, RK_SNAPSHOT_END);
            CHECK_EQ(info_of(taken).posts, SAID - ROOM);
            CHECK_OK(rk_kernel_destroy(all.speaker));
        }
        CHECK_EQ(stats_of_topic(all.topic).published, ROOM);
        CHECK_DONE(rk_kernel_activate(all.speaker, &test_error));
        read_queue(&all, 1, SAID);
        wait_until_heard(&all, SAID, none);
        CHECK_EQ(stats_of_topic(all.topic).published, SAID);
        /* And all goes on as before. */
        speak(actor_of(all.speaker, 0), all.topic, SAID + 1, ROOM, 0);
        read_queue(&all, SAID + 1, SAID + ROOM);
        wait_until_heard(&all, SAID + ROOM, none);
        rk_topic_statistics stats = stats_of_topic(all.topic);
        CHECK(stats.dead_letters == 0 && stats.waiting == 0);
        CHECK_DONE(rk_kernel_deactivate(all.speaker, &test_error));
        rk_kernel_statistics speaker = check_accounts(all.speaker);
        CHECK_EQ(speaker.sent_actors, SAID);
        CHECK(speaker.undeliverable == 0 && speaker.deferred == 0);
        CHECK_DONE(rk_kernel_activate(all.speaker, &test_error));
        /* A copy says the rest once more, and nobody to whom a device has brought it before hears it from that. */
        rk_kernel copy = restore(&all.w, taken, RK_RESTORE_NEW_ADDRESSES, place(turn / 2 + 1));
        rk_snapshot_free(taken.data);
        CHECK_DONE(rk_kernel_activate(copy, &test_error));
        read_queue(&all, ROOM + 1, SAID);
        const uint64_t rest = SAID - ROOM, unheard = world_backend == RK_BACKEND_CPU ? rest : 0;
        const uint64_t more[OTHERS] = {unheard, rest, rest + unheard, 2 * unheard, 0, unheard, rest, unheard};
        wait_until_heard(&all, SAID + ROOM, more);
        world_close(&all.w);
    }
}

/* Subscribers whose kernels are over, but not destroyed, take nothing; each message counts once for each of them, and is a
 * dead letter where it would have been one before. */
CASE(topics_of_kernels_that_are_over) {
    enum { EACH = 5, KINDS = 4 };
    world w = world_open();
    rk_kernel speaker = world_start(&w, "herald", OPTIONS(.actors = 1));
    rk_kernel far = world_start(&w, "herald", OPTIONS(.actors = 1, .backend = RK_BACKEND_CPU, .lanes = 1));
    rk_topic topic = topic_of(&w, "t", 0);
    /* One that hears such messages, one that does not, one that does not either and fails, and one that moves. */
    const char *const actors[KINDS] = {"herald", "ledger", "patient", "ledger"};
    rk_kernel kernels[KINDS];
    rk_subscription subscriptions[KINDS];
    for (uint32_t k = 0; k < KINDS; k++) {
        kernels[k] = world_start(&w, actors[k], OPTIONS(.actors = 1, .on_failure = k == 2 ? RK_ON_FAILURE_ESCALATE : 0));
        subscriptions[k] = subscribe(&w, "t", SUBSCRIBING(.actor = actor_of(kernels[k], 0)));
    }
    for (uint32_t round = 0; round < 2; round++) {
        /* Alone on the device, and then with one whom the host tells. */
        if (round == 1) subscribe(&w, "t", SUBSCRIBING(.actor = actor_of(far, 0)));
        if (round == 0) {
            crash bad = {.code = 5};
            CHECK_DONE(rk_kernel_terminate(kernels[0], NULL, &test_error));
            CHECK_DONE(rk_kernel_terminate(kernels[1], NULL, &test_error));
            send_to(actor_of(kernels[2], 0), RK_TYPE(crash), &bad, sizeof bad);
            snapshot taken = take(kernels[3], RK_SNAPSHOT_END);
            rk_snapshot_free(taken.data);
            for (int64_t deadline = test_now() + PATIENCE; state_of(kernels[2]) != RK_KERNEL_FAILED;)
                CHECK(test_now() < deadline);
        }
        speak(actor_of(speaker, 0), topic, 1 + round * EACH, EACH, 0);
        for (int64_t deadline = test_now() + PATIENCE;;) {
            rk_topic_statistics stats = stats_of_topic(topic);
            const uint64_t told = stats.delivered + stats.dropped + stats.dead_letters;
            if (stats.published == (round + 1) * EACH && told >= (round + 1) * KINDS * EACH + round * EACH) break;
            CHECK(test_now() < deadline);
        }
    }
    for (uint32_t k = 0; k < KINDS; k++) {
        rk_subscription_statistics stats = stats_of_subscription(subscriptions[k]);
        CHECK_EQ(stats.dropped + stats.dead_letters, 2 * EACH);
        if (k > 0) CHECK_EQ(stats.dead_letters, 2 * EACH);
        CHECK(stats.delivered == 0 && stats.waiting == 0);
    }
    rk_topic_statistics stats = stats_of_topic(topic);
    CHECK(stats.delivered == EACH && stats.dropped + stats.dead_letters == 2 * KINDS * EACH && stats.waiting == 0);
    world_close(&w);
}

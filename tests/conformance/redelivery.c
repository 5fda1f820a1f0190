/* What an actor failed at, handed to it again once it has been restarted. */
#include "topics.h"

#define HOUR_NS UINT64_C(3600000000000)
#define DAY_MS 86400000u
#define RESTARTED(restarts_) .on_failure = RK_ON_FAILURE_RESTART, .max_restarts = (restarts_), .restart_window_ms = DAY_MS

/* Novices, a topic, and a buffer in which they count their tries: of each lesson a line with a number for each of them. */
typedef struct school {
    world w;
    rk_kernel kernel;
    rk_topic topic;
    rk_buffer book;
} school;

enum { LINES = 1024 };

static school school_of(uint32_t qos, rk_kernel_options options) {
    school all = {.w = world_open()};
    rk_buffer_options book = RK_BUFFER_OPTIONS_INIT;
    book.size = sizeof(uint32_t) * LINES * options.actors;
    rk_error error;
    const rk_status status = rk_buffer_create(all.w.runtime, &book, &all.book, &error);
    if (status == RK_ERROR_UNSUPPORTED) test_skip(error.message);
    CHECK_OK(status);
    all.kernel = world_launch(&all.w, "novice", options);
    all.topic = topic_of(&all.w, "lessons", 0);
    for (uint32_t i = 0; i < options.actors; i++)
        subscribe(&all.w, "lessons",
                  SUBSCRIBING(.actor = actor_of(all.kernel, i), .qos = qos,
                              .capacity = qos == RK_QOS_AT_MOST_ONCE ? 0 : 1u << 20));
    return all;
}

/* The sizes of what is published, and what is to be heard of one. */
static const struct {
    uint32_t type, size;
} lessons[] = {{RK_TYPE(lesson), sizeof(lesson)},
               {RK_TYPE(long_lesson), sizeof(long_lesson)},
               {RK_TYPE(heavy_lesson), sizeof(heavy_lesson)}};
enum { KINDS = 3 };

static uint32_t words_of(uint32_t kind) { return (lessons[kind].size - 20) / 4; }

static void publish_lesson(const school *all, uint32_t kind, uint32_t number, uint32_t failures, uint32_t posts,
                           rk_publish_options options) {
    static union {
        lesson small;
        heavy_lesson any;
    } message;
    message.any.book = all->book.id, message.any.number = number, message.any.failures = failures;
    message.any.posts = posts;
    for (uint32_t i = 0; i < words_of(kind); i++) message.any.words[i] = number + i;
    options.struct_size = sizeof options, options.timeout_ns = PATIENCE;
    CHECK_OK(rk_publish(all->topic, lessons[kind].type, &message, lessons[kind].size, &options));
}

/* What the host is told next, but for events of restarts, which it counts. */
static rk_message next_try(const school *all, tried *got, uint32_t *restarted) {
    for (;;) {
        rk_message message = next_message(&all->w, got, sizeof *got);
        if (message.kind != RK_MESSAGE_EVENT || message.type != RK_EVENT_ACTOR_RESTARTED) return message;
        ++*restarted;
    }
}

/* An actor that fails at what it gets through a subscription is given it again when it has been restarted, until it does not
 * fail: whatever its size, from the host and from actors, with everything that is said. */
CASE(topics_until_it_is_handled) {
    enum { FAILURES = 4 };
    school all = school_of(RK_QOS_AT_LEAST_ONCE, OPTIONS(.actors = 1, RESTARTED(1000)));
    const rk_actor novice_ = actor_of(all.kernel, 0);
    const rk_actor teacher = actor_of(world_start(&all.w, "novice", OPTIONS(.actors = 1)), 0);
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    static const uint32_t priorities[] = {RK_PRIORITY_LOW, RK_PRIORITY_NORMAL, RK_PRIORITY_HIGH, RK_PRIORITY_CRITICAL};
    uint32_t number = 0, heard = 0, restarts = 0, restarted = 0;
    for (uint32_t way = 0; way < 2 * KINDS * 2; way++) {
        const uint32_t kind = way % KINDS;
        const rk_actor sender = way / KINDS % 2 == 0 ? (rk_actor){0} : teacher;
        const uint64_t deadline_ns = way / KINDS / 2 == 0 ? 0 : HOUR_NS;
        for (uint32_t failures = 0; failures < FAILURES; failures++, number++) {
            const uint32_t priority = priorities[(way + failures) % 4];
            const uint64_t correlation = failures == 0 ? 0 : UINT64_MAX / 3 * number;
            if (sender.id == 0) {
                const rk_publish_options options = {
                    .priority = priority, .correlation = correlation, .deadline_ns = deadline_ns};
                publish_lesson(&all, kind, number, failures, 0, options);
            } else {
                teach message = {.topic = all.topic.id, .book = all.book.id, .correlation = correlation,
                                 .deadline_ns = deadline_ns, .number = number, .failures = failures,
                                 .priority = priority, .kind = kind, .words = words_of(kind)};
                send_to(teacher, RK_TYPE(teach), &message, sizeof message);
            }
            uint32_t sum = 0;
            for (uint32_t i = 0; i < words_of(kind); i++) sum += (number + i) * (2 * i + 1);
            for (uint32_t tries = 1; tries <= failures + 1; tries++) {
                tried got;
                rk_message message = next_try(&all, &got, &restarted);
                CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
                CHECK_EQ(message.from.id, novice_.id);
                CHECK_EQ(got.number, number);
                CHECK_EQ(got.tries, tries);
                CHECK_EQ(got.heard, ++heard);
                CHECK_EQ(got.correlation, correlation);
                CHECK_EQ(got.sender, sender.id);
                CHECK_EQ(got.priority, priority == RK_PRIORITY_LOW ? 0 : priority);
                CHECK_EQ(got.size, lessons[kind].size);
                CHECK_EQ(got.sum, sum);
                if (tries <= failures) heard = 0, restarts++;
            }
        }
    }
    CHECK_DONE(rk_kernel_drain(all.kernel, PATIENCE, &test_error));
    const rk_kernel_statistics stats = check_accounts(all.kernel);
    CHECK(stats.restarts == restarts && stats.failures == restarts && stats.dead_letters == 0);
    CHECK_EQ(stats.handled, number + restarts);
    CHECK_EQ(stats.sent_actors, restarts);
    CHECK_EQ(stats.sent_host, number + restarts);
    /* Who published the last one counts it after it is there. */
    for (int64_t deadline = test_now() + PATIENCE; stats_of_topic(all.topic).delivered < number;)
        CHECK(test_now() < deadline);
    CHECK_EQ(stats_of_topic(all.topic).delivered, number);
    world_close(&all.w);
}

/* Not with another quality, and not what is sent to the actor itself. */
CASE(topics_delivered_once) {
    static const uint32_t qualities[] = {RK_QOS_AT_MOST_ONCE, RK_QOS_EXACTLY_ONCE, RK_QOS_AT_LEAST_ONCE};
    for (uint32_t i = 0; i < 3; i++) {
        school all = school_of(qualities[i], OPTIONS(.actors = 1, RESTARTED(1000)));
        CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
        for (uint32_t number = 0; number < 6; number++) {
            const uint32_t failures = number < 5 ? 3 : 0;
            if (qualities[i] == RK_QOS_AT_LEAST_ONCE) {
                lesson message = {.book = all.book.id, .number = number, .failures = failures};
                send_to(actor_of(all.kernel, 0), RK_TYPE(lesson), &message, sizeof message);
            } else {
                publish_lesson(&all, number % KINDS, number, failures, 0, (rk_publish_options){0});
            }
        }
        uint32_t restarted = 0;
        for (uint32_t number = 0; number < 6; number++) {
            tried got;
            CHECK_EQ(next_try(&all, &got, &restarted).kind, RK_MESSAGE_EMIT);
            CHECK(got.number == number && got.tries == 1 && got.heard == 1);
        }
        CHECK_DONE(rk_kernel_drain(all.kernel, PATIENCE, &test_error));
        const rk_kernel_statistics stats = check_accounts(all.kernel);
        CHECK(stats.handled == 6 && stats.restarts == 5 && stats.sent_actors == 0 && stats.dead_letters == 0);
        world_close(&all.w);
    }
}

/* No further than the actor is restarted; what else it is to get then becomes dead letters, until it is started again. */
CASE(topics_until_it_fails_for_good) {
    enum { RESTARTS = 2 };
    school all = school_of(RK_QOS_AT_LEAST_ONCE, OPTIONS(.actors = 2, RESTARTED(RESTARTS)));
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    publish_lesson(&all, 0, 0, RESTARTS + 1, 0, (rk_publish_options){0});
    uint32_t restarted = 0, failed = 0;
    for (uint32_t tries = 0; tries < 2 * (RESTARTS + 1) || failed < 2;) {
        tried got;
        rk_message message = next_try(&all, &got, &restarted);
        if (message.kind == RK_MESSAGE_EVENT) {
            CHECK_EQ(message.type, RK_EVENT_ACTOR_FAILED);
            failed++;
        } else {
            CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
            CHECK_EQ(got.heard, 1);
            tries++;
        }
    }
    CHECK_EQ(restarted, 2 * RESTARTS);
    expect_silence(&all.w);
    publish_lesson(&all, 1, 1, 0, 0, (rk_publish_options){0});
    for (uint32_t i = 0; i < 2; i++) {
        long_lesson lost;
        rk_message dead = next_message(&all.w, &lost, sizeof lost);
        CHECK_EQ(dead.kind, RK_MESSAGE_DEAD_LETTER);
        CHECK_EQ(dead.reason, RK_DEAD_FAILED);
        CHECK_EQ(lost.number, 1);
    }
    for (uint32_t i = 0; i < 2; i++) send_to(actor_of(all.kernel, i), RK_ACTOR_START, NULL, 0);
    publish_lesson(&all, 0, 2, 1, 0, (rk_publish_options){0});
    for (uint32_t tries = 0; tries < 2 * 2; tries++) {
        tried got;
        CHECK_EQ(next_try(&all, &got, &restarted).kind, RK_MESSAGE_EMIT);
        CHECK_EQ(got.number, 2);
    }
    CHECK_DONE(rk_kernel_drain(all.kernel, PATIENCE, &test_error));
    const rk_kernel_statistics stats = check_accounts(all.kernel);
    CHECK(stats.restarts == 2 * (RESTARTS + 1) && stats.failures == stats.restarts + 2 && stats.dead_letters == 2);
    CHECK_EQ(stats.handled, 2 * (RESTARTS + 1) + 2 + 2 * 2);
    CHECK_EQ(stats.undeliverable, 0);
    world_close(&all.w);
}

/* Behind what the handler sent before it failed, though that fills all the room that it has. */
CASE(topics_again_behind_a_full_outbox) {
    enum { OUTBOX = 65600, POSTS = 1100, FAILURES = 2 };
    school all = school_of(RK_QOS_AT_LEAST_ONCE, OPTIONS(.actors = 1, .outbox_bytes = OUTBOX, RESTARTED(1000)));
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    uint32_t posts = 0, restarted = 0;
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        publish_lesson(&all, kind, kind, FAILURES, POSTS, (rk_publish_options){0});
        for (uint32_t tries = 1; tries <= FAILURES + 1;) {
            union {
                tried of;
                tally post;
            } got;
            rk_message message = next_try(&all, &got.of, &restarted);
            if (message.type == RK_TYPE(tally)) {
                CHECK_EQ(got.post.other, tries - 1);
                posts++;
                continue;
            }
            CHECK_EQ(message.kind, RK_MESSAGE_EMIT);
            CHECK(got.of.number == kind && got.of.tries == tries);
            CHECK_EQ(got.of.size, lessons[kind].size);
            tries++;
        }
    }
    CHECK_DONE(rk_kernel_drain(all.kernel, PATIENCE, &test_error));
    const rk_kernel_statistics stats = check_accounts(all.kernel);
    CHECK_EQ(posts + stats.refused, KINDS * FAILURES * POSTS);
    CHECK(stats.refused > 0 && stats.restarts == KINDS * FAILURES && stats.undeliverable == 0);
    world_close(&all.w);
}

/* What the host was told of tries, until nothing comes for a while or there are so many. */
static uint32_t hear_tries(const school *all, uint32_t most, int64_t patience) {
    uint32_t tries = 0, count;
    tried got;
    rk_message message;
    while (tries < most && rk_poll(all->w.runtime, &message, 1, &got, sizeof got, patience, &count) == RK_OK) {
        CHECK(message.kind == RK_MESSAGE_EMIT || message.kind == RK_MESSAGE_EVENT);
        tries += message.kind == RK_MESSAGE_EMIT;
    }
    return tries;
}

static void expect_book(const school *all, uint32_t novices, const uint8_t *failures, uint32_t count) {
    static uint32_t book[LINES * 8];
    CHECK(novices <= 8 && count <= LINES);
    CHECK_DONE(rk_buffer_download(all->book, 0, book, sizeof(uint32_t) * novices * count, &test_error));
    for (uint32_t i = 0; i < novices * count; i++) CHECK_EQ(book[i], failures[i / novices] + 1u);
}

/* Many that fail at many of many, with rings so small that workers wait for themselves: each is handled in the end. */
CASE(topics_storm_of_failures) {
    enum { NOVICES = 6 };
    school all = school_of(RK_QOS_AT_LEAST_ONCE, OPTIONS(.actors = NOVICES, .inbound_capacity = 16, .actor_capacity = 4,
                                                         RESTARTED(1000000)));
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    static const uint32_t priorities[] = {RK_PRIORITY_LOW, RK_PRIORITY_NORMAL, RK_PRIORITY_HIGH};
    uint64_t random = test_seed();
    const uint32_t count = test_load(LINES);
    uint8_t failures[LINES];
    uint32_t expected = 0, tries = 0;
    for (uint32_t i = 0; i < count; i++) {
        failures[i] = test_random_below(&random, 3) == 0 ? (uint8_t)test_random_below(&random, 4) : 0;
        expected += NOVICES * (failures[i] + 1u);
        const uint32_t kind = test_random_below(&random, 50) == 0 ? 2 : test_random_below(&random, 2);
        publish_lesson(&all, kind, i, failures[i], 0,
                       (rk_publish_options){.priority = priorities[test_random_below(&random, 3)],
                                            .deadline_ns = test_random_below(&random, 2) * HOUR_NS});
        tries += hear_tries(&all, UINT32_MAX, 0);
    }
    tries += hear_tries(&all, expected - tries, PATIENCE);
    CHECK_EQ(tries, expected);
    CHECK_DONE(rk_kernel_drain(all.kernel, PATIENCE, &test_error));
    const rk_kernel_statistics stats = check_accounts(all.kernel);
    CHECK(stats.handled == expected && stats.dead_letters == 0 && stats.undeliverable == 0);
    CHECK_EQ(stats.restarts, expected - NOVICES * count);
    CHECK_EQ(stats.sent_actors, stats.restarts);
    expect_book(&all, NOVICES, failures, count);
    world_close(&all.w);
}

/* A kernel that moves takes along what is to be handed over again: what waits in its rings, and what has found no room. */
CASE(topics_again_after_moves) {
    enum { NOVICES = 4, LESSONS = 24, ROOM = 4 };
    const rk_kernel_options options = OPTIONS(.actors = NOVICES, .inbound_capacity = 128, .actor_capacity = 4,
                                              .outbound_capacity = ROOM, RESTARTED(1000000));
    school all = school_of(RK_QOS_AT_LEAST_ONCE, options);
    uint64_t random = test_seed();
    uint8_t failures[LESSONS];
    uint32_t expected = 0, tries = 0, posts = 0;
    for (uint32_t i = 0; i < LESSONS; i++) {
        failures[i] = (uint8_t)test_random_below(&random, 4);
        expected += NOVICES * (failures[i] + 1u);
        publish_lesson(&all, i % KINDS, i, failures[i], 0, (rk_publish_options){0});
    }
    for (uint32_t moves = 0; tries < expected; moves++) {
        void *data = NULL;
        size_t size = 0;
        rk_error error;
        test_error_prepare(&error);
        for (rk_status status = RK_ERROR_BAD_STATE; status == RK_ERROR_BAD_STATE;) {
            CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
            /* Nobody else listens: it comes to wait for the host soon. */
            tries += hear_tries(&all, moves, 5 * MILLISECOND);
            CHECK_DONE(rk_kernel_deactivate(all.kernel, &test_error));
            status = rk_kernel_snapshot(all.kernel, 0, &data, &size, &error);
            CHECK(status == RK_OK || status == RK_ERROR_BAD_STATE);
        }
        rk_snapshot_free(data);
        /* Since then nothing has happened. */
        CHECK_DONE(rk_kernel_snapshot(all.kernel, RK_SNAPSHOT_END, &data, &size, &test_error));
        rk_snapshot_info info = {.struct_size = sizeof info};
        CHECK_DONE(rk_snapshot_describe(data, size, &info, &test_error));
        posts += (uint32_t)info.posts;
        tries += hear_tries(&all, UINT32_MAX, 0);
        CHECK_OK(rk_kernel_destroy(all.kernel));
        rk_kernel_options next = options;
        next.actors = 0, next.backend = world_backend, next.lanes = world_lanes, next.workers = 1 + moves % NOVICES;
        CHECK_DONE(rk_kernel_restore(all.w.runtime, all.w.module, data, size, 0, &next, &all.kernel, &test_error));
        rk_snapshot_free(data);
    }
    CHECK_EQ(tries, expected);
    CHECK(posts > 0);
    CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
    CHECK_DONE(rk_kernel_drain(all.kernel, PATIENCE, &test_error));
    CHECK_EQ(check_accounts(all.kernel).dead_letters, 0);
    expect_book(&all, NOVICES, failures, LESSONS);
    world_close(&all.w);
}

/* The same from backend to backend. Without a book no try succeeds. */
CASE(topics_again_on_another_backend) {
    enum { RESTARTS = 3 };
    for (uint32_t turn = 0; turn < 4; turn++) {
        const rk_kernel_options there = OPTIONS(.backend = world_backend, .lanes = world_lanes, RESTARTED(RESTARTS)),
                                cpu = OPTIONS(.backend = RK_BACKEND_CPU, .lanes = 1, RESTARTED(RESTARTS));
        school all = {.w = world_open()};
        rk_kernel_options options = turn % 2 == 0 ? there : cpu;
        options.actors = 1;
        all.kernel = world_launch(&all.w, "novice", options);
        all.topic = topic_of(&all.w, "t", 0);
        subscribe(&all.w, "t", SUBSCRIBING(.actor = actor_of(all.kernel, 0), .qos = RK_QOS_AT_LEAST_ONCE));
        publish_lesson(&all, 1, 0, 0, 0, (rk_publish_options){0});
        void *data;
        size_t size;
        CHECK_DONE(rk_kernel_snapshot(all.kernel, RK_SNAPSHOT_END, &data, &size, &test_error));
        CHECK_EQ(next_message(&all.w, NULL, 0).type, RK_EVENT_KERNEL_TERMINATED);
        CHECK_OK(rk_kernel_destroy(all.kernel));
        options = turn / 2 == 0 ? there : cpu;
        CHECK_DONE(rk_kernel_restore(all.w.runtime, all.w.module, data, size, 0, &options, &all.kernel, &test_error));
        rk_snapshot_free(data);
        CHECK_DONE(rk_kernel_activate(all.kernel, &test_error));
        for (uint32_t i = 0; i <= RESTARTS; i++) {
            rk_message event = next_message(&all.w, NULL, 0);
            CHECK_EQ(event.type, i < RESTARTS ? RK_EVENT_ACTOR_RESTARTED : RK_EVENT_ACTOR_FAILED);
            CHECK_EQ(event.reason, RK_FAIL_NO_BUFFER);
        }
        CHECK_DONE(rk_kernel_drain(all.kernel, PATIENCE, &test_error));
        const rk_kernel_statistics stats = check_accounts(all.kernel);
        CHECK(stats.handled == RESTARTS + 1 && stats.sent_actors == RESTARTS && stats.dead_letters == 0);
        world_close(&all.w);
    }
}

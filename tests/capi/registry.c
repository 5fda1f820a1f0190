/* Names of kernels and actors, and the routes between them. */
#include "fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define INVALID RK_ERROR_INVALID_ARGUMENT
#define NOT_ZERO UINT64_C(0xDEADBEEF)
#define TEXT(text) (text), strlen(text)

static void add_actor(const fixture *all, const char *name, uint32_t index) {
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(all->kernel, index, &actor));
    CHECK_DONE(rk_registry_add_actor(all->runtime, TEXT(name), actor, &test_error));
}

CASE(registry_names) {
    fixture all = fixture_open();
    rk_kernel kernel = {NOT_ZERO};
    rk_actor actor = {NOT_ZERO};
    CHECK_ERROR(rk_registry_kernel(all.runtime, TEXT("plant"), &kernel, &test_error), RK_ERROR_NOT_FOUND);
    CHECK_EQ(kernel.id, 0);
    CHECK_DONE(rk_registry_add_kernel(all.runtime, TEXT("plant"), all.kernel, &test_error));
    CHECK_DONE(rk_registry_add_actor(all.runtime, TEXT("plant/pump"), all.actor, &test_error));
    CHECK_DONE(rk_registry_kernel(all.runtime, TEXT("plant"), &kernel, &test_error));
    CHECK_EQ(kernel.id, all.kernel.id);
    CHECK_DONE(rk_registry_actor(all.runtime, TEXT("plant/pump"), &actor, &test_error));
    CHECK_EQ(actor.id, all.actor.id);
    /* Of the other kind. */
    CHECK_ERROR(rk_registry_actor(all.runtime, TEXT("plant"), &actor, &test_error), RK_ERROR_NOT_FOUND);
    CHECK_EQ(actor.id, 0);
    CHECK_ERROR(rk_registry_kernel(all.runtime, TEXT("plant/pump"), &kernel, &test_error), RK_ERROR_NOT_FOUND);
    /* Again is nothing new; another thing is not to have the same name; one thing may have several. */
    CHECK_DONE(rk_registry_add_kernel(all.runtime, TEXT("plant"), all.kernel, &test_error));
    CHECK_ERROR(rk_registry_add_actor(all.runtime, TEXT("plant"), all.actor, &test_error), RK_ERROR_EXISTS);
    CHECK_DONE(rk_registry_add_actor(all.runtime, TEXT("p\xc3\xbcmpe"), all.actor, &test_error));
    CHECK_DONE(rk_registry_remove(all.runtime, TEXT("plant/pump"), &test_error));
    CHECK_ERROR(rk_registry_remove(all.runtime, TEXT("plant/pump"), &test_error), RK_ERROR_NOT_FOUND);
    CHECK_DONE(rk_registry_actor(all.runtime, TEXT("p\xc3\xbcmpe"), &actor, &test_error));
    CHECK_EQ(actor.id, all.actor.id);
    /* Another runtime has other names, and ours are not for its kernels. */
    rk_runtime other = fixture_runtime();
    CHECK_ERROR(rk_registry_kernel(other, TEXT("plant"), &kernel, &test_error), RK_ERROR_NOT_FOUND);
    CHECK_ERROR(rk_registry_add_kernel(other, TEXT("plant"), all.kernel, &test_error), RK_ERROR_STALE_HANDLE);
    CHECK_OK(rk_runtime_destroy(other));
    fixture_close(&all);
}

CASE(registry_patterns) {
    fixture all = fixture_open();
    CHECK_DONE(rk_registry_add_kernel(all.runtime, TEXT("a"), all.kernel, &test_error));
    add_actor(&all, "a/x/1", 0);
    add_actor(&all, "a/x/2", 1);
    add_actor(&all, "a/y/1", 2);
    add_actor(&all, "b", 3);
    static const struct {
        const char *pattern, *found; /* all names, each with a space */
    } patterns[] = {
        {"#", "a a/x/1 a/x/2 a/y/1 b "}, {"*", "a b "}, {"a/#", "a a/x/1 a/x/2 a/y/1 "},   {"a/*/1", "a/x/1 a/y/1 "},
        {"a/x/*", "a/x/1 a/x/2 "},       {"b", "b "},   {"*/x/#", "a/x/1 a/x/2 "},         {"c/#", ""},
        {"*/*", ""},
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        rk_registry_entry entries[8];
        uint32_t count = 77;
        char found[256] = "";
        CHECK_DONE(rk_registry_find(all.runtime, TEXT(patterns[i].pattern), entries, 8, &count, &test_error));
        for (uint32_t k = 0; k < count; k++) {
            CHECK_EQ(strlen(entries[k].name), entries[k].name_length);
            CHECK_EQ(entries[k].reserved, 0);
            CHECK_EQ(entries[k].kernel.id, all.kernel.id);
            CHECK(strcmp(entries[k].name, "a") == 0 ? entries[k].actor.id == 0 : entries[k].actor.id != 0);
            strcat(strcat(found, entries[k].name), " ");
        }
        if (strcmp(found, patterns[i].found) != 0)
            test_fail(__FILE__, __LINE__, "%s finds %s", patterns[i].pattern, found);
        /* How many there are, and as many as there is room for. */
        uint32_t all_of_them = count;
        CHECK_DONE(rk_registry_find(all.runtime, TEXT(patterns[i].pattern), NULL, 0, &count, &test_error));
        CHECK_EQ(count, all_of_them);
        entries[1].name_length = 1000;
        CHECK_DONE(rk_registry_find(all.runtime, TEXT(patterns[i].pattern), entries, 1, &count, &test_error));
        CHECK_EQ(count, all_of_them);
        CHECK_EQ(entries[1].name_length, 1000);
    }
    fixture_close(&all);
}

CASE(registry_bad_arguments) {
    fixture all = fixture_open();
    char longest[233];
    memset(longest, 'x', sizeof longest);
    static const struct {
        const char *text;
        size_t length;
    } bad[] = {{NULL, 0}, {NULL, 3}, {"", 0}, {"/", 1}, {"a/", 2}, {"/a", 2}, {"a//b", 4}, {"a\0b", 3}, {"\xff", 1}, {"x", SIZE_MAX}};
    uint32_t count = 0;
    rk_registry_entry entry;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_ERROR(rk_registry_add_kernel(all.runtime, bad[i].text, bad[i].length, all.kernel, &test_error), INVALID);
        CHECK_ERROR(rk_registry_add_actor(all.runtime, bad[i].text, bad[i].length, all.actor, &test_error), INVALID);
        CHECK_ERROR(rk_registry_find(all.runtime, bad[i].text, bad[i].length, &entry, 1, &count, &test_error), INVALID);
    }
    static const char *const wild[] = {"*", "#", "a/*", "a/#", "a*", "#/a"};
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++)
        CHECK_ERROR(rk_registry_add_kernel(all.runtime, TEXT(wild[i]), all.kernel, &test_error), INVALID);
    static const char *const patterns[] = {"a*", "*a", "#/a", "a/#/b", "**"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        CHECK_ERROR(rk_registry_find(all.runtime, TEXT(patterns[i]), &entry, 1, &count, &test_error), INVALID);
    CHECK_ERROR(rk_registry_find(all.runtime, TEXT("#"), &entry, 1, NULL, &test_error), INVALID);
    CHECK_ERROR(rk_registry_find(all.runtime, TEXT("#"), NULL, 1, &count, &test_error), INVALID);
    CHECK_ERROR(rk_registry_kernel(all.runtime, TEXT("a"), NULL, &test_error), INVALID);
    CHECK_ERROR(rk_registry_actor(all.runtime, TEXT("a"), NULL, &test_error), INVALID);
    CHECK_ERROR(rk_registry_add_kernel(all.runtime, longest, 232, all.kernel, &test_error), INVALID);
    CHECK_DONE(rk_registry_add_kernel(all.runtime, longest, 231, all.kernel, &test_error));
    CHECK_DONE(rk_registry_find(all.runtime, TEXT("#"), &entry, 1, &count, &test_error));
    CHECK_EQ(count, 1);
    CHECK_EQ(strlen(entry.name), 231);
    rk_actor beyond = {all.actor.id + FIXTURE_ACTORS};
    CHECK_ERROR(rk_registry_add_actor(all.runtime, TEXT("b"), beyond, &test_error), RK_ERROR_STALE_HANDLE);
    fixture_close(&all);
}

/* A kernel takes its names along, and its actors'. */
CASE(registry_of_destroyed_kernels) {
    fixture all = fixture_open();
    rk_kernel kernel = fixture_launch(all.runtime, all.module, NULL);
    rk_actor actor;
    CHECK_OK(rk_kernel_actor(kernel, 0, &actor));
    CHECK_DONE(rk_registry_add_kernel(all.runtime, TEXT("k"), kernel, &test_error));
    CHECK_DONE(rk_registry_add_actor(all.runtime, TEXT("k/0"), actor, &test_error));
    CHECK_DONE(rk_registry_add_kernel(all.runtime, TEXT("stays"), all.kernel, &test_error));
    CHECK_OK(rk_kernel_destroy(kernel));
    uint32_t count = 0;
    CHECK_DONE(rk_registry_find(all.runtime, TEXT("#"), NULL, 0, &count, &test_error));
    CHECK_EQ(count, 1);
    CHECK_ERROR(rk_registry_actor(all.runtime, TEXT("k/0"), &actor, &test_error), RK_ERROR_NOT_FOUND);
    CHECK_DONE(rk_registry_add_kernel(all.runtime, TEXT("k"), all.kernel, &test_error));
    fixture_close(&all);
}

typedef struct contest {
    fixture all;
    atomic_uint won;
} contest;

/* One of all who want a name gets it; names never outlive their kernels. */
static void contend(unsigned index, void *shared) {
    contest *with = shared;
    for (uint32_t round = 0; round < test_load(300); round++) {
        rk_kernel kernel = fixture_launch(with->all.runtime, with->all.module, NULL), found;
        rk_status status = rk_registry_add_kernel(with->all.runtime, TEXT("throne"), kernel, NULL);
        CHECK(status == RK_OK || status == RK_ERROR_EXISTS);
        if (status == RK_OK) {
            CHECK_EQ(atomic_fetch_add(&with->won, 1), 0);
            CHECK_DONE(rk_registry_kernel(with->all.runtime, TEXT("throne"), &found, &test_error));
            CHECK_EQ(found.id, kernel.id);
            atomic_fetch_sub(&with->won, 1);
        }
        char own[32];
        snprintf(own, sizeof own, "own/%u", index);
        CHECK_DONE(rk_registry_add_kernel(with->all.runtime, TEXT(own), kernel, &test_error));
        uint32_t count = 0;
        CHECK_DONE(rk_registry_find(with->all.runtime, TEXT("own/#"), NULL, 0, &count, &test_error));
        CHECK(count >= 1 && count <= 4);
        CHECK_OK(rk_kernel_destroy(kernel));
    }
}

CASE(registry_races) {
    contest with = {.all = fixture_open()};
    test_threads(4, contend, &with);
    uint32_t count = 77;
    CHECK_DONE(rk_registry_find(with.all.runtime, TEXT("#"), NULL, 0, &count, &test_error));
    CHECK_EQ(count, 0);
    fixture_close(&with.all);
}

CASE(routes_on_the_cpu) {
    fixture all = fixture_open();
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = 4;
    options.workers = 2;
    rk_kernel kernel = fixture_launch(all.runtime, all.module, &options);
    rk_actor actors[4];
    uint32_t route = 77;
    for (uint32_t i = 0; i < 4; i++) CHECK_OK(rk_kernel_actor(kernel, i, &actors[i]));
    for (uint32_t from = 0; from < 4; from++) {
        for (uint32_t to = 0; to < 4; to++) {
            CHECK_DONE(rk_route(actors[from], actors[to], &route, &test_error));
            CHECK_EQ(route, from / 2 == to / 2 ? RK_ROUTE_WORKER : RK_ROUTE_DEVICE);
        }
        CHECK_DONE(rk_route(actors[from], all.actor, &route, &test_error));
        CHECK_EQ(route, RK_ROUTE_DEVICE);
    }
    CHECK_ERROR(rk_route(all.actor, actors[0], NULL, &test_error), INVALID);
    rk_actor beyond = {actors[3].id + 1};
    CHECK_ERROR(rk_route(all.actor, beyond, &route, &test_error), RK_ERROR_STALE_HANDLE);
    CHECK_ERROR(rk_route(beyond, all.actor, &route, &test_error), RK_ERROR_STALE_HANDLE);
    CHECK_OK(rk_kernel_destroy(kernel));
    CHECK_ERROR(rk_route(all.actor, actors[0], &route, &test_error), RK_ERROR_STALE_HANDLE);
    fixture_close(&all);
}

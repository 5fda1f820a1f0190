/* Every public function that takes a handle, as one table: each is called with arguments that are right but for the
 * handles, which the test chooses. What a call creates it also destroys. */
#ifndef RK_TESTS_CAPI_SURFACE_H
#define RK_TESTS_CAPI_SURFACE_H

#include "fixture.h"

enum { TAKES_RUNTIME = 1, TAKES_MODULE = 2, TAKES_QUEUE = 4, TAKES_KERNEL = 8, TAKES_ACTOR = 16, TAKES_ALERT = 32, TAKES_BUFFER = 64,
       TAKES_TOPIC = 128, TAKES_SUBSCRIPTION = 256, NOUNS = 9 };

/* What a call does to the object beside looking at it. */
enum { EFFECT_NONE, EFFECT_ENDS, EFFECT_DESTROYS };

typedef struct surface_call {
    const char *name;
    rk_status (*call)(const fixture *with, rk_error *error);
    unsigned takes;
    unsigned effect;
    bool has_error; /* takes an rk_error */
} surface_call;

extern const surface_call surface[];
extern const size_t surface_count;

/* The id of one noun in the fixture. `noun` is one of TAKES_... */
uint64_t *surface_id(fixture *all, unsigned noun);

/* Makes a call that must return `expected`, and verifies its rk_error. */
void surface_expect(const surface_call *entry, const fixture *with, rk_status expected, const char *why);

#endif

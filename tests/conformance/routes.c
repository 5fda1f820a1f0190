/* The routes that are reported are those that messages go. */
#include "world.h"

/* A letter of one actor to another goes the way that is reported, and arrives. */
static void check_route(const world *w, rk_actor from, rk_actor to, uint32_t expected) {
    uint32_t route = 77;
    CHECK_DONE(rk_route(from, to, &route, &test_error));
    CHECK_EQ(route, expected);
    deliver message = {.to = to.id, .value = 5};
    posted reply;
    ask_for(from, RK_TYPE(deliver), &message, sizeof message, RK_TYPE(posted), &reply, sizeof reply);
    CHECK_EQ(reply.refused, 0);
    read_letter got;
    rk_message answer = next_message(w, &got, sizeof got);
    CHECK_EQ(answer.kind, RK_MESSAGE_EMIT);
    CHECK_EQ(answer.from.id, to.id);
}

CASE(routes_are_those_that_messages_go) {
    world w = world_open();
    rk_kernel one = world_start(&w, "courier", OPTIONS(.actors = 4, .workers = 2));
    rk_kernel two = world_start(&w, "courier", OPTIONS(.actors = 1));
    rk_kernel cpu = world_start(&w, "courier", OPTIONS(.actors = 1, .backend = RK_BACKEND_CPU, .lanes = 1));
    check_route(&w, actor_of(one, 0), actor_of(one, 0), RK_ROUTE_WORKER);
    check_route(&w, actor_of(one, 0), actor_of(one, 1), RK_ROUTE_WORKER);
    check_route(&w, actor_of(one, 0), actor_of(one, 3), RK_ROUTE_DEVICE);
    check_route(&w, actor_of(one, 0), actor_of(two, 0), RK_ROUTE_DEVICE);
    check_route(&w, actor_of(cpu, 0), actor_of(cpu, 0), RK_ROUTE_WORKER);
    bool same = stats_of(one).backend == RK_BACKEND_CPU;
    check_route(&w, actor_of(cpu, 0), actor_of(one, 0), same ? RK_ROUTE_DEVICE : RK_ROUTE_HOST);
    check_route(&w, actor_of(one, 0), actor_of(cpu, 0), same ? RK_ROUTE_DEVICE : RK_ROUTE_HOST);
    world_close(&w);
}

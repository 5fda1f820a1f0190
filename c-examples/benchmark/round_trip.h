/* One message and its reply, checked: see latency.c. */
#ifndef ROUND_TRIP_H
#define ROUND_TRIP_H

#include "benchmark.h"
#include "benchmark.rk.h"

ping random_ping(setup *s);
/* Sends, then polls without sleeping; gives the ticks that it took. handled: messages that the actor has had before. */
uint32_t by_polling(const setup *s, rk_actor to, const ping *message, uint64_t handled, inbox *in);

#endif

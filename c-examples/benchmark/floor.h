/* The floor: two bounded rings and a thread, written by hand, without addresses, types, actors or statistics. What the
 * library costs is what it takes beyond this, in the same run on the same processors.
 *
 * Both return 0, or -1 when an echo was wrong, or late by more than ten seconds. */
#ifndef FLOOR_H
#define FLOOR_H

#include <stdint.h>

/* cpu: where the echoing thread runs, or -1 for anywhere. */

/* Round trips of 32 bytes, one at a time; ticks[i]: how long each took. */
int floor_round_trips(int cpu, uint64_t seed, uint32_t count, uint32_t *ticks_taken);

/* Echoes of 48 bytes, up to `window` on their way; seconds_taken: for all of them. */
int floor_echoes(int cpu, uint64_t seed, uint64_t count, uint64_t window, double *seconds_taken);

#endif

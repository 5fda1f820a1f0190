/* The floors of a Vulkan device: what a program pays that does by hand what actors do, with nothing in the way. Submitting an
 * empty dispatch until its fence says that it is over, and the bare stamped echo, answered by a dispatch that stays.
 *
 * Functions that return a text return NULL if all went well, else what did not. count: at most so many, or what goes in two
 * seconds; receives how many there were. One thread at a time. */
#ifndef FLOOR_VULKAN_H
#define FLOOR_VULKAN_H

#include <stdint.h>

typedef struct floor_vulkan floor_vulkan;

/* On the device of that number, in Vulkan's order, which must have that name. NULL where it cannot be: `why` says so. */
floor_vulkan *floor_vulkan_open(uint32_t ordinal, const char *name, const char **why);
void floor_vulkan_close(floor_vulkan *f);

/* It is the host's processor. */
int floor_vulkan_is_processor(const floor_vulkan *f);
/* Why no dispatch can stay and echo; NULL if one can. */
const char *floor_vulkan_no_echoes(const floor_vulkan *f);

/* ticks_taken[i]: how long each took. waits: in the driver; else it looks at the fence all the while. */
const char *floor_vulkan_submits(floor_vulkan *f, int waits, uint32_t *count, uint32_t *ticks_taken);
const char *floor_vulkan_echoes(floor_vulkan *f, uint64_t seed, uint32_t *count, uint32_t *ticks_taken);

#endif

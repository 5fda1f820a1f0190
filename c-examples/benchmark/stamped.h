/* The host's half of a stamped echo, which every device's floor answers: messages of four words of 16 bytes, each of which
 * carries a number in its last four bytes that says whether it is there. No flag, and no order among the words. */
#ifndef STAMPED_H
#define STAMPED_H

#include <stdint.h>

enum { STAMPED_WORDS = 4, STAMPED_SIZE = 64 };
/* Echoes before those that are timed. */
enum { STAMPED_WARM = 2000 };
/* Of the host, for one echo. A device has to have more, so that it is not the one to give up. */
static const double STAMPED_PATIENCE = 5;

typedef struct stamped {
    void *to;         /* where the device looks, and never read here */
    const void *from; /* where it answers, with one more in the first half of each word */
    int combines;     /* `to` is write-combined: what is written has to be brought out */
    uint32_t stamp;   /* of the last message: none is used twice, so that no old word is taken for a new one */
    double until;     /* seconds(), after which no message is sent; 0: all are */
    const char *(*over)(void *device); /* why no echo can come any more, asked while none comes; may be NULL */
    void *device;
} stamped;

/* Echoes of new random data, one at a time. count: at most so many; receives how many there were. ticks_taken[i]: how long
 * each took. NULL, or what went wrong. */
const char *stamped_echoes(stamped *s, uint64_t seed, uint32_t *count, uint32_t *ticks_taken);

/* A message of nothing but a stamp that stands for something else. 0: as if there had been none. */
void stamped_sign(const stamped *s, uint32_t stamp);

#endif

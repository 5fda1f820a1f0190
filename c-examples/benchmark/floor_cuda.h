/* The floors of a CUDA device: what a program pays that does by hand what actors do, with nothing in the way. Launches with
 * their synchronize, and the bare stamped echo: four threads that answer 16-byte words, each of which says itself whether it
 * is there. rk_selftest() measures nearly the latter, but behind a ring: with the look at the room for the answer.
 *
 * Functions that return a text return NULL if all went well, else what did not. One thread at a time. */
#ifndef FLOOR_CUDA_H
#define FLOOR_CUDA_H

#include "cuda.h"

typedef struct floor_cuda floor_cuda;

/* Where messages to the device lie. Its answers lie in the host's memory. */
enum { INBOUND_HOST, INBOUND_DEVICE };

/* For device 0, whose primary context becomes current for the caller. NULL where it cannot be: `why` says so. */
floor_cuda *floor_cuda_open(const char **why);
void floor_cuda_close(floor_cuda *f);
/* Why the host cannot write into device memory; NULL if it can. */
const char *floor_cuda_no_device_memory(const floor_cuda *f);

/* ticks_taken[i]: how long each took. */
const char *floor_cuda_launches(floor_cuda *f, uint32_t count, uint32_t *ticks_taken);
const char *floor_cuda_graphs(floor_cuda *f, uint32_t count, uint32_t *ticks_taken);
/* 64 bytes there, a kernel that adds to them, 64 bytes back. */
const char *floor_cuda_copies(floor_cuda *f, uint64_t seed, uint32_t count, uint32_t *ticks_taken);
const char *floor_cuda_echoes(floor_cuda *f, int inbound, uint64_t seed, uint32_t count, uint32_t *ticks_taken);

/* Device memory that the host writes in place, through the card's PCI window (BAR). CUDA does not give it; Vulkan does, and
 * exports it. Never read by the host: a microsecond a word. */
typedef struct bar_memory {
    void *host;      /* write-combined */
    uint64_t device; /* the same for kernels */
    struct bar_owner *owner;
} bar_memory;

const char *bar_memory_open(bar_memory *memory, const cuda_driver *cu, cu_device device, size_t size);
/* Does nothing with zeroes. */
void bar_memory_close(bar_memory *memory, const cuda_driver *cu);

#endif

/* An actor that turns a stream of samples into spectra, one every half window. The half window before is its state, so
 * every sample is sent to it once although windows overlap. */
#include <ringkernel/actor.h>

#define FFT_SIZE_MAX 2048
#define FFT_HOP_MAX (FFT_SIZE_MAX / 2)
#define FFT_BINS_MAX (FFT_SIZE_MAX / 2 + 1)

/* The first half window of a stream. Arrays are filled as far as the window's size needs; the rest need not be sent. */
RK_MESSAGE(prime, 1, rk_f32 samples[FFT_HOP_MAX];)
/* The next half window; answered with the spectrum of it and the one before. */
RK_MESSAGE(slide, 2, rk_f32 samples[FFT_HOP_MAX];)
RK_MESSAGE(spectrum, 3, rk_f32 magnitude[FFT_BINS_MAX];)

/* The tables come with the initial state: the host computes them in double precision, while a GPU's own sine may be off
 * by 5e-4 (that is all Vulkan promises). */
RK_STATE(fft,
    rk_u32 log2_size;
    rk_f32 cosine[FFT_SIZE_MAX / 2]; /* of 2 pi i / size, half a turn */
    rk_f32 sine[FFT_SIZE_MAX / 2];
    rk_f32 window[FFT_HOP_MAX + 1]; /* Hann's, rising to its middle */
    rk_f32 overlap[FFT_HOP_MAX];)

RK_SCRATCH(fft,
    rk_f32 re[FFT_SIZE_MAX];
    rk_f32 im[FFT_SIZE_MAX];)

RK_FUNC rk_u32 reverse_bits(rk_u32 value, rk_u32 bits) {
    rk_u32 reversed = 0u;
    for (rk_u32 i = 0u; i < bits; i += 1u) {
        reversed = (reversed << 1) | ((value >> i) & 1u);
    }
    return reversed;
}

RK_ON(fft, prime) {
    rk_u32 hop = (1u << rk_state.log2_size) / 2u;
    for (rk_u32 i = rk_lane(); i < hop; i += rk_lanes()) {
        rk_state.overlap[i] = rk_msg.samples[i];
    }
}

/* Radix-2, decimation in time (Cooley and Tukey, 1965). The lanes share the loops over samples and butterflies. */
RK_ON(fft, slide) {
    rk_u32 bits = rk_state.log2_size;
    rk_u32 hop = (1u << bits) / 2u;

    for (rk_u32 i = rk_lane(); i < hop; i += rk_lanes()) {
        rk_u32 first = reverse_bits(i, bits);
        rk_u32 second = reverse_bits(i + hop, bits);
        rk_scratch(fft).re[first] = rk_state.window[i] * rk_state.overlap[i];
        rk_scratch(fft).im[first] = 0.0f;
        rk_scratch(fft).re[second] = rk_state.window[hop - i] * rk_msg.samples[i];
        rk_scratch(fft).im[second] = 0.0f;
        rk_state.overlap[i] = rk_msg.samples[i];
    }
    rk_barrier();

    for (rk_u32 span = 1u; span <= hop; span *= 2u) {
        for (rk_u32 i = rk_lane(); i < hop; i += rk_lanes()) {
            rk_u32 j = i & (span - 1u);
            rk_u32 low = 2u * i - j;
            rk_u32 high = low + span;
            rk_f32 c = rk_state.cosine[j * (hop / span)];
            rk_f32 s = rk_state.sine[j * (hop / span)];
            rk_f32 re = rk_scratch(fft).re[high] * c + rk_scratch(fft).im[high] * s;
            rk_f32 im = rk_scratch(fft).im[high] * c - rk_scratch(fft).re[high] * s;
            rk_scratch(fft).re[high] = rk_scratch(fft).re[low] - re;
            rk_scratch(fft).im[high] = rk_scratch(fft).im[low] - im;
            rk_scratch(fft).re[low] += re;
            rk_scratch(fft).im[low] += im;
        }
        rk_barrier();
    }

    for (rk_u32 i = rk_lane(); i <= hop; i += rk_lanes()) {
        rk_f32 re = rk_scratch(fft).re[i];
        rk_f32 im = rk_scratch(fft).im[i];
        RK_OUT(spectrum).magnitude[i] = rk_sqrt(re * re + im * im);
    }
    rk_reply(spectrum);
}

RK_ACTOR(fft, RK_HANDLES(fft, prime) RK_HANDLES(fft, slide))

/* audio_fft_spectra PROGRAM [SEED]: the program's spectra beside FFTW's in double precision, for recordings of noise,
 * chirps and tones: 16-bit and float, mono and stereo, of every kind of length, with several sizes and actors. */
#define _DEFAULT_SOURCE /* mkdtemp, M_PI */
#include "audio_fft_run.h"

#include <fftw3.h>
#include <math.h>

#define TOLERANCE 1e-4
#define RATE 16000

/* Relative to the bin; to a hundredth of the window's peak where a bin is smaller than that, for there a difference in
 * rounding is as large as the bin. */
static double compare_window(const float *ours, const double *samples, uint32_t size, fftw_plan plan, double *in,
                             fftw_complex *out) {
    for (uint32_t i = 0; i < size; i++) {
        in[i] = samples[i] * (0.5 - 0.5 * cos(2.0 * M_PI * i / size));
    }
    fftw_execute(plan);
    double peak = 0.0;
    for (uint32_t i = 0; i <= size / 2; i++) {
        peak = fmax(peak, hypot(out[i][0], out[i][1]));
    }
    double worst = 0.0;
    for (uint32_t i = 0; i <= size / 2; i++) {
        double expected = hypot(out[i][0], out[i][1]);
        double difference = fabs((double)ours[i] - expected);
        REQUIRE(isfinite(ours[i]), "bin %u is not a number", i);
        if (difference > 0.0) {
            worst = fmax(worst, difference / fmax(expected, 0.01 * peak));
        }
    }
    return worst;
}

/* Noise from nearly nothing to loud, a chirp over the whole range, a tone; the channels differ. */
static double *make_recording(size_t frames, int channels) {
    double *samples = malloc(frames * (size_t)channels * sizeof *samples);
    REQUIRE(samples != NULL, "out of memory");
    for (int channel = 0; channel < channels; channel++) {
        double noise = pow(10.0, -3.0 * (double)random_below(1000) / 1000.0) * 0.5;
        double tone = 2.0 * M_PI * (double)(20 + random_below(RATE / 2 - 40)) / RATE;
        double from = 0.05 * M_PI * (double)random_below(10);
        double to = 0.05 * M_PI * (double)random_below(20);
        double phase = 0.0;
        for (size_t i = 0; i < frames; i++) {
            phase += from + (to - from) * (double)i / (double)frames;
            samples[i * (size_t)channels + (size_t)channel] =
                noise * random_sample() + 0.25 * sin(phase) + 0.2 * sin(tone * (double)i);
        }
    }
    return samples;
}

static double compare(const char *program, int format, int channels, uint32_t size, uint32_t actors, size_t frames) {
    double *samples = make_recording(frames, channels);
    write_wav("in.wav", format, channels, RATE, samples, frames * (size_t)channels);
    char size_text[16], actors_text[16];
    snprintf(size_text, sizeof size_text, "%u", size);
    snprintf(actors_text, sizeof actors_text, "%u", actors);
    const struct outcome outcome =
        run((const char *const[]){program, "--backend", "cpu", "--size", size_text, "--actors", actors_text,
                                  "--spectra", "spectra", "--output", "out.png", "in.wav", NULL});
    REQUIRE(outcome.status == 0 && outcome.err[0] == '\0', "status %d: %s", outcome.status, outcome.err);

    /* Windows until one reaches the end; behind it there is silence. */
    size_t hop = size / 2, bins = size / 2 + 1, windows = 1;
    while ((windows - 1) * hop + size < frames) {
        windows++;
    }
    double *mono = fftw_alloc_real(windows * hop + hop);
    double *in = fftw_alloc_real(size);
    fftw_complex *out = fftw_alloc_complex(bins);
    float *ours = malloc(windows * bins * sizeof *ours + 1);
    REQUIRE(mono != NULL && in != NULL && out != NULL && ours != NULL, "out of memory");
    for (size_t i = 0; i < windows * hop + hop; i++) {
        mono[i] = 0.0;
        for (int channel = 0; i < frames && channel < channels; channel++) {
            mono[i] += samples[i * (size_t)channels + (size_t)channel] / channels;
        }
    }
    FILE *file = fopen("spectra", "rb");
    REQUIRE(file != NULL, "no spectra were written");
    size_t bytes = fread(ours, 1, windows * bins * sizeof *ours + 1, file);
    fclose(file);
    REQUIRE(bytes == windows * bins * sizeof *ours, "%zu bytes instead of %zu windows of %zu floats", bytes, windows,
            bins);

    fftw_plan plan = fftw_plan_dft_r2c_1d((int)size, in, out, FFTW_ESTIMATE);
    double worst = 0.0;
    for (size_t window = 0; window < windows; window++) {
        worst = fmax(worst, compare_window(ours + window * bins, mono + window * hop, size, plan, in, out));
    }
    fftw_destroy_plan(plan);
    fftw_free(mono);
    fftw_free(in);
    fftw_free(out);
    free(ours);
    free(samples);
    return worst;
}

int main(int argc, char **argv) {
    static const uint32_t cases[][2] = {{1024, 8}, {1024, 1}, {1024, 100}, {64, 3}, {128, 1000}, {512, 7}, {2048, 5}};
    REQUIRE(argc >= 2, "usage: audio_fft_spectra PROGRAM [SEED]");
    seed_random(argc > 2 ? argv[2] : NULL);
    enter_directory();
    int failed = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t size = cases[i][0], actors = cases[i][1];
        /* Shorter than a window, exactly one, a sample more, whole windows, any length. */
        const size_t lengths[] = {1 + random_below(size - 1), size, size + 1, 10 * size,
                                  4 * size + random_below(30000)};
        for (int kind = 0; kind < 4; kind++) {
            int format = kind & 1 ? WAV_FLOAT : WAV_PCM;
            int channels = kind & 2 ? 2 : 1;
            double worst = 0.0;
            for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
                worst = fmax(worst, compare(argv[1], format, channels, size, actors, lengths[j]));
            }
            printf("size %4u, %4u actors, %s, %s: largest difference %.1e\n", size, actors,
                   format == WAV_FLOAT ? "float" : "16 bit", channels == 2 ? "stereo" : "mono", worst);
            failed |= !(worst <= TOLERANCE);
        }
    }
    leave_directory();
    REQUIRE(!failed, "more than %.0e", TOLERANCE);
    return EXIT_SUCCESS;
}

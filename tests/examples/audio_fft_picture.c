/* audio_fft_picture PROGRAM [SEED]: the picture, decoded, and the table of pitches, for recordings of two pure tones,
 * one after the other: the brightest row of each column and the row of the table must be those of the tone. */
#define _DEFAULT_SOURCE /* mkdtemp, M_PI */
#include "audio_fft_run.h"

#include <math.h>
#include <png.h>

#define RATE 22050
#define WIDTH 1024u

static png_bytep read_picture(uint32_t height) {
    png_image image = {.version = PNG_IMAGE_VERSION};
    REQUIRE(png_image_begin_read_from_file(&image, "out.png"), "out.png: %s", image.message);
    REQUIRE(image.width == WIDTH && image.height == height, "the picture has %u x %u pixels", image.width,
            image.height);
    image.format = PNG_FORMAT_GRAY;
    png_bytep pixels = malloc(PNG_IMAGE_SIZE(image));
    REQUIRE(pixels != NULL, "out of memory");
    REQUIRE(png_image_finish_read(&image, NULL, pixels, 0, NULL), "out.png: %s", image.message);
    return pixels;
}

/* The tone's bin must be the brightest of each column, with darkness far from it. */
static void check_columns(const png_byte *pixels, uint32_t height, uint32_t first, uint32_t last, uint32_t bin) {
    for (uint32_t x = first; x < last; x++) {
        uint32_t brightest = 0;
        for (uint32_t y = 1; y < height; y++) {
            if (pixels[y * WIDTH + x] > pixels[brightest * WIDTH + x]) {
                brightest = y;
            }
        }
        REQUIRE(brightest == height - 1 - bin, "column %u: row %u is the brightest, not %u", x, brightest,
                height - 1 - bin);
        uint32_t far = bin < height / 2 ? 0 : height - 1;
        REQUIRE(pixels[far * WIDTH + x] + 100 < pixels[brightest * WIDTH + x], "column %u is bright all over", x);
    }
}

/* "    time        Hz  note    dB": finds the row of the frequency, whose note must be the nearest of the scale. */
static void check_table(const char *table, double frequency, double decibels) {
    static const char *const names[] = {"C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"};
    int key = (int)floor(69.5 + 12.0 * log2(frequency / 440.0));
    char note[16];
    snprintf(note, sizeof note, "%s%d", names[key % 12], key / 12 - 1);
    for (const char *row = table; row != NULL; row = strchr(row + 1, '\n')) {
        double time, measured, loudness;
        char name[8];
        if (sscanf(row, "%lf %lf %7s %lf", &time, &measured, name, &loudness) == 4 &&
            fabs(measured - frequency) < 0.002 * frequency && strcmp(name, note) == 0 &&
            fabs(loudness - decibels) < 1.0) {
            return;
        }
    }
    give_up("no row says %.1f Hz, %s, %.0f dB in\n%s", frequency, note, decibels, table);
}

static void check_tones(const char *program, uint32_t size, size_t frames) {
    /* In the middle of a bin, and an octave apart at least, so that each is a row of the table. */
    uint32_t low = 6 + random_below(size / 8 - 6);
    uint32_t high = 2 * low + random_below(size / 2 - 2 * low - 4);
    uint32_t bins[2] = {low, high};
    if (random_below(2) == 1) {
        bins[0] = high;
        bins[1] = low;
    }
    double *samples = malloc(frames * sizeof *samples);
    REQUIRE(samples != NULL, "out of memory");
    for (size_t i = 0; i < frames; i++) {
        samples[i] = 0.5 * sin(2.0 * M_PI * bins[2 * i / frames] * (double)i / size);
    }
    write_wav("in.wav", WAV_PCM, 1, RATE, samples, frames);
    free(samples);

    char size_text[16];
    snprintf(size_text, sizeof size_text, "%u", size);
    const struct outcome outcome = run((const char *const[]){program, "--backend", "cpu", "--size", size_text,
                                                             "--output", "out.png", "in.wav", NULL});
    REQUIRE(outcome.status == 0, "status %d: %s", outcome.status, outcome.err);
    REQUIRE(outcome.err[0] == '\0', "a progress bar into a file: %s", outcome.err);

    uint32_t height = size / 2 + 1;
    png_bytep pixels = read_picture(height);
    check_columns(pixels, height, WIDTH / 16, WIDTH * 7 / 16, bins[0]);
    check_columns(pixels, height, WIDTH * 9 / 16, WIDTH * 15 / 16, bins[1]);
    free(pixels);
    for (int i = 0; i < 2; i++) {
        check_table(outcome.out, (double)bins[i] * RATE / size, 20.0 * log10(0.5));
    }
    printf("size %4u, %6zu samples: tones in bins %u and %u found\n", size, frames, bins[0], bins[1]);
}

int main(int argc, char **argv) {
    REQUIRE(argc >= 2, "usage: audio_fft_picture PROGRAM [SEED]");
    seed_random(argc > 2 ? argv[2] : NULL);
    enter_directory();
    /* Fewer windows than the picture has columns, and more. */
    check_tones(argv[1], 1024, 40 * 1024);
    check_tones(argv[1], 2048, 100 * 1024 + random_below(1000));
    check_tones(argv[1], 256, 200 * 1024 + random_below(1000));
    check_tones(argv[1], 128, 400 * 1024);
    leave_directory();
    return EXIT_SUCCESS;
}

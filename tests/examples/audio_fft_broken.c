/* audio_fft_broken PROGRAM [SEED]: for files that are no good recordings the program says so in one line that names the
 * file, ends with status 1 and leaves no picture; for headers spoilt at random it never crashes. */
#define _DEFAULT_SOURCE /* mkdtemp */
#include "audio_fft_run.h"

enum { FRAMES = 2000, SIZE = WAV_HEADER + 2 * FRAMES };

static const char *program;

/* A good file, to be spoilt. */
static void make_good(uint8_t bytes[SIZE]) {
    put_wav_header(bytes, WAV_PCM, 1, 16000, 2 * FRAMES);
    for (size_t i = 0; i < FRAMES; i++) {
        put16(bytes + WAV_HEADER + 2 * i, (uint32_t)random_u64() & 0xffff);
    }
}

static struct outcome run_on(const char *path) {
    return run((const char *const[]){program, "--backend", "cpu", "--output", "out.png", path, NULL});
}

static void store(const uint8_t *bytes, size_t count) {
    FILE *file = fopen("in.wav", "wb");
    REQUIRE(file != NULL, "cannot create in.wav");
    size_t written = fwrite(bytes, 1, count, file);
    REQUIRE(fclose(file) == 0 && written == count, "cannot write in.wav");
}

static int is_one_line(const char *text) {
    const char *end = strchr(text, '\n');
    return end != NULL && end[1] == '\0';
}

static void expect_refusal(const char *what, const struct outcome *outcome, const char *subject, const char *reason) {
    struct stat status;
    REQUIRE(outcome->status == 1, "%s: status %d instead of 1: %s", what, outcome->status, outcome->err);
    REQUIRE(is_one_line(outcome->err), "%s: not one line: \"%s\"", what, outcome->err);
    REQUIRE(strstr(outcome->err, subject) != NULL && strstr(outcome->err, reason) != NULL,
            "%s: the message lacks \"%s\" or \"%s\": %s", what, subject, reason, outcome->err);
    REQUIRE(outcome->out[0] == '\0', "%s: output in spite of it: %s", what, outcome->out);
    REQUIRE(stat("out.png", &status) != 0, "%s: a picture in spite of it", what);
}

static void refuse_bytes(const char *what, const uint8_t *bytes, size_t count, const char *reason) {
    store(bytes, count);
    const struct outcome outcome = run_on("in.wav");
    printf("%-28s %s", what, outcome.err);
    expect_refusal(what, &outcome, "in.wav", reason);
}

static void refuse_path(const char *what, const char *path, const char *reason) {
    const struct outcome outcome = run_on(path);
    printf("%-28s %s", what, outcome.err);
    expect_refusal(what, &outcome, path, reason);
}

static void refuse_option(const char *option, const char *value, const char *reason) {
    const struct outcome outcome =
        run((const char *const[]){program, "--output", "out.png", option, value, "in.wav", NULL});
    printf("%-28s %s", option, outcome.err);
    expect_refusal(option, &outcome, value, reason);
}

/* One field of a good header made something else. */
static void refuse_field(const char *what, size_t at, size_t width, uint32_t value, const char *reason) {
    uint8_t bytes[SIZE];
    make_good(bytes);
    if (width == 2) {
        put16(bytes + at, value);
    } else {
        put32(bytes + at, value);
    }
    refuse_bytes(what, bytes, SIZE, reason);
}

static void refuse_float(const char *what, uint32_t sample) {
    uint8_t bytes[WAV_HEADER + 400] = {0};
    put_wav_header(bytes, WAV_FLOAT, 1, 16000, 400);
    put32(bytes + WAV_HEADER + 4 * 57, sample);
    refuse_bytes(what, bytes, sizeof bytes, "sample 57 is not a finite number");
}

int main(int argc, char **argv) {
    REQUIRE(argc >= 2, "usage: audio_fft_broken PROGRAM [SEED]");
    program = argv[1];
    seed_random(argc > 2 ? argv[2] : NULL);
    enter_directory();
    uint8_t good[SIZE];
    make_good(good);
    store(good, SIZE);
    REQUIRE(run_on("in.wav").status == 0 && remove("out.png") == 0, "the file that is to be spoilt is no good itself");

    refuse_option("--backend", "abacus", "unknown backend");
    refuse_option("--size", "1000", "not a power of two");
    refuse_option("--size", "4096", "not a number from");
    refuse_option("--actors", "0", "not a number from");
    refuse_option("--actors", "-1", "not a number from");
    refuse_option("--actors", "12x", "not a number from");
    refuse_option("--output", "nowhere/out.png", "No such file");
    refuse_option("--spectra", "nowhere/spectra", "No such file");

    refuse_path("missing file", "missing.wav", "No such file");
    refuse_path("directory", ".", "not a regular file");
    refuse_bytes("empty file", good, 0, "not a recording");
    refuse_bytes("text", (const uint8_t *)"Once upon a time there was no recording in here.\n", 49, "not a recording");
    for (size_t length = 1; length < WAV_HEADER; length++) {
        char what[32];
        snprintf(what, sizeof what, "cut after %zu bytes", length);
        refuse_bytes(what, good, length, length < 36 ? "not a recording" : "");
    }
    refuse_bytes("cut after the header", good, WAV_HEADER, "truncated");
    refuse_bytes("cut in the samples", good, SIZE / 2, "truncated");
    refuse_bytes("cut before the last sample", good, SIZE - 2, "truncated");

    uint32_t other;
    memcpy(&other, "RIFQ", 4);
    refuse_field("wrong magic", 0, 4, other, "not a recording");
    refuse_field("wrong form type", 8, 4, other, "not a recording");
    refuse_field("no fmt chunk", 12, 4, other, "not a recording");
    refuse_field("no data chunk", 36, 4, other, "not a recording");
    refuse_field("fmt chunk of 4 GB", 16, 4, 0xfffffff0, "not a recording");
    refuse_field("unknown encoding", 20, 2, 0x7777, "not a recording");
    refuse_field("no channels", 22, 2, 0, "not a recording");
    refuse_field("three channels", 22, 2, 3, "3 channels");
    refuse_field("65,535 channels", 22, 2, 65535, "not a recording");
    refuse_field("sample rate zero", 24, 4, 0, "not a recording");
    refuse_field("no samples", 40, 4, 0, "no samples");
    refuse_field("one sample more than there", 40, 4, 2 * FRAMES + 2, "truncated");
    refuse_field("2 GB of samples announced", 40, 4, 0x7fffff00, "truncated");
    refuse_float("NaN", 0x7fc00000);
    refuse_float("infinity", 0xff800000);

    uint8_t noise[4096];
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (uint8_t)random_u64();
    }
    noise[0] = 0; /* no magic of anything */
    refuse_bytes("noise", noise, sizeof noise, "not a recording");

    int refused = 0;
    for (int i = 0; i < 300; i++) {
        uint8_t bytes[SIZE];
        memcpy(bytes, good, SIZE);
        for (uint32_t spoilt = 1 + random_below(4); spoilt > 0; spoilt--) {
            bytes[random_below(WAV_HEADER)] = (uint8_t)random_u64();
        }
        store(bytes, SIZE - random_below(2) * random_below(SIZE));
        const struct outcome outcome = run_on("in.wav");
        REQUIRE(outcome.status == 0 || (outcome.status == 1 && is_one_line(outcome.err)),
                "spoilt header %d: status %d: %s", i, outcome.status, outcome.err);
        refused += outcome.status;
        remove("out.png");
    }
    printf("of 300 headers spoilt at random, %d were refused\n", refused);
    leave_directory();
    return EXIT_SUCCESS;
}

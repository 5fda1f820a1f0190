/* What the tests of audio_fft share: a directory to work in, WAV files as bytes, and running the program. */
#ifndef AUDIO_FFT_RUN_H
#define AUDIO_FFT_RUN_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline _Noreturn void give_up(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

#define REQUIRE(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            give_up(__VA_ARGS__);                                                                                      \
        }                                                                                                              \
    } while (0)

/* The tests work in a directory of their own, so plain names will do for files. */
static inline void enter_directory(void) {
    static char name[] = "/tmp/audio_fft.XXXXXX";
    REQUIRE(mkdtemp(name) != NULL && chdir(name) == 0, "cannot create a directory to work in");
}

static const char *const work_files[] = {"in.wav", "out", "err", "out.png", "spectra"};

static inline void leave_directory(void) {
    char name[64];
    REQUIRE(getcwd(name, sizeof name) != NULL, "getcwd");
    for (size_t i = 0; i < sizeof work_files / sizeof *work_files; i++) {
        remove(work_files[i]);
    }
    REQUIRE(rmdir(name) == 0, "%s is not empty", name);
}

/* Numbers that differ from run to run, printed so that a failure can be had again. SplitMix64 (Steele et al., 2014). */
static uint64_t random_state;

static inline void seed_random(const char *argument) {
    random_state = argument != NULL ? strtoull(argument, NULL, 10) : (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
    printf("seed %llu\n", (unsigned long long)random_state);
}

static inline uint64_t random_u64(void) {
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint32_t random_below(uint32_t limit) {
    return (uint32_t)(random_u64() % limit);
}

/* In [-1, 1). */
static inline double random_sample(void) {
    return (double)(random_u64() >> 11) / (double)(1ull << 52) - 1.0;
}

/* ---- WAV files ---- */

enum { WAV_PCM = 1, WAV_FLOAT = 3, WAV_HEADER = 44 };

static inline void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static inline void put32(uint8_t *at, uint32_t value) {
    put16(at, value);
    put16(at + 2, value >> 16);
}

/* The 44 bytes before the samples. */
static inline void put_wav_header(uint8_t header[WAV_HEADER], int format, int channels, int rate, uint32_t bytes) {
    int width = format == WAV_FLOAT ? 4 : 2;
    memcpy(header, "RIFF....WAVEfmt ....................data....", WAV_HEADER);
    put32(header + 4, 36 + bytes);
    put32(header + 16, 16);
    put16(header + 20, (uint32_t)format);
    put16(header + 22, (uint32_t)channels);
    put32(header + 24, (uint32_t)rate);
    put32(header + 28, (uint32_t)(rate * channels * width));
    put16(header + 32, (uint32_t)(channels * width));
    put16(header + 34, (uint32_t)(8 * width));
    put32(header + 40, bytes);
}

/* Interleaved samples as one file holds them; what is stored is given back, as 16 bits are less than a double. */
static inline void write_wav(const char *path, int format, int channels, int rate, double *samples, size_t count) {
    size_t width = format == WAV_FLOAT ? 4 : 2;
    uint8_t *bytes = malloc(WAV_HEADER + count * width);
    REQUIRE(bytes != NULL, "out of memory");
    put_wav_header(bytes, format, channels, rate, (uint32_t)(count * width));
    for (size_t i = 0; i < count; i++) {
        if (format == WAV_FLOAT) {
            float value = (float)samples[i];
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            put32(bytes + WAV_HEADER + 4 * i, bits);
            samples[i] = (double)value;
        } else {
            double scaled = samples[i] * 32768.0;
            int32_t value = scaled > 32767.0 ? 32767 : scaled < -32768.0 ? -32768 : (int32_t)scaled;
            put16(bytes + WAV_HEADER + 2 * i, (uint32_t)value);
            samples[i] = value / 32768.0;
        }
    }
    FILE *file = fopen(path, "wb");
    REQUIRE(file != NULL, "cannot create %s", path);
    size_t written = fwrite(bytes, 1, WAV_HEADER + count * width, file);
    REQUIRE(fclose(file) == 0 && written == WAV_HEADER + count * width, "cannot write %s", path);
    free(bytes);
}

/* ---- Running the program ---- */

struct outcome {
    int status; /* exit status, or 1000 + signal */
    char out[16384];
    char err[4096];
};

static inline void read_text(const char *path, char *text, size_t capacity) {
    FILE *file = fopen(path, "rb");
    REQUIRE(file != NULL, "cannot open %s", path);
    text[fread(text, 1, capacity - 1, file)] = '\0';
    fclose(file);
}

/* Runs argv, whose output goes to the files out and err. A minute is far more than it ever needs. */
static inline struct outcome run(const char *const argv[]) {
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0, "fork failed");
    if (child == 0) {
        int out = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int err = open("err", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (out >= 0 && err >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0) {
            alarm(60);
            execv(argv[0], (char *const *)argv);
        }
        _exit(127);
    }
    struct outcome outcome;
    int status;
    REQUIRE(waitpid(child, &status, 0) == child, "waitpid failed");
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    read_text("out", outcome.out, sizeof outcome.out);
    read_text("err", outcome.err, sizeof outcome.err);
    return outcome;
}

#endif

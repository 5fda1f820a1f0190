/* audio_fft: the spectrogram of a recording, and its strongest pitch over time.
 *
 * The recording is cut into windows that overlap by half, one spectrum each. It is shared out among the actors in runs
 * of consecutive windows; an actor is sent half windows, keeps the last one in its state, and answers each with a
 * spectrum. Rings that are full hold the sending up, spectra that arrive let it go on.
 *
 * Usage: audio_fft [--backend auto|cpu|cuda|vulkan] [--actors N] [--size N] [--output FILE.png] [--spectra FILE]
 *                  [recording.wav]
 */
#define _POSIX_C_SOURCE 200809L /* fseeko, isatty, stat */
#include "audio_fft.rk.h"
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <png.h>
#include <ringkernel/module.h>
#include <sndfile.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

RK_DECLARE_MODULE(audio_fft);

#define SECOND INT64_C(1000000000)
#define PI 3.14159265358979323846
#define PICTURE_WIDTH 1024
#define PICTURE_DECIBELS 80.0f /* from black to white */
#define SILENCE_DECIBELS -60.0

struct settings {
    const char *input;
    const char *output;
    const char *spectra;
    uint32_t backend;
    uint32_t actors;
    uint32_t size;
};

struct recording {
    float *samples; /* one channel; zeros behind the last one fill the last window */
    size_t windows;
    size_t length;
    int rate;
    int channels;
};

struct pitch {
    float frequency;
    float decibels; /* of a sine of full scale */
};

/* A run of windows, [next, end), that is one actor's. */
struct shard {
    rk_actor actor;
    size_t next;
    size_t end;
};

struct analysis {
    rk_runtime runtime;
    size_t windows;
    uint32_t size;
    int rate;
    size_t sent;
    size_t received;
    struct pitch *pitches; /* of each window */
    float *picture;        /* loudest magnitude of each pixel, highest frequency first */
    FILE *spectra;
    int show_progress;
};

static _Noreturn void fail(const char *path, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", path);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) {
        fail("audio_fft", "out of memory");
    }
    return memory;
}

/* ---- The recording ---- */

/* libsndfile takes what is there of a file that was cut off; the size in its header tells. Programs that write to a
 * pipe cannot know it and put the largest number there. */
static void require_complete(const char *path, SNDFILE *file, const SF_INFO *info) {
    SF_CHUNK_INFO chunk = {.id = "data", .id_size = 4};
    SF_CHUNK_ITERATOR *iterator = sf_get_chunk_iterator(file, &chunk);
    if (iterator == NULL || sf_get_chunk_size(iterator, &chunk) != SF_ERR_NO_ERROR || chunk.datalen == UINT32_MAX) {
        return;
    }
    uint64_t width;
    switch (info->format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_U8: width = 1; break;
    case SF_FORMAT_PCM_16: width = 2; break;
    case SF_FORMAT_PCM_24: width = 3; break;
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_FLOAT: width = 4; break;
    case SF_FORMAT_DOUBLE: width = 8; break;
    default: return; /* compressed */
    }
    uint64_t announced = chunk.datalen / (width * (uint64_t)info->channels);
    if (announced > (uint64_t)info->frames) {
        fail(path, "truncated: its header announces %" PRIu64 " samples, %" PRId64 " are there", announced,
             (int64_t)info->frames);
    }
}

/* Reads a WAV file, or anything else that libsndfile knows. Of two channels the mean is taken. */
static struct recording read_recording(const char *path, uint32_t size) {
    struct stat status;
    if (stat(path, &status) != 0) {
        fail(path, "%s", strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        fail(path, "not a regular file");
    }
    SF_INFO info = {.format = 0};
    SNDFILE *file = sf_open(path, SFM_READ, &info);
    if (file == NULL) {
        fail(path, "not a recording that can be read: %s", sf_strerror(NULL));
    }
    if (info.channels > 2) {
        fail(path, "%d channels; only mono and stereo are supported", info.channels);
    }
    require_complete(path, file, &info);
    if (info.frames <= 0) {
        fail(path, "no samples in it");
    }

    struct recording recording = {.length = (size_t)info.frames, .rate = info.samplerate, .channels = info.channels};
    size_t hop = size / 2;
    size_t behind_first = recording.length > size ? recording.length - size : 0;
    recording.windows = 1 + (behind_first + hop - 1) / hop;
    recording.samples = allocate((recording.windows + 1) * hop, sizeof *recording.samples);
    float block[2 * 4096];
    for (size_t at = 0; at < recording.length;) {
        sf_count_t count = sf_readf_float(file, block, 4096);
        if (count <= 0 || (size_t)count > recording.length - at) {
            fail(path, "reading failed after %zu of %zu samples: %s", at, recording.length, sf_strerror(file));
        }
        for (sf_count_t i = 0; i < count; i++, at++) {
            float sample = info.channels == 2 ? 0.5f * block[2 * i] + 0.5f * block[2 * i + 1] : block[i];
            if (!isfinite(sample)) {
                fail(path, "sample %zu is not a finite number", at);
            }
            recording.samples[at] = sample;
        }
    }
    sf_close(file);
    return recording;
}

/* ---- What is made of a spectrum ---- */

/* The largest peak, placed between the bins by a parabola through the logarithms, which suits a Hann window. */
static struct pitch find_pitch(const float *magnitude, uint32_t size, int rate) {
    uint32_t peak = 2; /* what is below is the window's image of a constant */
    for (uint32_t i = 3; i < size / 2; i++) {
        if (magnitude[i] > magnitude[peak]) {
            peak = i;
        }
    }
    double left = log(magnitude[peak - 1] + 1e-30);
    double middle = log(magnitude[peak] + 1e-30);
    double right = log(magnitude[peak + 1] + 1e-30);
    double curvature = left - 2.0 * middle + right;
    double shift = curvature < 0.0 ? 0.5 * (left - right) / curvature : 0.0;
    return (struct pitch){.frequency = (float)((peak + shift) * rate / size),
                          .decibels = (float)(20.0 * log10(magnitude[peak] / (size / 4.0) + 1e-30))};
}

/* A window may be wider than a pixel, and a pixel wider than a window: then the loudest shows. */
static void paint(struct analysis *analysis, size_t window, const float *magnitude) {
    uint32_t bins = analysis->size / 2 + 1;
    size_t first = window * PICTURE_WIDTH / analysis->windows;
    size_t last = ((window + 1) * PICTURE_WIDTH - 1) / analysis->windows;
    for (uint32_t bin = 0; bin < bins; bin++) {
        float *row = analysis->picture + (size_t)(bins - 1 - bin) * PICTURE_WIDTH;
        for (size_t x = first; x <= last; x++) {
            row[x] = fmaxf(row[x], magnitude[bin]);
        }
    }
}

static void take_spectrum(struct analysis *analysis, size_t window, const float *magnitude) {
    analysis->pitches[window] = find_pitch(magnitude, analysis->size, analysis->rate);
    paint(analysis, window, magnitude);
    if (analysis->spectra != NULL) {
        size_t bins = analysis->size / 2 + 1;
        if (fseeko(analysis->spectra, (off_t)(window * bins * sizeof *magnitude), SEEK_SET) != 0 ||
            fwrite(magnitude, sizeof *magnitude, bins, analysis->spectra) != bins) {
            fail("--spectra", "%s", strerror(errno));
        }
    }
}

/* ---- Through the actors ---- */

static rk_kernel launch(const struct settings *settings, rk_runtime runtime) {
    static struct fft initial;
    while (1u << initial.log2_size < settings->size) {
        initial.log2_size++;
    }
    for (uint32_t i = 0; i < settings->size / 2; i++) {
        initial.cosine[i] = (float)cos(2.0 * PI * i / settings->size);
        initial.sine[i] = (float)sin(2.0 * PI * i / settings->size);
    }
    for (uint32_t i = 0; i <= settings->size / 2; i++) {
        initial.window[i] = (float)pow(sin(PI * i / settings->size), 2.0);
    }
    rk_kernel_options options = RK_KERNEL_OPTIONS_INIT;
    options.actors = settings->actors;
    options.lanes = 128; /* on a GPU; a CPU has one */
    options.initial_state = &initial;
    options.initial_state_size = sizeof initial;

    rk_error error;
    rk_module module;
    rk_kernel kernel;
    check(rk_module_create(runtime, &audio_fft, &module, &error), &error, "rk_module_create");
    check(rk_kernel_launch(runtime, module, "fft", 3, &options, &kernel, &error), &error, "rk_kernel_launch");
    check(rk_kernel_activate(kernel, &error), &error, "rk_kernel_activate");
    return kernel;
}

/* Sends the second half of the shard's next window, if its ring has room for it. */
static int send_next(struct analysis *analysis, struct shard *shard, const struct recording *recording) {
    uint32_t hop = analysis->size / 2;
    rk_send_options options = RK_SEND_OPTIONS_INIT;
    options.correlation = shard->next;
    /* With nothing on its way no spectrum will come that could wake us: wait for room here. */
    options.timeout_ns = analysis->sent == analysis->received ? 10 * SECOND : 0;
    rk_status status = rk_send(shard->actor, RK_TYPE(slide), recording->samples + (shard->next + 1) * hop,
                               hop * (uint32_t)sizeof(float), &options);
    if (status == RK_AGAIN) {
        return 0;
    }
    check(status, NULL, "rk_send");
    shard->next++;
    analysis->sent++;
    return 1;
}

static void send_while_there_is_room(struct analysis *analysis, struct shard *shards, uint32_t count,
                                     const struct recording *recording) {
    int sent;
    do {
        sent = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (shards[i].next < shards[i].end) {
                sent |= send_next(analysis, &shards[i], recording);
            }
        }
    } while (sent);
}

static void receive_spectra(struct analysis *analysis) {
    enum { BATCH = 64, STRIDE = (sizeof(spectrum) + 15) / 16 * 16 };
    static _Alignas(16) unsigned char payloads[BATCH * STRIDE];
    rk_message messages[BATCH];
    uint32_t count;
    check(rk_poll(analysis->runtime, messages, BATCH, payloads, sizeof payloads, 10 * SECOND, &count), NULL,
          "rk_poll");
    for (uint32_t i = 0; i < count; i++) {
        if (messages[i].kind != RK_MESSAGE_REPLY || messages[i].type != RK_TYPE(spectrum)) {
            fail("audio_fft", "message of kind %" PRIu32 " and type %" PRIu32 " instead of a spectrum, reason %" PRId32,
                 messages[i].kind, messages[i].type, messages[i].reason);
        }
        const spectrum *reply = messages[i].payload;
        take_spectrum(analysis, messages[i].correlation, reply->magnitude);
        analysis->received++;
    }
}

static void show_progress(const struct analysis *analysis) {
    static size_t shown = (size_t)-1;
    size_t percent = analysis->received * 100 / analysis->windows;
    if (analysis->show_progress && percent != shown) {
        shown = percent;
        fprintf(stderr, "\r[%-50.*s] %3zu%%%s", (int)(percent / 2),
                "##################################################", percent, percent == 100 ? "\n" : "");
    }
}

static void analyse(struct analysis *analysis, rk_kernel kernel, uint32_t actors, const struct recording *recording) {
    const rk_send_options patient = {.struct_size = sizeof patient, .timeout_ns = 10 * SECOND};
    uint32_t hop = analysis->size / 2;
    struct shard *shards = allocate(actors, sizeof *shards);
    for (uint32_t i = 0; i < actors; i++) {
        struct shard *shard = &shards[i];
        check(rk_kernel_actor(kernel, i, &shard->actor), NULL, "rk_kernel_actor");
        shard->next = analysis->windows * i / actors;
        shard->end = analysis->windows * (i + 1) / actors;
        check(rk_send(shard->actor, RK_TYPE(prime), recording->samples + shard->next * hop,
                      hop * (uint32_t)sizeof(float), &patient),
              NULL, "rk_send");
    }
    show_progress(analysis);
    while (analysis->received < analysis->windows) {
        send_while_there_is_room(analysis, shards, actors, recording);
        receive_spectra(analysis);
        show_progress(analysis);
    }
    free(shards);
}

/* ---- What the user sees ---- */

/* Black, red, yellow, white. */
static void write_picture(const char *path, const float *picture, uint32_t height) {
    size_t pixels = (size_t)PICTURE_WIDTH * height;
    float loudest = 1e-30f;
    for (size_t i = 0; i < pixels; i++) {
        loudest = fmaxf(loudest, picture[i]);
    }
    png_byte *levels = allocate(pixels, 1);
    for (size_t i = 0; i < pixels; i++) {
        float decibels = 20.0f * log10f(picture[i] / loudest + 1e-30f);
        levels[i] = (png_byte)(255.0f * fmaxf(0.0f, 1.0f + decibels / PICTURE_DECIBELS));
    }
    png_byte colours[256][3];
    for (int i = 0; i < 256; i++) {
        for (int channel = 0; channel < 3; channel++) {
            int value = 3 * i - 255 * channel;
            colours[i][channel] = (png_byte)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = PICTURE_WIDTH,
                       .height = height,
                       .format = PNG_FORMAT_RGB_COLORMAP,
                       .colormap_entries = 256};
    if (!png_image_write_to_file(&image, path, 0, levels, PICTURE_WIDTH, colours)) {
        fail(path, "%s", image.message);
    }
    free(levels);
}

/* Keys of a piano from C-1, number 0, on; -1 when it is silent. */
static int note_of(struct pitch pitch) {
    return pitch.decibels < SILENCE_DECIBELS ? -1 : (int)lround(69.0 + 12.0 * log2(pitch.frequency / 440.0));
}

/* One row for each note, with the pitch where it is loudest. */
static void print_pitches(const struct analysis *analysis) {
    static const char *const names[] = {"C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"};
    printf("  time s        Hz  note    dB\n");
    for (size_t first = 0, next; first < analysis->windows; first = next) {
        int note = note_of(analysis->pitches[first]);
        struct pitch loudest = analysis->pitches[first];
        for (next = first + 1; next < analysis->windows && note_of(analysis->pitches[next]) == note; next++) {
            if (analysis->pitches[next].decibels > loudest.decibels) {
                loudest = analysis->pitches[next];
            }
        }
        double time = (double)(first + 1) * (analysis->size / 2) / analysis->rate; /* the middle of the window */
        if (note < 0) {
            printf("%8.2f         -     -     -\n", time);
        } else {
            printf("%8.2f  %8.1f  %2s%-2d  %4.0f\n", time, loudest.frequency, names[note % 12], note / 12 - 1,
                   loudest.decibels);
        }
    }
}

static struct settings parse_arguments(int argc, char **argv) {
    static const struct option options[] = {
        {"backend", required_argument, NULL, 'b'}, {"actors", required_argument, NULL, 'a'},
        {"size", required_argument, NULL, 's'},    {"output", required_argument, NULL, 'o'},
        {"spectra", required_argument, NULL, 'd'}, {0}};
    struct settings settings = {.input = EXAMPLE_RECORDING, .output = "spectrogram.png", .actors = 8, .size = 1024};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'b': settings.backend = parse_backend(optarg); break;
        case 'a': settings.actors = parse_number("--actors", optarg, 1, 4096); break;
        case 's': settings.size = parse_number("--size", optarg, 64, FFT_SIZE_MAX); break;
        case 'o': settings.output = optarg; break;
        case 'd': settings.spectra = optarg; break;
        default: exit(EXIT_FAILURE);
        }
    }
    if ((settings.size & (settings.size - 1)) != 0) {
        fail("--size", "%" PRIu32 " is not a power of two", settings.size);
    }
    if (optind < argc) {
        settings.input = argv[optind];
    }
    return settings;
}

int main(int argc, char **argv) {
    struct settings settings = parse_arguments(argc, argv);
    struct recording recording = read_recording(settings.input, settings.size);
    if (settings.actors > recording.windows) {
        settings.actors = (uint32_t)recording.windows;
    }

    uint32_t bins = settings.size / 2 + 1;
    struct analysis analysis = {.windows = recording.windows,
                                .size = settings.size,
                                .rate = recording.rate,
                                .pitches = allocate(recording.windows, sizeof *analysis.pitches),
                                .picture = allocate((size_t)PICTURE_WIDTH * bins, sizeof *analysis.picture),
                                .show_progress = isatty(STDERR_FILENO)};
    if (settings.spectra != NULL && (analysis.spectra = fopen(settings.spectra, "wb")) == NULL) {
        fail(settings.spectra, "%s", strerror(errno));
    }

    rk_error error;
    rk_runtime_options runtime_options = RK_RUNTIME_OPTIONS_INIT;
    runtime_options.backend = settings.backend;
    check(rk_runtime_create(RK_VERSION, &runtime_options, &analysis.runtime, &error), &error, "rk_runtime_create");
    rk_kernel kernel = launch(&settings, analysis.runtime);
    analyse(&analysis, kernel, settings.actors, &recording);
    rk_kernel_statistics stats = RK_KERNEL_STATISTICS_INIT;
    check(rk_kernel_stats(kernel, &stats, &error), &error, "rk_kernel_stats");
    check(rk_runtime_destroy(analysis.runtime), NULL, "rk_runtime_destroy");

    if (analysis.spectra != NULL && fclose(analysis.spectra) != 0) {
        fail(settings.spectra, "%s", strerror(errno));
    }
    write_picture(settings.output, analysis.picture, bins);
    printf("# %s: %.2f s, %d Hz, %s\n", settings.input, (double)recording.length / recording.rate, recording.rate,
           recording.channels == 2 ? "stereo" : "mono");
    printf("# %zu windows of %" PRIu32 " samples by %" PRIu32 " actors on %s; spectrogram in %s\n", recording.windows,
           settings.size, settings.actors, backend_names[stats.backend], settings.output);
    print_pitches(&analysis);

    free(analysis.picture);
    free(analysis.pitches);
    free(recording.samples);
    return EXIT_SUCCESS;
}

/* Writes each section of the module to a file named by its index in the folder given, and lists them. */
#include <ringkernel/module.h>

#include <stdio.h>
#include <string.h>

RK_DECLARE_MODULE(fixture);

static int write_section(const char *folder, uint32_t index, const rk_section *section) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%u", folder, (unsigned)index) >= (int)sizeof path) {
        return 1;
    }
    FILE *file = fopen(path, "wb");
    if (!file) {
        return 1;
    }
    size_t written = fwrite(section->data, 1, (size_t)section->size, file);
    return fclose(file) || written != section->size;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        return 2;
    }
    for (uint32_t i = 0; i < fixture.section_count; i++) {
        const rk_section *section = &fixture.sections[i];
        if (section->kind == RK_SECTION_CUDA_SOURCE && strlen((const char *)section->data) != section->size) {
            fprintf(stderr, "%s: not followed by a NUL\n", section->name);
            return 1;
        }
        if (write_section(argv[1], i, section)) {
            fprintf(stderr, "%s: cannot be written\n", section->name);
            return 1;
        }
        printf("%u %u %s\n", (unsigned)i, (unsigned)section->kind, section->name);
    }
    return 0;
}

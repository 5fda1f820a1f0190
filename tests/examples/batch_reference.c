/* batch_reference RECORDS.csv STATIONS: what batch_processor must print, by other means: a regular expression, floating
 * point and one pass over the file. */
#define _POSIX_C_SOURCE 200809L /* getline */
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct station {
    int days;
    long temperature; /* sum of low + high, in tenths */
    long rain;        /* in tenths */
    double coldest, warmest;
    int coldest_date, warmest_date;
};

static double field(const char *text, const regmatch_t *match) {
    return strtod(text + match->rm_so, NULL) + 0.0; /* not -0.0, which would show */
}

static double truncate_to_hundredths(long temperature, int days) {
    return (double)(temperature * 5 / days) / 100.0;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return EXIT_FAILURE;
    }
    FILE *file = fopen(argv[1], "r");
    int stations = atoi(argv[2]);
    struct station *table = calloc((size_t)stations, sizeof *table);
    regex_t pattern;
    if (file == NULL || table == NULL ||
        regcomp(&pattern,
                "^([0-9]{1,2}),([0-9]{4})-([0-9]{2})-([0-9]{2}),(-?[0-9]{1,4}\\.[0-9]),(-?[0-9]{1,4}\\.[0-9]),"
                "(-?[0-9]{1,4}\\.[0-9])$",
                REG_EXTENDED) != 0) {
        return EXIT_FAILURE;
    }

    char *text = NULL;
    size_t capacity = 0;
    long total = 0;
    int total_days = 0;
    for (int number = 1; getline(&text, &capacity, file) >= 0; number++) {
        if (number == 1) {
            continue;
        }
        text[strcspn(text, "\r\n")] = '\0';
        regmatch_t match[8];
        if (regexec(&pattern, text, 8, match, 0) != 0) {
            printf("line %d: malformed\n", number);
            continue;
        }
        double station = field(text, &match[1]);
        double month = field(text, &match[3]);
        double day = field(text, &match[4]);
        double low = field(text, &match[5]);
        double high = field(text, &match[6]);
        double rain = field(text, &match[7]);
        if (station < 1 || station > stations || month < 1 || month > 12 || day < 1 || day > 31 || low < -90 ||
            high > 60 || low > high || rain < 0) {
            printf("line %d: impossible\n", number);
            continue;
        }
        int date = (int)(field(text, &match[2]) * 10000 + month * 100 + day);
        struct station *row = &table[(int)station - 1];
        if (row->days == 0 || low < row->coldest || (low == row->coldest && date < row->coldest_date)) {
            row->coldest = low;
            row->coldest_date = date;
        }
        if (row->days == 0 || high > row->warmest || (high == row->warmest && date < row->warmest_date)) {
            row->warmest = high;
            row->warmest_date = date;
        }
        long tenths = lround(10 * low) + lround(10 * high);
        row->temperature += tenths;
        row->rain += lround(10 * rain);
        row->days++;
        total += tenths;
        total_days++;
    }

    printf("station days   mean anomaly coldest     on    warmest     on       rain\n");
    for (int i = 0; i < stations; i++) {
        const struct station *row = &table[i];
        if (row->days > 0) {
            double mean = truncate_to_hundredths(row->temperature, row->days);
            printf("%7d %4d %6.2f %+7.2f %7.1f %d %7.1f %d %7.1f\n", i + 1, row->days, mean,
                   mean - truncate_to_hundredths(total, total_days), row->coldest, row->coldest_date, row->warmest,
                   row->warmest_date, (double)row->rain / 10.0);
        }
    }
    regfree(&pattern);
    free(text);
    free(table);
    return fclose(file) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

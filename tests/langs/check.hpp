// CHECK: goes on after a failure, so that one run shows them all; check_result() is what main() returns.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <cstdio>

inline int &check_failures() {
    static int failures = 0;
    return failures;
}

inline bool check(bool holds, const char *text, const char *file, int line) {
    if (!holds) {
        check_failures()++;
        std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
    }
    return holds;
}

inline int check_result() {
    std::printf("%d failure(s)\n", check_failures());
    return check_failures() == 0 ? 0 : 1;
}

#define CHECK(condition) check(static_cast<bool>(condition), #condition, __FILE__, __LINE__)

#endif

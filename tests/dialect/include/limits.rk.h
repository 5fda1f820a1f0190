#ifndef LIMITS_RK_H
#define LIMITS_RK_H
#define RELAY_HOPS 3u
#endif

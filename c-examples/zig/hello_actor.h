/* What Zig translates: the library, the messages and the module. */
#include <ringkernel.h>
#include <ringkernel/module.h>

#include "turnstile.rk.h"

RK_DECLARE_MODULE(turnstiles);

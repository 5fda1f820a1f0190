/* What rkc preprocesses a file of actors with, to learn the names in it without parsing C. */
#define RK_MESSAGE(N_, id, fields) @rk message N_
#define RK_SIGNAL(N_, id) @rk message N_
#define RK_STATE(A_, fields) @rk state A_
#define RK_SCRATCH(A_, fields) @rk scratch A_
#define RK_ACTOR(A_, handlers) @rk actor A_

/* What rkc puts before a file of actors to learn the names in it without parsing C: in place of ringkernel/actor.h,
 * macros that leave marks of kind, two names, line and file. rkc defines RK_IS_CPU, RK_IS_CUDA and RK_IS_VULKAN. */
#define RINGKERNEL_ACTOR_H

#define RK_MESSAGE(N_, id, fields) @rk message N_ - __LINE__ __FILE__
#define RK_SIGNAL(N_, id) @rk message N_ - __LINE__ __FILE__
#define RK_STATE(A_, fields) @rk state A_ - __LINE__ __FILE__
#define RK_SCRATCH(A_, fields) @rk scratch A_ - __LINE__ __FILE__
#define RK_RECORD(N_, fields)
#define RK_BUFFER(type)
#define RK_ON(A_, M_) @rk on A_ M_ __LINE__ __FILE__
#define RK_HANDLES(A_, M_) @rk handles A_ M_ __LINE__ __FILE__
#define RK_ACTOR(A_, handlers) @rk actor A_ - __LINE__ __FILE__ handlers

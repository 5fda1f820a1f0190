/* What ThreadSanitizer has to be told about std::sync::Mutex. The standard library comes built without it, so that it
 * sees the unlock and the uncontended lock, which are inlined into our code, but not a lock taken after waiting. The
 * linker puts this in place of the function that waits (--wrap); MUTEX_WAIT is its mangled name. */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

void JOIN(__real_, MUTEX_WAIT)(void *mutex);
void JOIN(__wrap_, MUTEX_WAIT)(void *mutex);
void __tsan_acquire(void *address);

void JOIN(__wrap_, MUTEX_WAIT)(void *mutex) {
    JOIN(__real_, MUTEX_WAIT)(mutex);
    __tsan_acquire(mutex);
}

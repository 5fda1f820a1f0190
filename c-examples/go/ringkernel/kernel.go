package ringkernel

// #include <stdlib.h>
// #include <ringkernel.h>
import "C"

import (
	"time"
	"unsafe"
)

// Options of a kernel; zero is the library's default.
type Options struct {
	Actors, Workers, Lanes uint32
}

// Kernel is a number of actors of one type.
type Kernel struct {
	handle C.rk_kernel
}

// Launch makes the actors. They handle messages once the kernel is activated.
func (m *Module) Launch(actor string, options Options) (*Kernel, error) {
	name := C.CString(actor)
	defer C.free(unsafe.Pointer(name))
	var o C.rk_kernel_options
	C.rk_kernel_options_init(&o, C.sizeof_rk_kernel_options)
	o.actors = C.uint32_t(options.Actors)
	o.workers = C.uint32_t(options.Workers)
	o.lanes = C.uint32_t(options.Lanes)
	k := &Kernel{}
	var detail C.rk_error
	status := C.rk_kernel_launch(m.runtime.handle, m.handle, name, C.size_t(len(actor)), &o, &k.handle, &detail)
	if err := outcome(status, &detail); err != nil {
		return nil, err
	}
	return k, nil
}

// Activate lets the actors handle messages.
func (k *Kernel) Activate() error {
	var detail C.rk_error
	return outcome(C.rk_kernel_activate(k.handle, &detail), &detail)
}

// Deactivate suspends the actors: messages wait.
func (k *Kernel) Deactivate() error {
	var detail C.rk_error
	return outcome(C.rk_kernel_deactivate(k.handle, &detail), &detail)
}

// Drain handles what waits, then ends the kernel. Timeout says that it goes on draining.
func (k *Kernel) Drain(timeout time.Duration) error {
	var detail C.rk_error
	return outcome(C.rk_kernel_drain(k.handle, nanoseconds(timeout), &detail), &detail)
}

// Terminate ends the kernel now; what was waiting comes back as dead letters.
func (k *Kernel) Terminate() (left uint64, err error) {
	var detail C.rk_error
	var count C.uint64_t
	err = outcome(C.rk_kernel_terminate(k.handle, &count, &detail), &detail)
	return uint64(count), err
}

// Destroy frees the actors' memory, terminating them first.
func (k *Kernel) Destroy() error { return outcome(C.rk_kernel_destroy(k.handle), nil) }

// Statistics are exact while the kernel is suspended or over: Accepted = Handled + DeadLetters + Pending.
type Statistics struct {
	Accepted, Handled, DeadLetters, Pending uint64
}

// Statistics reads the kernel's counters.
func (k *Kernel) Statistics() (Statistics, error) {
	var detail C.rk_error
	var s C.rk_kernel_statistics
	s.struct_size = C.sizeof_rk_kernel_statistics
	if err := outcome(C.rk_kernel_stats(k.handle, &s, &detail), &detail); err != nil {
		return Statistics{}, err
	}
	return Statistics{uint64(s.accepted), uint64(s.handled), uint64(s.dead_letters), uint64(s.pending)}, nil
}

// Actor gives the address of one of the kernel's actors.
func (k *Kernel) Actor(index int) (Actor, error) {
	var actor C.rk_actor
	err := outcome(C.rk_kernel_actor(k.handle, C.uint32_t(index), &actor), nil)
	return Actor(actor.id), err
}

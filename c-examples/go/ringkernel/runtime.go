// Package ringkernel lets Go programs use ringkernel's actors. All of it may be used by many goroutines at once, except
// that Close must be the last use of a Runtime.
package ringkernel

// #include <stdlib.h>
// #include <ringkernel.h>
import "C"

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Runtime holds worker threads, modules and kernels.
type Runtime struct {
	handle   C.rk_runtime
	wakeup   *os.File // a duplicate of the queue's eventfd, known to Go's network poller
	messages chan Message
	closing  chan struct{}
}

// New creates a runtime with default options.
func New() (*Runtime, error) {
	r := &Runtime{messages: make(chan Message), closing: make(chan struct{})}
	var detail C.rk_error
	if err := outcome(C.rk_runtime_create(C.RK_VERSION, nil, &r.handle, &detail), &detail); err != nil {
		return nil, err
	}
	readable, err := r.openWakeup()
	if err != nil {
		C.rk_runtime_destroy(r.handle)
		return nil, err
	}
	go r.receive(readable)
	return r, nil
}

// Close destroys the runtime with all its modules and kernels, and closes Messages.
func (r *Runtime) Close() error {
	close(r.closing)
	r.wakeup.Close()
	for range r.messages { // until receive has gone
	}
	return outcome(C.rk_runtime_destroy(r.handle), nil)
}

// Messages delivers what actors reply and emit, dead letters and events.
func (r *Runtime) Messages() <-chan Message { return r.messages }

// The queue owns its eventfd and os.File would close it: so a duplicate. Waiting takes no thread this way.
func (r *Runtime) openWakeup() (syscall.RawConn, error) {
	var detail C.rk_error
	var fd C.int32_t
	if err := outcome(C.rk_runtime_fd(r.handle, &fd, &detail), &detail); err != nil {
		return nil, err
	}
	duplicate, err := syscall.Dup(int(fd))
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(duplicate)
	if err := syscall.SetNonblock(duplicate, true); err != nil { // what makes os.NewFile use the poller
		syscall.Close(duplicate)
		return nil, os.NewSyscallError("fcntl", err)
	}
	r.wakeup = os.NewFile(uintptr(duplicate), "ringkernel")
	return r.wakeup.SyscallConn()
}

const (
	pollMessages = 64
	pollBytes    = 64 * 1024 // the largest payload there is
)

// receive brings messages from the queue to the channel. The library writes pointers into what it fills, which C code
// may not do to Go memory: hence C's.
func (r *Runtime) receive(readable syscall.RawConn) {
	defer close(r.messages)
	room := C.calloc(pollMessages, C.sizeof_rk_message)
	payloads := C.malloc(pollBytes)
	defer C.free(room)
	defer C.free(payloads)
	messages := (*[pollMessages]C.rk_message)(room)

	for {
		var status C.rk_status
		var count C.uint32_t
		err := readable.Read(func(uintptr) bool {
			status = C.rk_poll(r.handle, &messages[0], pollMessages, payloads, pollBytes, 0, &count)
			// Nothing there: wait for the descriptor, unless a message came just before it was armed.
			return status != C.RK_AGAIN || C.rk_runtime_arm(r.handle) != C.RK_OK
		})
		if err != nil || status < 0 { // closed
			return
		}
		for i := range messages[:count] {
			select {
			case r.messages <- newMessage(&messages[i]):
			case <-r.closing:
				return
			}
		}
	}
}

// nanoseconds of a timeout; a negative one, which the library would take for "for ever", does not wait.
func nanoseconds(timeout time.Duration) C.int64_t {
	if timeout < 0 {
		return 0
	}
	return C.int64_t(timeout)
}

// Module holds compiled handlers.
type Module struct {
	handle  C.rk_module
	runtime *Runtime
}

// NewModule creates a module of an image that is linked into the program: the address of what RK_DECLARE_MODULE
// declares.
func (r *Runtime) NewModule(image unsafe.Pointer) (*Module, error) {
	m := &Module{runtime: r}
	var detail C.rk_error
	status := C.rk_module_create(r.handle, (*C.rk_module_image)(image), &m.handle, &detail)
	if err := outcome(status, &detail); err != nil {
		return nil, err
	}
	return m, nil
}

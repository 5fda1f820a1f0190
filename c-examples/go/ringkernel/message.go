package ringkernel

/*
#include <ringkernel.h>

// rk_call() without rk_message, into which the library would write the address of Go memory.
static rk_status call(rk_actor to, uint32_t type, const void *payload, uint32_t size, void *reply, uint32_t capacity,
                      int64_t timeout_ns, uint32_t *reply_type, uint32_t *reply_size, rk_error *error) {
    rk_message message = {{0}};
    const rk_status status = rk_call(to, type, payload, size, NULL, reply, capacity, &message, timeout_ns, error);
    *reply_type = message.type;
    *reply_size = message.size;
    return status;
}
*/
import "C"

import (
	"fmt"
	"time"
	"unsafe"
)

// Actor is an actor's address: a value that may be kept, compared and sent in messages.
type Actor uint64

// Index of the actor in its kernel.
func (a Actor) Index() int { return int(C.rk_actor_index(a.handle())) }

func (a Actor) handle() C.rk_actor { return C.rk_actor{id: C.uint64_t(a)} }

// Kind of a message.
type Kind uint32

const (
	Reply      Kind = C.RK_MESSAGE_REPLY
	Emit       Kind = C.RK_MESSAGE_EMIT
	DeadLetter Kind = C.RK_MESSAGE_DEAD_LETTER
	Event      Kind = C.RK_MESSAGE_EVENT
	// Published to topic To, which a queue is subscribed to.
	Publication Kind = C.RK_MESSAGE_PUBLICATION
)

// Message is what Messages delivers.
type Message struct {
	Kind        Kind
	Type        uint32
	Reason      int32 // of a dead letter: RK_DEAD_...
	From, To    Actor
	Correlation uint64
	Payload     []byte
}

func newMessage(m *C.rk_message) Message {
	return Message{
		Kind:        Kind(m.kind),
		Type:        uint32(m._type),
		Reason:      int32(m.reason),
		From:        Actor(m.from.id),
		To:          Actor(m.to.id),
		Correlation: uint64(m.correlation),
		Payload:     C.GoBytes(m.payload, C.int(m.size)),
	}
}

// Type is the number of a message type whose payload is an M: Type[C.add](C.add_rk_type). A signal's is a struct{}.
type Type[M any] uint32

// Send sends a message. The reply, if the actor sends one, comes to Messages. Again says that the ring is full.
func (t Type[M]) Send(to Actor, message M) error {
	return outcome(C.rk_send(to.handle(), C.uint32_t(t), payload(&message), size[M](), nil), nil)
}

// In returns the message's payload, if it is an M.
func (t Type[M]) In(m Message) (message M, ok bool) {
	if m.Kind == Event || m.Type != uint32(t) || len(m.Payload) != int(size[M]()) {
		return message, false
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&message)), len(m.Payload)), m.Payload)
	return message, true
}

// Call sends a message and waits for its reply, which Messages does not see. It blocks a thread, as a system call does.
func Call[Q, A any](to Actor, question Type[Q], message Q, answer Type[A], timeout time.Duration) (A, error) {
	var reply A
	var gotType, gotSize C.uint32_t
	var detail C.rk_error
	status := C.call(to.handle(), C.uint32_t(question), payload(&message), size[Q](), payload(&reply), size[A](),
		nanoseconds(timeout), &gotType, &gotSize, &detail)
	if err := outcome(status, &detail); err != nil {
		return reply, err
	}
	if gotType != C.uint32_t(answer) || gotSize != size[A]() {
		return reply, fmt.Errorf("the reply has message type %d and %d bytes; type %d and %d bytes were expected",
			gotType, gotSize, answer, size[A]())
	}
	return reply, nil
}

func size[M any]() C.uint32_t {
	var m M
	return C.uint32_t(unsafe.Sizeof(m))
}

func payload[M any](m *M) unsafe.Pointer { return unsafe.Pointer(m) }

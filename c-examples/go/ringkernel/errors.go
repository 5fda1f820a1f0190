package ringkernel

// #include <ringkernel.h>
import "C"

// Status is an rk_status. As an error it is an outcome that may be expected; errors.Is finds it in an *Error, too.
type Status int32

const (
	Again        Status = C.RK_AGAIN   // the ring is full right now
	Timeout      Status = C.RK_TIMEOUT // the time given ran out
	StaleHandle  Status = C.RK_ERROR_STALE_HANDLE
	BadState     Status = C.RK_ERROR_BAD_STATE
	NotFound     Status = C.RK_ERROR_NOT_FOUND
	Undelivered  Status = C.RK_ERROR_UNDELIVERED
	SizeMismatch Status = C.RK_ERROR_SIZE
)

// Error gives the status its name in the C header.
func (s Status) Error() string { return C.GoString(C.rk_status_name(C.rk_status(s))) }

// Error is what the library says of a failed call.
type Error struct {
	Status       Status
	NativeDomain uint32 // RK_NATIVE_...: whose code NativeCode is
	NativeCode   int64
	Text         string
}

func (e *Error) Error() string { return e.Status.Error() + ": " + e.Text }

func (e *Error) Unwrap() error { return e.Status }

// outcome makes an error of a status; detail is filled where the status is negative.
func outcome(status C.rk_status, detail *C.rk_error) error {
	switch {
	case status == C.RK_OK:
		return nil
	case status < 0 && detail != nil:
		return &Error{Status(status), uint32(detail.native_domain), int64(detail.native_code),
			C.GoString(&detail.message[0])}
	default:
		return Status(status)
	}
}

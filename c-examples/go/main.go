// hello_actor in Go: thermometers, from launch to the last dead letter.
package main

/*
#include <ringkernel/module.h>
#include "thermometer.rk.h"

RK_DECLARE_MODULE(thermometers);
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"example.org/hello_actor/ringkernel"
)

const sensors = 4

var (
	reading = ringkernel.Type[C.reading](C.reading_rk_type)
	summary = ringkernel.Type[C.summary](C.summary_rk_type)
	query   = ringkernel.Type[struct{}](C.query_rk_type)
)

func main() {
	if err := helloActor(); err != nil {
		fmt.Fprintln(os.Stderr, "hello_actor:", err)
		os.Exit(1)
	}
}

func helloActor() error {
	runtime, err := ringkernel.New()
	if err != nil {
		return err
	}
	defer runtime.Close()
	module, err := runtime.NewModule(unsafe.Pointer(&C.thermometers))
	if err != nil {
		return err
	}
	kernel, err := module.Launch("thermometer", ringkernel.Options{Actors: sensors})
	if err != nil {
		return err
	}
	if err := kernel.Activate(); err != nil {
		return err
	}
	if err := readConcurrently(kernel); err != nil {
		return err
	}

	// A suspended kernel accepts messages, which wait.
	if err := kernel.Deactivate(); err != nil {
		return err
	}
	last, err := kernel.Actor(sensors - 1)
	if err != nil {
		return err
	}
	for _, celsius := range []float32{-7.5, 38, 14} {
		if err := reading.Send(last, C.reading{celsius: C.rk_f32(celsius)}); err != nil {
			return err
		}
	}
	if err := report(kernel, "suspended:"); err != nil {
		return err
	}

	// Replies to Send come to Messages, those of one actor in order.
	if err := kernel.Activate(); err != nil {
		return err
	}
	for i := 0; i < 3; i++ {
		message, err := next(runtime)
		if err != nil {
			return err
		}
		s, ok := summary.In(message)
		if !ok {
			return fmt.Errorf("not a summary: %+v", message)
		}
		fmt.Printf("resumed:   thermometer %d: %.1f to %.1f of %d readings\n", message.From.Index(), float32(s.lowest),
			float32(s.highest), s.readings)
	}

	// Nothing is lost silently: what still waits when a kernel ends comes back.
	if err := kernel.Deactivate(); err != nil {
		return err
	}
	if err := reading.Send(last, C.reading{celsius: 99}); err != nil {
		return err
	}
	left, err := kernel.Terminate()
	if err != nil {
		return err
	}
	for {
		message, err := next(runtime)
		if err != nil {
			return err
		}
		if lost, ok := reading.In(message); ok && message.Kind == ringkernel.DeadLetter {
			fmt.Printf("ended:     %d was left, a reading of %.1f for thermometer %d\n", left, float32(lost.celsius),
				message.To.Index())
			break
		}
	}
	if err := report(kernel, "ended:"); err != nil {
		return err
	}
	if err := kernel.Activate(); errors.Is(err, ringkernel.BadState) {
		fmt.Println("over:      RK_ERROR_BAD_STATE")
	}
	return nil
}

// Each goroutine has a thermometer.
func readConcurrently(kernel *ringkernel.Kernel) error {
	var group sync.WaitGroup
	failures := make(chan error, sensors)
	for i := 0; i < sensors; i++ {
		group.Add(1)
		go func(index int) {
			defer group.Done()
			sensor, err := kernel.Actor(index)
			for n := 0; n < 100 && err == nil; n++ {
				message := C.reading{celsius: C.rk_f32(20 + index + n%3)}
				_, err = ringkernel.Call(sensor, reading, message, summary, 10*time.Second)
			}
			if err != nil {
				failures <- err
			}
		}(i)
	}
	group.Wait()
	close(failures)
	for err := range failures {
		return err
	}
	for i := 0; i < sensors; i++ {
		sensor, err := kernel.Actor(i)
		if err != nil {
			return err
		}
		s, err := ringkernel.Call(sensor, query, struct{}{}, summary, 10*time.Second)
		if err != nil {
			return err
		}
		fmt.Printf("active:    thermometer %d: %.1f to %.1f, mean %.2f of %d readings\n", i, float32(s.lowest),
			float32(s.highest), float32(s.mean), s.readings)
	}
	return nil
}

func next(runtime *ringkernel.Runtime) (ringkernel.Message, error) {
	select {
	case message, open := <-runtime.Messages():
		if !open {
			return message, errors.New("the runtime was closed")
		}
		return message, nil
	case <-time.After(10 * time.Second):
		return ringkernel.Message{}, ringkernel.Timeout
	}
}

func report(kernel *ringkernel.Kernel, when string) error {
	s, err := kernel.Statistics()
	if err != nil {
		return err
	}
	fmt.Printf("%-10s accepted %d = handled %d + dead letters %d + pending %d\n", when, s.Accepted, s.Handled,
		s.DeadLetters, s.Pending)
	return nil
}

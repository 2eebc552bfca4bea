package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// busyCommand keeps one core busy until its standard input ends: bench starts it, and whatever ends bench, a signal
// or a crash, also closes the pipe that it reads.
type busyCommand struct{}

func (c *busyCommand) Run(ctx context.Context, s *streams) error {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, s.in)
		ended <- err
	}()
	for x := uint64(1); ; x = xorshift(x, 1<<20) { // about a millisecond
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return nil
		default:
		}
	}
}

// xorshift steps a generator n times (xorshift64, Marsaglia 2003): work that a compiler cannot leave out.
//
//go:noinline
func xorshift(x uint64, n int) uint64 {
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

// startBusy starts n processes of this program that keep a core busy each, and returns what ends them and waits.
func startBusy(ctx context.Context, n int) (stop func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("busy process: %w", err)
	}
	in, hold, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("busy process: %w", err)
	}
	defer in.Close()
	var children []*os.Process
	stop = func() error {
		errs := []error{hold.Close()}
		for _, child := range children {
			if _, err := child.Wait(); err != nil {
				errs = append(errs, fmt.Errorf("busy process: %w", err))
			}
		}
		return errors.Join(errs...)
	}
	for len(children) < n && ctx.Err() == nil {
		child, err := os.StartProcess(program, []string{program, "busy"}, &os.ProcAttr{Files: []*os.File{in, nil, nil}})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("busy process: %w", err), stop())
		}
		children = append(children, child)
	}
	return stop, nil
}

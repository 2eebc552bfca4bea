package memory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// await sets the trigger and waits for it on a thread of its own, which a pipe wakes up at the end.
func (p Pressure) await(ctx context.Context, pressed func()) error {
	f, err := os.OpenFile(p.File, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoTrigger, err)
	}
	defer f.Close() // ends the trigger
	if _, err := f.WriteString(p.Trigger + "\x00"); err != nil {
		return fmt.Errorf("%w: %w", errNoTrigger, err)
	}
	var wake [2]int
	if err := unix.Pipe2(wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("%w: %w", errNoTrigger, err)
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(wake[1], []byte{0}) // the pipe is empty: it cannot fail
	})
	defer func() {
		if !stop() {
			<-woken
		}
		_, _ = unix.Close(wake[0]), unix.Close(wake[1])
	}()
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}, {Fd: int32(wake[0]), Events: unix.POLLIN}}
	for ctx.Err() == nil {
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("%w: %w", errNoTrigger, err)
		}
		if fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0 {
			return fmt.Errorf("%s: %w", p.File, errNoTrigger) // its control group is gone
		}
		if fds[0].Revents&unix.POLLPRI != 0 {
			pressed()
			select { // the kernel tells once in a window; others may tell more often
			case <-ctx.Done():
			case <-time.After(pollEvery):
			}
		}
	}
	return nil
}

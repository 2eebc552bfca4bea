package mqtttest

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends a child process when the test process dies without a
// chance to clean up, as at a time-out.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

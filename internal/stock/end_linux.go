package stock

import "syscall"

// endWithUs makes the kernel kill a server when the process that started it ends, even by a crash.
func endWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

package stock

import "syscall"

// endWithUs makes a server end when who started it does, however that ends.
func endWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

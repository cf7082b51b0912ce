//go:build !linux

package stock

import "syscall"

// endWithUs does nothing here: only Linux can do it.
func endWithUs() *syscall.SysProcAttr { return nil }

//go:build !linux

package stock

import "syscall"

// endWithUs is known to Linux alone.
func endWithUs() *syscall.SysProcAttr { return nil }

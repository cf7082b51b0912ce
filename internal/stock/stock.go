// Package stock builds and runs stock nats-server processes, for tests and measurements. They
// contain no code of posnode.
package stock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// Build compiles the nats-server of go.mod into a new temporary directory. The caller removes the
// directory.
func Build(ctx context.Context) (binary string, err error) {
	dir, err := os.MkdirTemp("", "posnode-stock-")
	if err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "nats-server")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("build nats-server: %w: %s", err, out), os.RemoveAll(dir))
	}
	return binary, nil
}

// BuildVersion compiles a published version of nats-server, such as "v2.15.2", into a new temporary
// directory. The caller removes the directory. BuildVersion needs the Go module proxy, or the
// version in the module cache.
func BuildVersion(ctx context.Context, version string) (binary string, err error) {
	dir, err := os.MkdirTemp("", "posnode-stock-")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "install", "github.com/nats-io/nats-server/v2@"+version)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOBIN="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build nats-server %s: %w: %s", version, err, out), os.RemoveAll(dir))
	}
	return filepath.Join(dir, "nats-server"), nil
}

// Server is one nats-server process.
type Server struct {
	cmd  *exec.Cmd
	done chan error
	log  *logBuffer
}

// Start starts a server in the folder dir, with the configuration nats-server.conf there. It does
// not wait until the server is ready.
func Start(binary, dir string) (*Server, error) {
	s := &Server{cmd: exec.Command(binary, "-c", "nats-server.conf"), done: make(chan error, 1), log: &logBuffer{}}
	s.cmd.Dir = dir
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = endWithUs()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start nats-server: %w", err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	return s, nil
}

// Kill ends the process with SIGKILL and waits for its end.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the process with SIGTERM, in good order, and waits for its end.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) {
	_ = s.cmd.Process.Signal(signal) // ignore the error: the process may have ended by itself
	s.done <- <-s.done
}

// PID returns the id of the process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Log returns the last part of the server's output.
func (s *Server) Log() string { return s.log.String() }

// logBuffer keeps the last part of the bytes written to it. It starts again after logKept bytes.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const logKept = 256 << 10

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() > logKept {
		l.buf.Reset()
	}
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Ports returns n different ports of the loopback interface that were free a moment ago.
func Ports(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // only at the end, so that all ports are different
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Package stock builds and runs stock nats-server processes for tests and for
// measuring: nothing of posnode is inside them.
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

// Build compiles nats-server as the module cache has it into a new temporary
// directory, which the caller removes.
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
// directory, which the caller removes. It needs the Go module proxy, or a cache that has the version.
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

// Server is one process.
type Server struct {
	cmd  *exec.Cmd
	done chan error
	log  *logBuffer
}

// Start runs the configuration nats-server.conf of a folder, in that folder. It does
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

// Kill ends the process without warning.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the process in good order.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) {
	_ = s.cmd.Process.Signal(signal) // it may have ended by itself
	s.done <- <-s.done
}

// PID is the process's.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Log is the end of what the server has written.
func (s *Server) Log() string { return s.log.String() }

// logBuffer keeps the last of what is written to it.
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

// Ports are n ports of the loopback interface that nobody listened on a moment ago.
func Ports(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that all are different
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

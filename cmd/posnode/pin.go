package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/posnode/posnode/register"
)

// pinCmd hashes a PIN. It reads it rather than taking it as an argument, which others on the machine could see.
type pinCmd struct{}

// Run reads one line and prints its hash.
func (*pinCmd) Run(std stdio) error {
	line, err := bufio.NewReader(std.in).ReadString('\n')
	pin := strings.TrimRight(line, "\r\n")
	if pin == "" {
		return errors.Join(errors.New("no PIN on standard input"), err)
	}
	_, err = fmt.Fprintln(std.out, register.HashPIN(pin))
	return err
}

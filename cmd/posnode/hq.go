package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/web"
)

// hqCmd is head office.
type hqCmd struct {
	Run    hqRunCmd    `cmd:"" default:"withargs" help:"Run head office."`
	Enroll hqEnrollCmd `cmd:"" help:"Write the credentials by which a register links to head office."`

	EnrollReader hqEnrollReaderCmd `cmd:"" help:"Write the credentials by which a program reads the journals at head office, see docs/consuming.md."`
}

type hqRunCmd struct {
	Data       string `required:"" type:"path" placeholder:"DIR" help:"Data directory, this node's alone."`
	Listen     string `placeholder:"ADDR" help:"Where readers with credentials from enroll-reader may connect; none if absent."`
	HTTP       string `name:"http" default:"127.0.0.1:8086" placeholder:"ADDR" help:"Where the API listens; a loopback address."`
	ListenLeaf string `default:"127.0.0.1:7422" placeholder:"ADDR" help:"Where the registers' links arrive."`
}

// Run serves until the context ends.
func (c *hqRunCmd) Run(ctx context.Context, std stdio) (err error) {
	log := newLogger(std.err)
	listener, err := listenLoopback(c.HTTP)
	if err != nil {
		return err
	}
	h, err := hq.Open(ctx, hq.Config{Dir: c.Data, Listen: c.Listen, ListenLeaf: c.ListenLeaf, Clock: time.Now, Logger: log})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	at := hqAddress{URL: "http://" + listener.Addr().String(), Token: rand.Text()}
	if err := at.write(c.Data); err != nil {
		return errors.Join(err, listener.Close())
	}
	// If we die before this is removed, it names an address where nobody answers, and says so.
	defer func() { err = errors.Join(err, os.Remove(hqAddressPath(c.Data))) }()
	fmt.Fprintf(std.out, "head office is up on %s; registers link to %s\n", at.URL, h.LeafURL())
	if url := h.ClientURL(); url != "" {
		fmt.Fprintf(std.out, "readers connect to %s\n", url)
	}
	return serve(ctx, listener, web.HQ(h, at.Token, log))
}

type hqEnrollCmd struct {
	Data  string       `required:"" type:"path" placeholder:"DIR" help:"Data directory of head office, running or not."`
	Name  registerName `arg:"" placeholder:"STORE-REGISTER" help:"Which register, such as s001-r01."`
	Creds string       `arg:"" type:"path" placeholder:"FILE" help:"Where the credentials go."`
}

// Run writes the file, readable by its owner alone.
func (c *hqEnrollCmd) Run(std stdio) error {
	creds, err := hq.Enroll(c.Data, c.Name.Register)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Creds, creds, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s may link with %s\n", c.Name, c.Creds)
	return nil
}

type hqEnrollReaderCmd struct {
	Data  string `required:"" type:"path" placeholder:"DIR" help:"Data directory of head office, running or not."`
	Name  string `arg:"" placeholder:"NAME" help:"What to call the reader: 1 to 32 of a-z, 0-9 and -."`
	Creds string `arg:"" type:"path" placeholder:"FILE" help:"Where the credentials go."`
}

// Run writes the file, readable by its owner alone.
func (c *hqEnrollReaderCmd) Run(std stdio) error {
	creds, err := hq.EnrollReader(c.Data, c.Name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Creds, creds, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s may read with %s\n", c.Name, c.Creds)
	return nil
}

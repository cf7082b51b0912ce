package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/web"
)

// hqCmd groups the commands of head office.
type hqCmd struct {
	Run    hqRunCmd    `cmd:"" default:"withargs" help:"Run head office."`
	Init   hqInitCmd   `cmd:"" help:"Write keys, certificates and configurations for a cluster of stock nats-server to be head office's."`
	Enroll hqEnrollCmd `cmd:"" help:"Write the credentials by which a register links to head office."`
	Import hqImportCmd `cmd:"" help:"Import reference data into a running head office, from where it reaches the registers."`

	ClosePeriod   hqClosePeriodCmd   `cmd:"" help:"Record that business days are complete at all registers, or say who is missing what."`
	Certificate   hqCertificateCmd   `cmd:"" help:"Print the signed statement that all of a register's business day is here."`
	Findings      hqFindingsCmd      `cmd:"" help:"List what verification found wrong and nobody has accepted."`
	AcceptFinding hqAcceptFindingCmd `cmd:"" help:"Record that someone has looked into a finding, so that it stands in nobody's way."`
	PublicKey     hqPublicKeyCmd     `cmd:"" help:"Print the public key that verifies marks and certificates."`

	Code   hqCodeCmd   `cmd:"" help:"Make a one-time code by which a register is activated (operation 707)."`
	Revoke hqRevokeCmd `cmd:"" help:"Shut a register out at once, whether it was activated or enrolled."`

	ConfirmKey hqConfirmKeyCmd `cmd:"" help:"Confirm a register's key that head office does not know any more: it was put back from a backup."`

	Status     hqStatusCmd     `cmd:"" help:"Show how every register stands: mode, last contact, what has arrived and what is missing."`
	Exceptions hqExceptionsCmd `cmd:"" help:"List what registers recorded that does not fit together, such as an overdrawn gift card."`

	EnrollReader hqEnrollReaderCmd `cmd:"" help:"Write the credentials by which a program reads the journals at head office, see docs/consuming.md."`
}

type hqRunCmd struct {
	Data       string `required:"" type:"path" placeholder:"DIR" help:"Data directory, this node's alone."`
	Listen     string `placeholder:"ADDR" help:"Where readers with credentials from enroll-reader may connect; none if absent."`
	HTTP       string `name:"http" default:"127.0.0.1:8086" placeholder:"ADDR" help:"Where the API and the page listen; a loopback address, 127.0.0.1:8086 if absent."`
	ListenLeaf string `default:"127.0.0.1:7422" placeholder:"ADDR" help:"Where the registers' links arrive; 127.0.0.1:7422 if absent."`
	Cert       string `type:"existingfile" placeholder:"FILE" help:"Certificate for the registers' links and for readers; without it both listen on this machine alone."`
	Key        string `type:"existingfile" placeholder:"FILE" help:"The certificate's private key."`

	Plaintext bool `name:"allow-plaintext-link" help:"Let other machines reach --listen and --listen-leaf, or reach --nats, without TLS, although anyone on the network between can read and change what travels."`

	NATS     []string `name:"nats" placeholder:"URL" help:"Work on a cluster of stock nats-server, such as tls://a:4222,tls://b:4222,tls://c:4222, and run no server of our own. See 'posnode hq init'."`
	Creds    string   `type:"existingfile" placeholder:"FILE" help:"Credentials for the cluster, hq.creds, with answers.creds beside them: for an instance without keys.json in its data directory."`
	CA       string   `name:"ca" type:"existingfile" placeholder:"FILE" help:"Authority of the cluster's certificates, such as ca.pem."`
	Replicas int      `placeholder:"N" help:"Replicas of every stream; 3 on a cluster if absent."`
}

// links returns the address to which registers link, for a message.
func (c *hqRunCmd) links(h *hq.HQ) string {
	if len(c.NATS) > 0 {
		return "the leaf ports of " + strings.Join(c.NATS, ", ")
	}
	return h.LeafURL()
}

// Validate returns an error for flags that do not go together. Kong calls it.
func (c *hqRunCmd) Validate() error {
	if (c.Cert == "") != (c.Key == "") {
		return errors.New("--cert and --key go together")
	}
	if len(c.NATS) > 0 && (c.Cert != "" || c.Listen != "") {
		return errors.New("--nats: the cluster has listeners and certificates of its own")
	}
	if len(c.NATS) == 0 && (c.Creds != "" || c.CA != "" || c.Replicas != 0) {
		return errors.New("--creds, --ca and --replicas are for --nats")
	}
	return nil
}

// maxRebuilds is how often head office rebuilds its databases before it ends. Damage that keeps
// coming back has a cause outside.
const maxRebuilds = 3

// Run serves until the context ends. Where a database is found damaged head office starts again, in this process.
func (c *hqRunCmd) Run(ctx context.Context, std stdio) error {
	token := rand.Text()
	for rebuilt := 0; ; rebuilt++ {
		err := c.run(ctx, std, token)
		if !errors.Is(err, hq.ErrDatabaseDamaged) || ctx.Err() != nil {
			return err
		}
		if rebuilt == maxRebuilds {
			return hinted{err, "its databases were damaged again and again: look at the disk and the memory of this machine"}
		}
		fmt.Fprintf(std.err, "posnode: warning: %v; head office starts again and makes it anew\n", err)
	}
}

// run serves until the context ends, or a database is found damaged.
func (c *hqRunCmd) run(ctx context.Context, std stdio, token string) (err error) {
	log := newLogger(std.err)
	listener, err := listenLoopback(c.HTTP)
	if err != nil {
		return err
	}
	h, err := hq.Open(ctx, hq.Config{
		Dir: c.Data, Listen: c.Listen, ListenLeaf: c.ListenLeaf, Cert: c.Cert, Key: c.Key, AllowPlaintext: c.Plaintext, Clock: time.Now, Logger: log,
		Cluster: hq.Cluster{URLs: c.NATS, Creds: c.Creds, CA: c.CA, Replicas: c.Replicas},
	})
	if err != nil {
		return errors.Join(withHint(err), listener.Close())
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	at := hqAddress{URL: "http://" + listener.Addr().String(), Token: token}
	if err := at.write(c.Data); err != nil {
		return errors.Join(err, listener.Close())
	}
	// If the process dies before it removes the file, a command finds an address where nobody
	// answers, and reports that.
	defer func() { err = errors.Join(err, at.remove(c.Data)) }()
	fmt.Fprintf(std.out, "head office is up on %s; registers link to %s\n", at.URL, c.links(h))
	if url := h.ClientURL(); url != "" {
		fmt.Fprintf(std.out, "readers connect to %s\n", url)
	}
	c.stayAt(listener, h)
	serving, end := context.WithCancel(ctx)
	defer end()
	go func() {
		select {
		case <-h.Damaged():
			end()
		case <-serving.Done():
		}
	}()
	return errors.Join(serve(serving, listener, web.HQ(h, at.Token, log)), h.Damage())
}

// stayAt has a second start take the addresses of the first, where it was left to the system which.
func (c *hqRunCmd) stayAt(listener net.Listener, h *hq.HQ) {
	c.HTTP = listener.Addr().String()
	if leaf, err := url.Parse(h.LeafURL()); err == nil && leaf.Host != "" {
		c.ListenLeaf = leaf.Host
	}
	if client, err := url.Parse(h.ClientURL()); err == nil && client.Host != "" {
		c.Listen = client.Host
	}
}

// withHint adds a hint to the error of a head office that cannot open: an untrusted certificate, a
// plaintext link, too few servers for the replicas.
func withHint(err error) error {
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return hinted{err, "--ca names the authority of the cluster's certificates, ca.pem of 'posnode hq init', and --nats the hosts that stand on them"}
	}
	if _, plain := errors.AsType[*embedded.PlaintextError](err); plain {
		return hinted{err, "give --cert and --key, or tls:// and --ca for a cluster; or listen on 127.0.0.1; or say --allow-plaintext-link"}
	}
	if errors.Is(err, embedded.ErrNoReplicas) {
		return hinted{err, "on a single server say --replicas 1"}
	}
	return err
}

type hqInitCmd struct {
	Dir  string   `arg:"" type:"path" placeholder:"DIR" help:"Where everything goes; must be empty or not exist."`
	Host []string `required:"" placeholder:"NAME" help:"Under which the others reach a server; once for each of the three, or of five, or one to try things out."`

	MaxFile string `default:"100GB" placeholder:"SIZE" help:"The most that the streams of a server take of its disk, such as 500GB; 100GB if absent. Set it below the disk."`
}

// Run writes the files and prints the commands that use them.
func (c *hqInitCmd) Run(std stdio) error {
	var servers []embedded.ClusterServer
	for _, host := range c.Host {
		servers = append(servers, embedded.ClusterServer{Host: host, MaxFile: c.MaxFile})
	}
	if err := hq.InitCluster(c.Dir, servers); err != nil {
		return err
	}
	urls, leafs := make([]string, len(c.Host)), make([]string, len(c.Host))
	for i, host := range c.Host {
		urls[i], leafs[i] = "tls://"+net.JoinHostPort(host, "4222"), "tls://"+net.JoinHostPort(host, "7422")
		fmt.Fprintf(std.out, "on %s, in a copy of %s:\n  nats-server -c nats-server.conf\n", host, filepath.Join(c.Dir, host))
	}
	replicas := ""
	if len(c.Host) == 1 {
		replicas = " --replicas 1" // a single server cannot keep more
	}
	fmt.Fprintf(std.out, "head office, each instance in a copy of %s of its own:\n  posnode hq run --data . --creds hq.creds --ca ca.pem --nats %s%s\n", filepath.Join(c.Dir, "hq"), strings.Join(urls, ","), replicas)
	fmt.Fprintf(std.out, "registers:\n  posnode register ... --ca ca.pem --hq %s\n", strings.Join(leafs, ","))
	fmt.Fprintf(std.out, "keep to yourself: ca.key and hq/keys.json; who has them can be any server, and any register\n")
	return nil
}

type hqEnrollCmd struct {
	Data  string       `required:"" type:"path" placeholder:"DIR" help:"Data directory of head office, running or not."`
	Name  registerName `arg:"" placeholder:"STORE-REGISTER" help:"Which register, such as s001-r01."`
	Creds string       `arg:"" type:"path" placeholder:"FILE" help:"Where the credentials go."`
}

// Run writes the file, readable by its owner alone.
func (c *hqEnrollCmd) Run(ctx context.Context, std stdio) error {
	creds, err := hq.Enroll(c.Data, c.Name.Register)
	if errors.Is(err, embedded.ErrShutOut) {
		return hinted{err, fmt.Sprintf("make a code: posnode hq code --data %s %s --bootstrap %s", c.Data, c.Name, c.Creds)}
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Creds, creds, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s may link with %s\n", c.Name, c.Creds)
	// The register can sell before it ever links, so a period must not be closed without it.
	if err := (runningHQ{c.Data}).call(ctx, http.MethodPost, "/v1/registers/"+c.Name.String()+"/expect", nil, nil); err != nil {
		fmt.Fprintf(std.out, "head office will know of %s when it has linked: %v\n", c.Name, err)
	}
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

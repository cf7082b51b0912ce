package embedded

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Protection is the means that keeps strangers on the network out of a link.
type Protection string

// The protections of a link or a listener.
const (
	ProtectedByTLS      Protection = "tls"      // encrypted, and the server has shown a certificate
	ProtectedByLoopback Protection = "loopback" // not encrypted, and does not leave this machine
	Unprotected         Protection = "plain"    // not encrypted, and leaves this machine
)

// PlaintextError means that a link or a listener was refused, because anyone on the network between
// could read and change its traffic.
type PlaintextError struct{ Address string }

func (e *PlaintextError) Error() string {
	return e.Address + " is not encrypted and leaves this machine: anyone on the network between can read and change what travels"
}

// LinkProtection returns the protection of a register's link to these leaf URLs, which are
// separated by commas. It returns an error for a malformed URL.
func LinkProtection(hq string) (Protection, error) {
	protection := ProtectedByLoopback
	for each := range strings.SplitSeq(hq, ",") {
		u, err := url.Parse(strings.TrimSpace(each))
		if err != nil || u.Host == "" || (u.Scheme != "nats-leaf" && u.Scheme != "tls") {
			return "", fmt.Errorf("leaf URL of HQ %q: want nats-leaf://host:port or tls://host:port", each)
		}
		switch {
		case u.Scheme == "tls":
			return ProtectedByTLS, nil // the server then wants TLS of all of them
		case !isLoopback(u.Hostname()):
			protection = Unprotected
		}
	}
	return protection, nil
}

// listenProtection returns the protection of a listener at an address "host:port".
func listenProtection(addr, cert string) (Protection, error) {
	host, _, err := splitListen(addr)
	switch {
	case err != nil:
		return "", err
	case cert != "":
		return ProtectedByTLS, nil
	case isLoopback(host):
		return ProtectedByLoopback, nil
	}
	return Unprotected, nil
}

// clusterProtection returns the protection of head office's connections to the servers of a
// cluster.
func clusterProtection(urls []string, ca string) Protection {
	protection := ProtectedByLoopback
	for _, each := range urls {
		if !strings.Contains(each, "://") {
			each = "nats://" + each
		}
		u, err := url.Parse(each)
		switch {
		case ca != "" || err == nil && u.Scheme == "tls":
			return ProtectedByTLS // the client then wants TLS of every server
		case err != nil || !isLoopback(u.Hostname()):
			protection = Unprotected
		}
	}
	return protection
}

// isLoopback reports whether a host is this machine. A name other than localhost does not count,
// because other parties decide its address.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

package embedded

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Protection says what keeps strangers on the network out of a link.
type Protection string

// How a link or a listener is protected.
const (
	ProtectedByTLS      Protection = "tls"      // encrypted, and the server has shown a certificate
	ProtectedByLoopback Protection = "loopback" // not encrypted, and does not leave this machine
	Unprotected         Protection = "plain"    // not encrypted, and leaves this machine
)

// PlaintextError says that a link or a listener was refused because anyone on the network
// between could read and change what travels.
type PlaintextError struct{ Address string }

func (e *PlaintextError) Error() string {
	return e.Address + " is not encrypted and leaves this machine: anyone on the network between can read and change what travels"
}

// LinkProtection is how the link of a register to these leaf URLs is protected. The URLs have
// commas between. It fails on a URL that is none.
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

// listenProtection is how a listener at an address "host:port" is protected.
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

// clusterProtection is how head office's connections to the servers of a cluster are protected.
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

// isLoopback says whether a host is this machine. A name other than localhost is not: what it
// stands for is for others to say.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

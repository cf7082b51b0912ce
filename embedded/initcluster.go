package embedded

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/nats-io/jwt/v2"
)

// ClusterServer is one of the stock servers of a cluster.
type ClusterServer struct {
	Name string // server's name and its folder; "": Host
	Host string // the others, head office and the registers reach it by this name, which is on its certificate
	// Ports; 0: 4222, 6222 and 7422.
	ClientPort, RoutePort, LeafPort int
	MaxFile                         string // the most that its streams take of its disk, such as 500GB; "": DefaultMaxFile
}

// DefaultMaxFile is the most that the streams of a server take of its disk. It must be less than
// the disk. At the limit, as on a full disk, the streams stop until the servers are started again.
// But at the limit there is room to raise it, and nothing is half written.
const DefaultMaxFile = "100GB"

var maxFile = regexp.MustCompile(`^[1-9][0-9]{0,5}(MB|GB|TB)$`)

// HQFolder is the folder with the files that an instance of head office needs: keys.json, ca.pem,
// and for an instance without keys hq.creds and answers.creds.
const HQFolder = "hq"

// File names that InitCluster makes.
const (
	hqCreds   = "hq.creds"
	caFile    = "ca.pem" // the authority of the servers' certificates, for head office and registers
	caKeyFile = "ca.key"
	certFile  = "server.pem"
	keyFile   = "server.key"
	confFile  = "nats-server.conf"
)

// certificateYears is the validity of a cluster's certificates in years. To renew them earlier, put
// others in their place, signed by the same authority, and reload the server.
const certificateYears = 10

// InitCluster writes the files of a cluster of stock nats-server for head office into dir. dir must
// not exist, or must be empty. The files are the keys of the fleet, a certificate authority, and
// for each server a folder with its configuration and certificate. A server is started in its own
// folder.
func InitCluster(dir string, servers []ClusterServer) error {
	if err := initCluster(dir, servers); err != nil {
		return fmt.Errorf("init cluster: %w", err)
	}
	return nil
}

func initCluster(dir string, servers []ClusterServer) error {
	servers, err := completeServers(servers)
	if err != nil {
		return err
	}
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	for _, folder := range append(names(servers), HQFolder) {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return err
		}
	}
	// If we died anywhere below, the files are incomplete and not in use. They are to be deleted
	// and made anew.
	keys, err := openKeys(filepath.Join(dir, HQFolder))
	if err != nil {
		return err
	}
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	own, err := keys.ownCreds()
	if err != nil {
		return err
	}
	answers, err := keys.answersCreds()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		caFile:                                authority.cert,
		caKeyFile:                             authority.key,
		filepath.Join(HQFolder, caFile):       authority.cert,
		filepath.Join(HQFolder, hqCreds):      own,
		filepath.Join(HQFolder, answersCreds): answers,
	}
	for _, s := range servers {
		cert, key, err := authority.sign(s.Host)
		if err != nil {
			return err
		}
		conf, err := serverConf(keys, s, servers)
		if err != nil {
			return err
		}
		files[filepath.Join(s.Name, caFile)] = authority.cert
		files[filepath.Join(s.Name, certFile)] = cert
		files[filepath.Join(s.Name, keyFile)] = key
		files[filepath.Join(s.Name, confFile)] = conf
	}
	for name, data := range files {
		if err := WriteFileDurably(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	return nil
}

func completeServers(servers []ClusterServer) ([]ClusterServer, error) {
	if len(servers) != 1 && len(servers) != 3 && len(servers) != 5 {
		return nil, fmt.Errorf("%d servers: want 3, or 5, or 1 to try things out", len(servers))
	}
	var complete []ClusterServer
	seen := map[string]bool{HQFolder: true}
	for _, s := range servers {
		if s.Name == "" {
			s.Name = s.Host
		}
		if s.Host == "" || strings.ContainsAny(s.Host+s.Name, " \t\n\"'/\\{}$") || seen[s.Name] {
			return nil, fmt.Errorf("server %q on host %q: want a name of its own and a host", s.Name, s.Host)
		}
		seen[s.Name] = true
		if s.MaxFile == "" {
			s.MaxFile = DefaultMaxFile
		}
		if !maxFile.MatchString(s.MaxFile) {
			return nil, fmt.Errorf("server %q: %q is no size, such as 500GB", s.Name, s.MaxFile)
		}
		for port, usual := range map[*int]int{&s.ClientPort: 4222, &s.RoutePort: 6222, &s.LeafPort: 7422} {
			if *port == 0 {
				*port = usual
			}
		}
		complete = append(complete, s)
	}
	return complete, nil
}

func names(servers []ClusterServer) (names []string) {
	for _, s := range servers {
		names = append(names, s.Name)
	}
	return names
}

// authority signs the servers' certificates.
type authority struct {
	cert, key []byte // PEM
	signer    *ecdsa.PrivateKey
	parent    *x509.Certificate
}

func newAuthority() (*authority, error) {
	template, signer, err := certificate("posnode head office")
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	a := &authority{signer: signer}
	if a.cert, a.key, err = signCertificate(template, template, signer, signer); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(a.cert)
	a.parent, err = x509.ParseCertificate(block.Bytes)
	return a, err
}

// sign makes a server's certificate. Servers dial each other, so it serves as a client certificate
// too.
func (a *authority) sign(host string) (cert, key []byte, err error) {
	template, own, err := certificate(host)
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	return signCertificate(template, a.parent, own, a.signer)
}

func certificate(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-24 * time.Hour), // clocks of tills are a little off
		NotAfter:     time.Now().AddDate(certificateYears, 0, 0),
	}, key, err
}

func signCertificate(template, parent *x509.Certificate, own, signer *ecdsa.PrivateKey) (cert, key []byte, err error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}

// serverConf returns the configuration file of one stock server. It holds the settings of
// serverOptions.
func serverConf(keys *fleetKeys, s ClusterServer, all []ClusterServer) ([]byte, error) {
	v := struct {
		ClusterServer
		Ping             time.Duration
		Operator, System string
		Accounts         []string // public key and token
		Routes           []string
	}{ClusterServer: s, Ping: pingInterval}
	var err error
	if v.Operator, err = keys.operatorToken(); err != nil {
		return nil, err
	}
	if v.System, err = keys.system.PublicKey(); err != nil {
		return nil, err
	}
	for _, claims := range []func() (*jwt.AccountClaims, error){keys.systemClaims, keys.fleetClaims, keys.readersClaims} {
		c, err := claims()
		if err != nil {
			return nil, err
		}
		token, err := c.Encode(keys.operator)
		if err != nil {
			return nil, err
		}
		v.Accounts = append(v.Accounts, fmt.Sprintf("%s: %q", c.Subject, token))
	}
	for _, other := range all {
		if other.Name != s.Name {
			v.Routes = append(v.Routes, "tls://"+net.JoinHostPort(other.Host, strconv.Itoa(other.RoutePort)))
		}
	}
	var out bytes.Buffer
	if err := confTemplate.Execute(&out, v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

var confTemplate = template.Must(template.New("conf").Parse(`# A stock nats-server of head office. Start it in this file's folder:
#   nats-server -c nats-server.conf
# What it stores is in ./jetstream and ./accounts; nobody else may write there.
server_name: "{{.Name}}"
listen: "0.0.0.0:{{.ClientPort}}"
ping_interval: "{{.Ping}}"
ping_max: 2

jetstream {
	store_dir: "."
	domain: hq
	max_mem: 256MB
	# Keep it below the disk: at the limit entries wait at their registers until it is higher and the server was started again.
	max_file: {{.MaxFile}}
	# An acknowledgement means: on disk. Everything else builds on it.
	sync_interval: always
}
feature_flags { js_api_reply_v2: true, js_ack_fc_v2: true }

tls { cert_file: "server.pem", key_file: "server.key" }
{{if .Routes}}
cluster {
	name: hq
	listen: "0.0.0.0:{{.RoutePort}}"
	no_advertise: true
	tls { cert_file: "server.pem", key_file: "server.key", ca_file: "ca.pem", verify: true }
	routes: [{{range $i, $route := .Routes}}{{if $i}}, {{end}}"{{$route}}"{{end}}]
}
{{end}}
leafnodes {
	listen: "0.0.0.0:{{.LeafPort}}"
	no_advertise: true
	isolate_leafnode_interest: true
	# Registers begin with TLS: who is no register does not even learn the server's name.
	tls { cert_file: "server.pem", key_file: "server.key", handshake_first: true }
}

operator: "{{.Operator}}"
system_account: {{.System}}
# Accounts are pushed by head office, and a server that was down takes them from the others.
resolver { type: full, dir: "accounts", allow_delete: false, interval: "2s" }
resolver_preload {
{{range .Accounts}}	{{.}}
{{end}}}
`))

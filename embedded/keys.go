package embedded

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/files"
)

// fleetKeys holds HQ's keys. A holder of these keys can make credentials of any register. They are
// made once; without them every register must be enrolled anew.
type fleetKeys struct {
	operator  nkeys.KeyPair
	system    nkeys.KeyPair // account of the server itself
	fleet     nkeys.KeyPair // account FLEET: all registers and HQ's own connection
	registers nkeys.KeyPair // signs registers' users, and can give them no more than registerScope
	readers   nkeys.KeyPair // account READERS: the programs that consume the journals; nil if HQ has not made it yet
	reader    nkeys.KeyPair // signs readers' users, and can give them no more than readerScope
}

const keysName = "keys.json"

// keysFile is the stored form of the keys: their seeds.
type keysFile struct {
	Operator  string `json:"operator"`
	System    string `json:"system"`
	Fleet     string `json:"fleet"`
	Registers string `json:"registers"`
	Readers   string `json:"readers"`
	Reader    string `json:"reader"`
}

// openKeys reads the keys, and makes those that are missing: all of them at the first start, new
// ones at the first start of a version with more keys. Only the HQ that has locked dir may call it.
// A key made by another process would sign credentials that the running server does not trust.
func openKeys(dir string) (*fleetKeys, error) {
	path := filepath.Join(dir, keysName)
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, unreadableKeys(dir, err)
	}
	if data == nil {
		if stored, _ := filepath.Glob(filepath.Join(dir, storeName, "*", "streams")); len(stored) > 0 {
			return nil, fmt.Errorf("%s is gone from %s, where head office's streams are: put back the copy that you keep of it, for other keys open none of them", keysName, dir)
		}
	}
	complete, err := completeKeys(data)
	if err == nil && !bytes.Equal(complete, data) {
		err = WriteFileDurably(path, complete)
	}
	if err != nil {
		return nil, unreadableKeys(dir, err)
	}
	return readKeys(dir)
}

// readKeys reads the keys and makes none, so it may run beside a running HQ. If there are no keys,
// the error is os.ErrNotExist.
func readKeys(dir string) (*fleetKeys, error) {
	data, err := os.ReadFile(filepath.Join(dir, keysName))
	if err != nil {
		return nil, fmt.Errorf("keys of HQ: %w", err)
	}
	k, err := parseKeys(data)
	if err != nil {
		return nil, unreadableKeys(dir, err)
	}
	return k, nil
}

func unreadableKeys(dir string, err error) error {
	return fmt.Errorf("%s in %s cannot be read: put back the copy that you keep of it, for without it no register can link: %w", keysName, dir, err)
}

// completeKeys returns data with a new seed for each missing one, and unchanged if none is missing.
// In an existing file only the seeds of readers may be missing, because a later version added them.
// If another one is missing, the file is damaged, and new seeds would lock every register out.
func completeKeys(data []byte) ([]byte, error) {
	var f keysFile
	if data != nil {
		if err := json.Unmarshal(data, &f); err != nil {
			return nil, err
		}
		if f.Operator == "" || f.System == "" || f.Fleet == "" || f.Registers == "" {
			return nil, errors.New("seeds are missing")
		}
	}
	made := false
	for seed, create := range map[*string]func() (nkeys.KeyPair, error){
		&f.Operator:  nkeys.CreateOperator,
		&f.System:    nkeys.CreateAccount,
		&f.Fleet:     nkeys.CreateAccount,
		&f.Registers: nkeys.CreateAccount,
		&f.Readers:   nkeys.CreateAccount,
		&f.Reader:    nkeys.CreateAccount,
	} {
		if *seed != "" {
			continue
		}
		made = true
		kp, err := create()
		if err != nil {
			return nil, err
		}
		s, err := kp.Seed()
		if err != nil {
			return nil, err
		}
		*seed = string(s)
	}
	if !made {
		return data, nil
	}
	return json.MarshalIndent(f, "", "\t")
}

func parseKeys(data []byte) (*fleetKeys, error) {
	var f keysFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	var k fleetKeys
	for seed, kp := range map[string]*nkeys.KeyPair{
		f.Operator: &k.operator, f.System: &k.system, f.Fleet: &k.fleet, f.Registers: &k.registers,
	} {
		var err error
		if *kp, err = nkeys.FromSeed([]byte(seed)); err != nil {
			return nil, err
		}
	}
	if f.Readers == "" || f.Reader == "" {
		return &k, nil // the file is of an older version
	}
	var err error
	if k.readers, err = nkeys.FromSeed([]byte(f.Readers)); err == nil {
		k.reader, err = nkeys.FromSeed([]byte(f.Reader))
	}
	return &k, err
}

// registerScope returns all rights of a register at HQ, seen from the register. {{name()}} is the
// register's name, which HQ alone writes into its credentials.
func registerScope(registers string) *jwt.UserScope {
	scope := jwt.NewUserScope()
	scope.Key = registers
	scope.Role = "register"
	// These credentials are good for a leaf link only. Nobody can sign on as a client with them.
	scope.Template.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeLeafnode}
	scope.Template.Pub.Allow = jwt.StringList{
		"up.{{name()}}.>",            // its journals' entries and its questions
		"$JSC.R.{{name()}}.*.*.hq.*", // its answers to HQ's reset of the consumer
	}
	scope.Template.Sub.Allow = jwt.StringList{
		// HQ resets the consumer. The subject is not RESET.*.hq, because nats-server 2.15.3
		// overlooks a "*" in the middle when it compares it with a leaf's wider interest,
		// CONSUMER.>.
		"$JS.{{name()}}.API.CONSUMER.RESET.>",
		"$JS.FC.{{name()}}.>", // HQ acknowledges by flow control; no "*" in the middle for the same reason
		"down.{{name()}}.>",   // HQ's answers
	}
	return scope
}

// trust makes the server accept credentials that these keys signed, and no others. Accounts are
// stored in dir. Newer claims that an earlier run left there, with revocations, stay in force.
func (k *fleetKeys) trust(o *server.Options, dir string) error {
	system, err := k.system.PublicKey()
	if err != nil {
		return err
	}
	if o.TrustedOperators, err = k.operators(); err != nil {
		return err
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		if _, err := files.SetAside(dir); err != nil {
			return err
		}
	}
	accounts, err := server.NewDirAccResolver(dir, 0, time.Minute, server.NoDelete)
	if err != nil {
		return fmt.Errorf("accounts in %s: %w", dir, err)
	}
	for _, claims := range []func() (*jwt.AccountClaims, error){k.systemClaims, k.fleetClaims, k.readersClaims} {
		c, err := claims()
		if err != nil {
			return err
		}
		if kept, err := accounts.LoadAcc(c.Subject); err == nil && kept != "" {
			if _, err := jwt.DecodeAccountClaims(kept); err == nil {
				continue
			}
		}
		token, err := c.Encode(k.operator)
		if err != nil {
			return err
		}
		if err := accounts.Store(c.Subject, token); err != nil {
			return err
		}
	}
	o.SystemAccount = system
	o.AccountResolver = accounts
	return nil
}

func (k *fleetKeys) operators() ([]*jwt.OperatorClaims, error) {
	token, err := k.operatorToken()
	if err != nil {
		return nil, err
	}
	c, err := jwt.DecodeOperatorClaims(token)
	return []*jwt.OperatorClaims{c}, err
}

func (k *fleetKeys) operatorToken() (string, error) {
	public, err := k.operator.PublicKey()
	if err != nil {
		return "", err
	}
	c := jwt.NewOperatorClaims(public)
	c.Name = "posnode"
	if c.SystemAccount, err = k.system.PublicKey(); err != nil {
		return "", err
	}
	return c.Encode(k.operator)
}

func (k *fleetKeys) systemClaims() (*jwt.AccountClaims, error) {
	public, err := k.system.PublicKey()
	if err != nil {
		return nil, err
	}
	c := jwt.NewAccountClaims(public)
	c.Name = "SYS"
	return c, nil
}

func (k *fleetKeys) fleetClaims() (*jwt.AccountClaims, error) {
	public, err := k.fleet.PublicKey()
	if err != nil {
		return nil, err
	}
	registers, err := k.registers.PublicKey()
	if err != nil {
		return nil, err
	}
	c := jwt.NewAccountClaims(public)
	c.Name = "FLEET"
	c.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	c.SigningKeys.AddScopedSigner(registerScope(registers))
	c.Exports = readerExports()
	return c, nil
}

// enroll makes credentials of the register's enrolled key.
func (k *fleetKeys) enroll(r events.Register) ([]byte, error) {
	kp, err := k.enrolled(r)
	if err != nil {
		return nil, err
	}
	token, seed, err := signUser(kp, r.String(), k.fleet, k.registers, func(c *jwt.UserClaims) { c.SetScoped(true) })
	if err != nil {
		return nil, err
	}
	return jwt.FormatUserConfig(token, seed)
}

// enrolled returns the key of the credentials that enroll makes. It is derived from the fleet's
// keys and the register's name. So enroll needs no running head office, and the key to revoke can
// be computed later, though nobody has stored it.
func (k *fleetKeys) enrolled(r events.Register) (nkeys.KeyPair, error) {
	secret, err := k.registers.Seed()
	if err != nil {
		return nil, err
	}
	raw, err := hkdf.Key(sha256.New, secret, nil, "posnode enrolled register "+r.String(), ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return nkeys.FromRawSeed(nkeys.PrefixByteUser, raw)
}

// enrolledUser returns the public key of enrolled.
func (k *fleetKeys) enrolledUser(r events.Register) (string, error) {
	kp, err := k.enrolled(r)
	if err != nil {
		return "", err
	}
	return kp.PublicKey()
}

// ownUser returns the sign-on of the connection that keeps HQ's streams. Its key is new at every
// start and never stored.
func (k *fleetKeys) ownUser() (nats.Option, error) { return freshUser("hq", k.fleet, ownRights()) }

// answersUser returns how the connection that answers registers signs on.
func (k *fleetKeys) answersUser() (nats.Option, error) {
	return freshUser("hq-answers", k.fleet, answerRights())
}

// systemUser returns how HQ signs on to the servers' own account.
func (k *fleetKeys) systemUser() (nats.Option, error) {
	return freshUser("hq", k.system, systemRights())
}

// ownCreds and answersCreds make credentials files of the same rights, for an instance without keys.
func (k *fleetKeys) ownCreds() ([]byte, error) { return credsOf("hq", k.fleet, ownRights()) }
func (k *fleetKeys) answersCreds() ([]byte, error) {
	return credsOf("hq-answers", k.fleet, answerRights())
}

// freshUser makes a user of an account, signed by the account's own key.
func freshUser(name string, account nkeys.KeyPair, rights jwt.Permissions) (nats.Option, error) {
	token, seed, err := user(name, account, account, clientWith(rights))
	if err != nil {
		return nil, err
	}
	return nats.UserJWTAndSeed(token, string(seed)), nil
}

func credsOf(name string, account nkeys.KeyPair, rights jwt.Permissions) ([]byte, error) {
	token, seed, err := user(name, account, account, clientWith(rights))
	if err != nil {
		return nil, err
	}
	return jwt.FormatUserConfig(token, seed)
}

// clientWith gives a user its rights as a client. Nobody can link as a leaf with such credentials.
func clientWith(rights jwt.Permissions) func(*jwt.UserClaims) {
	return func(c *jwt.UserClaims) {
		c.Permissions = rights
		c.AllowedConnectionTypes = jwt.StringList{jwt.ConnectionTypeStandard, jwt.ConnectionTypeInProcess}
	}
}

// user makes a new user key and signs it as a user of an account.
func user(name string, account, signer nkeys.KeyPair, set func(*jwt.UserClaims)) (token string, seed []byte, err error) {
	kp, _, err := newUser()
	if err != nil {
		return "", nil, err
	}
	return signUser(kp, name, account, signer, set)
}

// signUser signs a user key as a user of an account.
func signUser(kp nkeys.KeyPair, name string, account, signer nkeys.KeyPair, set func(*jwt.UserClaims)) (token string, seed []byte, err error) {
	if seed, err = kp.Seed(); err != nil {
		return "", nil, err
	}
	public, err := kp.PublicKey()
	if err != nil {
		return "", nil, err
	}
	c := jwt.NewUserClaims(public)
	c.Name = name
	if signer != account { // the account's own key needs no mention
		if c.IssuerAccount, err = account.PublicKey(); err != nil {
			return "", nil, err
		}
	}
	set(c)
	if token, err = c.Encode(signer); err != nil {
		return "", nil, err
	}
	return token, seed, nil
}

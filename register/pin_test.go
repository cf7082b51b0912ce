package register

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
)

// pinHash is a correct hash of a PIN at any cost.
func pinHash(pin string, memory, passes uint32, threads uint8) string {
	salt := []byte("sixteen bytes of")
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, threads,
		encode(salt), encode(argon2.IDKey([]byte(pin), salt, passes, memory, threads, pinKeySize)))
}

func TestCheckPIN(t *testing.T) {
	right := HashPIN("4711")
	cheap := pinHash("4711", 8, 1, 1)
	for _, c := range []struct {
		what, hash, pin string
		matches         bool
	}{
		{"its own hash", right, "4711", true},
		{"another PIN", right, "4712", false},
		{"no PIN", right, "", false},
		{"another cost", cheap, "4711", true},
		{"another cost, another PIN", cheap, "4712", false},
		{"the most passes", pinHash("4711", 8, 100, 1), "4711", true},
		{"too many passes", pinHash("4711", 8, 101, 1), "4711", false},
		{"four threads", pinHash("4711", 32, 1, 4), "4711", true},
		{"no hash", "", "4711", false},
		{"no passes", strings.Replace(cheap, "t=1", "t=0", 1), "4711", false},
		{"no threads", strings.Replace(cheap, "p=1", "p=0", 1), "4711", false},
		{"threads beyond a byte", strings.Replace(cheap, "p=1", "p=257", 1), "4711", false},
		{"another version", strings.Replace(cheap, "v=19", "v=16", 1), "4711", false},
		{"another function", strings.Replace(cheap, "argon2id", "argon2i", 1), "4711", false},
		{"one field more", cheap + "$", "4711", false},
		{"no salt that can be read", strings.Replace(cheap, "$c2l", "$=2l", 1), "4711", false},
		{"an empty key, which every PIN would match", cheap[:strings.LastIndex(cheap, "$")+1], "4711", false},
		{"no cost", strings.Replace(cheap, "m=8,t=1,p=1", "", 1), "4711", false},
	} {
		require.Equal(t, c.matches, checkPIN(c.hash, c.pin), c.what)
	}
	require.NotEqual(t, right, HashPIN("4711"), "each hash has a salt of its own")
}

// TestPINHashOfTooMuchMemory: a record of the reference data cannot make a till use more than a gibibyte.
func TestPINHashOfTooMuchMemory(t *testing.T) {
	hash := strings.Replace(pinHash("4711", 8, 1, 1), "m=8", "m=1048577", 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.False(t, checkPIN(hash, "4711"))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "it is refused before any of it is computed")
}

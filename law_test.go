package posnode_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// law is the whole of it: which package of posnode may import which others.
// Dependencies point inward, from what can change daily to what never changes. A package
// that is not here has no place yet: give it one, or put it into one that has.
//
//	cmd/posnode --> everything
//	  web         --> register hq replay receipts
//	  hq          --> embedded projections replay
//	  register    --> embedded projections
//	  replay      --> projections
//	  embedded    --> events
//	  projections --> ledger
//	  ledger      --> events
//	  receipts    --> events
//	  schemas     --> nothing of posnode
//	  events      --> nothing of posnode
var law = map[string][]string{
	"cmd/posnode":    {"web", "receipts", "schemas", "hq", "register", "replay", "embedded", "projections", "ledger", "events"},
	"web":            {"receipts", "register", "hq", "replay", "projections", "ledger", "events"},
	"hq":             {"embedded", "projections", "replay", "ledger", "events"},
	"register":       {"embedded", "projections", "ledger", "events"},
	"replay":         {"projections", "ledger", "events"},
	"embedded":       {"events"},
	"projections":    {"ledger", "events"},
	"ledger/logtest": {"ledger", "events"}, // for the tests of those who write to a log
	"ledger":         {"events"},
	"receipts":       {"events"},
	"schemas":        {}, // files, which its tests make of events
	"events":         {},

	"docs/consumers/go": {}, // an example that people copy: it stands alone
}

// reserved are the imports that only some packages may have. A prefix ends at a
// slash or at the end of the path.
var reserved = []struct {
	prefix string
	to     []string
	why    string
}{
	{"github.com/nats-io/nats-server", []string{"embedded", "cmd/posnode", "internal/hostile"}, "only embedded knows NATS"},
	{"github.com/nats-io/nats.go", []string{"embedded", "cmd/posnode", "docs/consumers/go"}, "only embedded knows NATS"},
	{"net/http", []string{"web", "cmd/posnode"}, "only web knows HTTP"},
	{"html/template", []string{"web"}, "only web knows HTML"},
	{"database/sql", []string{"projections", "hq"}, "read models are in SQLite"},
	{"github.com/hanwen/go-fuse", []string{"internal/powercut"}, "it is for tests"},
	{"modernc.org/sqlite", []string{"projections", "hq"}, "read models are in SQLite"},
}

// pure are the packages that have no clock, no I/O, no randomness and no goroutine,
// and all that they may import besides what the law allows.
var pure = map[string][]string{
	"events": {
		"bytes", "cmp", "crypto/sha256", "encoding/base64", "encoding/hex", "encoding/json", "errors", "fmt", "iter", "maps", "math/bits", "slices", "strconv",
		"strings", "time", "unicode", "unicode/utf8", "github.com/oklog/ulid/v2", "github.com/shopspring/decimal",
		"github.com/go-json-experiment/json", "github.com/go-json-experiment/json/jsontext",
	},
	"ledger": {
		"bytes", "cmp", "context", "crypto/sha256", "encoding/hex", "encoding/json", "errors", "fmt", "io", "iter", "maps", "math/bits",
		"slices", "strconv", "strings", "unicode", "unicode/utf8", "golang.org/x/text/unicode/norm",
	},
	"receipts": {
		"bytes", "cmp", "fmt", "image", "image/color", "image/png", "slices", "strings", "time", "unicode",
		"github.com/boombuler/barcode/qr", "github.com/rivo/uniseg",
	},
}

// clock are the functions of package time that look at a clock or wait for one.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

const module = "github.com/posnode/posnode"

func TestImportLaw(t *testing.T) {
	packages := list(t)
	for _, p := range packages {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if len(p.GoFiles) == 0 {
			continue // tests alone
		}
		assert.NotEmpty(t, p.Doc, "%s has no package comment", p.ImportPath)
		internal := strings.HasPrefix(name, "internal/")
		allowed, known := law[name]
		if !assert.True(t, known || internal, "%s is not in the law", name) {
			continue
		}
		for _, path := range p.Imports {
			if of, ours := strings.CutPrefix(path, module+"/"); ours {
				assert.True(t, slices.Contains(allowed, of) || strings.HasPrefix(of, "internal/"), "%s must not import %s", name, of)
				if internal {
					assert.True(t, strings.HasPrefix(of, "internal/"), "%s is only for helpers with no business word in them, and imports %s", name, of)
				}
				continue
			}
			for _, r := range reserved {
				if path == r.prefix || strings.HasPrefix(path, r.prefix+"/") {
					assert.Contains(t, r.to, name, "%s imports %s: %s", name, path, r.why)
				}
			}
			if only, isPure := pure[name]; isPure {
				assert.Contains(t, only, path, "%s is pure", name)
			}
		}
		if _, isPure := pure[name]; isPure {
			for _, file := range p.GoFiles {
				checkPure(t, filepath.Join(p.Dir, file))
			}
		}
	}
	// A law about packages that are gone is no law.
	for name := range law {
		assert.True(t, slices.ContainsFunc(packages, func(p goPackage) bool { return p.ImportPath == module+"/"+name }), "the law names %s, which does not exist", name)
	}
}

// checkPure finds a clock or a goroutine in a file.
func checkPure(t *testing.T, path string) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			assert.Fail(t, fmt.Sprintf("%s: a goroutine", files.Position(n.Pos())))
		case *ast.SelectorExpr:
			if of, ok := n.X.(*ast.Ident); ok && of.Name == "time" && slices.Contains(clock, n.Sel.Name) {
				assert.Fail(t, fmt.Sprintf("%s: time.%s", files.Position(n.Pos()), n.Sel.Name))
			}
		}
		return true
	})
}

type goPackage struct {
	ImportPath, Dir, Doc string
	GoFiles, Imports     []string
}

// list is what the go command says of every package of this module.
func list(t *testing.T) (out []goPackage) {
	// The go command caches a passed test until a file changes that the test itself has
	// looked at. What its child process reads it does not see, so the test walks the tree too.
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		return err
	}))
	command := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Doc,GoFiles,Imports", "./...")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	stdout, err := command.Output()
	require.NoError(t, err, stderr.String())
	for dec := json.NewDecoder(bytes.NewReader(stdout)); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		out = append(out, p)
	}
	require.NotEmpty(t, out)
	return out
}

// Package internal_test keeps the rules of the architecture about who may
// import whom.
package internal_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "hapair/"

// onlyImporters of libraries: everything else speaks to them through the types
// of these packages.
var onlyImporters = map[string][]string{
	"github.com/melbahja/goph":         {"remote/sshconn"},
	"golang.org/x/crypto/ssh":          {"remote/sshconn"},
	"github.com/skeema/knownhosts":     {"remote/sshconn"},
	"github.com/kevinburke/ssh_config": {"remote/sshconn"},
	"al.essio.dev/pkg/shellescape":     {"remote", "templates"},
	"github.com/hashicorp/hcl":         {"plan/spec"},
	"github.com/zclconf/go-cty":        {"plan/spec"},
	"github.com/redis/go-redis":        {"remote/redisctl"},
	"github.com/charmbracelet":         {"cmd/internal/view"},
	"github.com/muesli/termenv":        {"cmd/internal/view"},
	"github.com/aymanbagabas/go-udiff": {"cmd/internal/view"},
	"golang.org/x/term":                {"cmd/internal/view"},
	"github.com/spf13":                 {"cmd/internal/cli"},
	// For tests and packages that serve tests.
	"github.com/rogpeppe/go-internal": {"remote/remotetest"},
	"github.com/google/go-cmp":        {"remote/remotetest"},
	"pgregory.net/rapid":              {"remote/remotetest"},
	"go.uber.org/goleak":              {"remote/remotetest"},
}

// never lists what the packages of a folder may not depend on, not even
// through others.
var never = map[string][]string{
	"remote":              {"plan", "templates", "cmd", "e2e"},
	"templates":           {"plan", "remote", "cmd", "e2e"},
	"plan":                {"cmd", "e2e"},
	"plan/spec":           {"remote", "plan/facts", "plan/pair"},
	"plan/facts":          {"plan/pair", "plan/drill", "plan/source"},
	"plan/pair":           {"plan/facts", "plan/drill", "plan/source", "remote/sshconn", "remote/lab"},
	"plan/drill":          {"plan/facts", "plan/source", "remote/sshconn", "remote/lab"},
	"remote/sshconn":      {"remote/redisctl", "remote/lab"},
	"remote/redisctl":     {"remote/sshconn", "remote/lab"},
	"remote/lab":          {"remote/sshconn", "remote/redisctl"},
	"cmd/internal/report": {"cmd/internal/view", "cmd/internal/cli", "remote/sshconn", "remote/lab"},
	"cmd/internal/view":   {"cmd/internal/cli", "remote/sshconn", "remote/lab"},
	"cmd/hapair":          {"e2e"},
}

// A pkg is a package of this module and what it imports.
type pkg struct {
	path          string // without the module
	imports, deps []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	list := exec.Command("go", "list", "-f", `{{.ImportPath}};{{join .Imports " "}};{{join .Deps " "}}`, module+"...")
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), ";")
		all = append(all, pkg{strings.TrimPrefix(f[0], module), strings.Fields(f[1]), strings.Fields(f[2])})
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

// in reports whether path is the package at root or below it.
func in(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

func TestLibrariesHaveFewImporters(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.imports {
			for library, owners := range onlyImporters {
				mayImport := func(owner string) bool { return in(p.path, owner) }
				if in(imported, library) && !slices.ContainsFunc(owners, mayImport) {
					t.Errorf("%s imports %s: only %s may", p.path, imported, strings.Join(owners, " and "))
				}
			}
		}
	}
}

func TestDependenciesPointDown(t *testing.T) {
	for _, p := range packages(t) {
		for folder, banned := range never {
			if !in(p.path, folder) {
				continue
			}
			for _, dep := range p.deps {
				dep, ours := strings.CutPrefix(dep, module)
				if ours && slices.ContainsFunc(banned, func(b string) bool { return in(dep, b) }) {
					t.Errorf("%s depends on %s: nothing in %s may", p.path, dep, folder)
				}
			}
		}
	}
}

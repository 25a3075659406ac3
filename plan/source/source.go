// Package source knows the way of a program from its upstream tarball to a
// host: fetched and verified on the controller, checked entry by entry, built
// on one host, kept in a cache on the controller, and installed from there on
// every host of the same platform. The sum decides, never the name: a tarball
// is what its SHA-256 says, and so is a build.
package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Recipe is how to make a program. It is plain data and holds no secrets.
type Recipe struct {
	Product string   `json:"product"` // "redis", "valkey" or "keepalived"
	Version string   `json:"version"` // the tarball is checked to hold it
	URLs    []string `json:"urls"`    // https, http, file or an absolute path; tried in order
	SHA256  string   `json:"sha256"`  // of the tarball, lower-case hex
	Patches []Patch  `json:"patches,omitempty"`
	Args    []string `json:"args,omitempty"` // for make (Redis) or ./configure (keepalived)
	Prefix  string   `json:"prefix"`         // where it will be installed
	Test    string   `json:"test,omitempty"` // run `make test` (Redis): "yes", "warn" (a failure is tolerated), or not
}

// Patch changes the source, with -p1, before it is built.
type Patch struct {
	Name    string `json:"name"` // its file's
	SHA256  string `json:"sha256"`
	Content []byte `json:"-"`
}

// NewPatch is a patch of which the content is known.
func NewPatch(path string, content []byte) Patch {
	return Patch{Name: filepath.Base(path), SHA256: sum(content), Content: content}
}

// String is "redis 7.0.15".
func (r Recipe) String() string { return r.Product + " " + r.Version }

// recipeFormat is part of every ID: a change of what build.sh makes of the
// same input is a new number here.
const recipeFormat = "1"

// ID names all that the program depends on, but the platform that it was built
// on: a host that has the program with this ID has what the recipe asks for.
func (r Recipe) ID() string {
	parts := []string{recipeFormat, r.Product, r.SHA256}
	for _, p := range r.Patches {
		parts = append(parts, "patch", p.SHA256)
	}
	parts = append(parts, "args")
	parts = append(parts, r.Args...)
	if r.Product == "keepalived" { // compiled in; Redis runs from anywhere
		parts = append(parts, "prefix", r.Prefix)
	}
	return sum([]byte(strings.Join(parts, "\x00")))
}

// Platform is what a build fits: "debian 12 x86_64 glibc 2.36".
type Platform string

// Key names the build of r on a platform, in the cache.
func (r Recipe) Key(p Platform) string {
	return sum([]byte(r.ID() + "\x00" + string(p)))
}

// BuildError is a build that failed.
type BuildError struct {
	Recipe Recipe
	Stage  string // "configure", "compile"; empty when it did not come that far
	Err    error
}

func (e *BuildError) Error() string {
	if e.Stage == "" {
		return fmt.Sprintf("build %s: %v", e.Recipe, e.Err)
	}
	return fmt.Sprintf("build %s: %s: %v", e.Recipe, e.Stage, e.Err)
}

func (e *BuildError) Unwrap() error { return e.Err }

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func sumFile(path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// shown is a URL as it may stand in a message: without a password.
func shown(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.User != nil {
		return u.Redacted()
	}
	return raw
}

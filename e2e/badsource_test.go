package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	redisSum = "4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982"
	redisURL = `"${var.sources}/redis-7.0.15.tar.gz"`
	upstream = `"https://github.com/redis/redis/archive/refs/tags/7.0.15.tar.gz",`
)

// TestBadSources is apply with sources that cannot be had, must not be built,
// or do not build. It says so, and no host runs or holds any part of the pair
// that is half done; once the spec is right, apply goes on from there.
func TestBadSources(t *testing.T) {
	t.Parallel()
	p := newPair(t, "badsources", quickstart(t))
	good, err := os.ReadFile(p.spec)
	if err != nil {
		t.Fatal(err)
	}
	tarballs, err := sourcesDir()
	if err != nil {
		t.Fatal(err)
	}
	genuine, err := os.ReadFile(filepath.Join(tarballs, "redis-7.0.15.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, content []byte) (path, sum string) {
		t.Helper()
		path = filepath.Join(p.dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(content)
		return path, hex.EncodeToString(digest[:])
	}
	half, halfSum := put("half.tar.gz", genuine[:len(genuine)/2])
	escape, escapeSum := put("escape.tar.gz", tarball(t, "redis-7.0.15/src/version.h", "#define REDIS_VERSION \"7.0.15\"\n", "redis-7.0.15/../../etc/cron.d/evil", "* * * * * root true\n"))

	for _, c := range []struct {
		name string
		edit []string // of the spec
		says []string
		log  string // in the log that it names
	}{
		{
			name: "wrong sha256", edit: []string{redisSum, strings.Repeat("0", 64), upstream, ""},
			says: []string{"fetch redis 7.0.15: " + tarballs + "/redis-7.0.15.tar.gz: wrong sha256: got " + redisSum + " (3025940 bytes), the spec wants " + strings.Repeat("0", 64)},
		},
		{
			name: "unreachable URL", edit: []string{redisURL, `"http://127.0.0.1:9/redis.tar.gz"`, upstream, `"/nowhere/redis.tar.gz"`},
			says: []string{"fetch redis 7.0.15: none of 2 URLs has it:", "http://127.0.0.1:9/redis.tar.gz: ", "connection refused", "/nowhere/redis.tar.gz: no such file or directory"},
		},
		{
			name: "truncated on the way", edit: []string{redisURL, `"` + half + `"`, upstream, ""},
			says: []string{"fetch redis 7.0.15: " + half + ": wrong sha256: got " + halfSum + " (1512970 bytes), the spec wants " + redisSum},
		},
		{
			name: "truncated at its origin", edit: []string{redisURL, `"` + half + `"`, upstream, "", redisSum, halfSum},
			says: []string{"tarball of redis 7.0.15: it is truncated"},
		},
		{
			name: "reaches out", edit: []string{redisURL, `"` + escape + `"`, upstream, "", redisSum, escapeSum},
			says: []string{`tarball of redis 7.0.15: entry "redis-7.0.15/../../etc/cron.d/evil": `},
		},
		{
			name: "does not compile", edit: []string{redisURL, redisURL, upstream, "", `sha256 = "` + redisSum + `"`, `sha256 = "` + redisSum + `"` + "\nmake = [\"CFLAGS=-fno-such-thing\"]"},
			says: []string{
				"Error: quickstart/", ": build redis 7.0.15: compile: make: *** ",
				"│ cc: error: unrecognized command-line option '-fno-such-thing'",
				"All of the output: ", "Nothing of the build is left on the host; nothing was installed.",
			},
			log: "-fno-such-thing",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := p.in(t)
			p.env = append(p.env, "XDG_CACHE_HOME="+t.TempDir()) // where nothing is yet
			p.write(edited(t, string(good), c.edit...))
			o := p.hapair("apply", "--auto-approve").exits(1).says(c.says...)
			if strings.Contains(o.err, "[34m") { // Redis' Makefile writes in blue
				t.Errorf("what the host printed is not cleaned:\n%s", o)
			}
			if c.log != "" {
				_, log, _ := strings.Cut(o.err, "All of the output: ")
				log, _, _ = strings.Cut(log, "\n")
				if text, err := os.ReadFile(log); err != nil || !bytes.Contains(text, []byte(c.log)) {
					t.Errorf("%q is not in the log %q (%v):\n%s", c.log, log, err, text)
				}
			}
			p.notInstalled()
		})
	}
	p.write(string(good))
	p.apply()
	p.settled()
}

// notInstalled fails the test if a host runs or starts any part of the pair, or
// has files of it.
func (p *testPair) notInstalled() {
	p.t.Helper()
	for _, host := range []string{"a", "b"} {
		if left := p.sh(host, `
			systemctl list-units --all --no-legend 'hapair*'
			systemctl list-unit-files --no-legend 'hapair*' || :
			ps -e -o comm= | grep -E '^(redis|keepalived|make|cc1)' || :
			find /usr/local/redis /usr/local/keepalived /etc/cron.d/evil ! -type d 2>/dev/null || :
			find /var/cache/hapair /var/tmp -mindepth 1 ! -path '/var/tmp/systemd-private*' 2>/dev/null || :`); left != "" {
			p.t.Errorf("on host %s:\n%s", host, left)
		}
	}
}

// tarball is a .tar.gz of files: names and contents in turns.
func tarball(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	out := tar.NewWriter(zip)
	for i := 0; i+1 < len(files); i += 2 {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}
		if err := out.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPackageManagers takes a pair through an apply on hosts that are not
// Debian's: what building and running take comes from dnf on one of them, and
// from zypper on the other.
//
// Real are rpm, dnf 4 and zypper, as Debian packages them, the repositories that
// they read and the database of rpms. The hosts' /etc/os-release is the text of
// Fedora 42 and openSUSE Leap 15.6. The packages have the names that hapair asks
// for, and nothing in them: what a host gets with them is what Debian calls the
// same things. So this does not tell whether those distributions have packages
// of these names.
func TestPackageManagers(t *testing.T) {
	t.Parallel()
	p := newPair(t, "managers", edited(t, quickstart(t), `
    source {
      version = "7.0.15"
      urls = [
        "${var.sources}/redis-7.0.15.tar.gz",
        "https://github.com/redis/redis/archive/refs/tags/7.0.15.tar.gz",
      ]
      sha256 = "4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982"
    }`, `
    package {
      version = "7.0.15"
    }`, `
      sha256 = "2288c5c7609fa452782b7acefa19acce742d0204dc17f54d36da46b10f8b590c"`, `
      sha256 = "2288c5c7609fa452782b7acefa19acce742d0204dc17f54d36da46b10f8b590c"
      configure = ["CFLAGS=-O0"] # it is compiled twice, once for each distribution`))
	p.env = append(p.env, "XDG_CACHE_HOME="+t.TempDir()) // where nothing is built yet

	type host struct {
		manager, recorded string
		names             []string // of the packages that it lacks
		unknown           []string // what its manager says of one that the repository lacks
	}
	hosts := map[string]host{
		"a": {"dnf", "fedora42-valkey.txt", []string{
			"gcc", "glibc-devel", "libnl3", "libnl3-devel", "logrotate", "make", "openssl-devel", "pkgconf-pkg-config", "redis",
		}, []string{"No match for argument: logrotate", "Error: Unable to find a match: logrotate"}},
		"b": {"zypper", "leap156-fresh.txt", []string{
			"gcc", "glibc-devel", "libnl3-200", "libnl3-devel", "libopenssl-devel", "logrotate", "make", "pkg-config", "redis",
		}, []string{"'logrotate' not found in package names.", "No provider of 'logrotate' found."}},
	}
	both := func(do func(name string, h host) error) {
		t.Helper()
		var hostsDone sync.WaitGroup
		for name, h := range hosts {
			hostsDone.Go(func() {
				if err := do(name, h); err != nil {
					t.Error(err)
				}
			})
		}
		hostsDone.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	var parts []string // in Debian's words; there, one host builds for both
	for _, names := range p.lacking() {
		parts = append(parts, names...)
	}
	both(func(name string, h host) error {
		recorded, err := os.ReadFile("../plan/facts/testdata/" + h.recorded)
		if err != nil {
			return err
		}
		_, release, _ := strings.Cut(string(recorded), "== system\n")
		release, _, _ = strings.Cut(release, "\n\n")
		return p.rpmHost(name, append([]string{"become", h.manager, release}, parts...)...)
	})
	lacking := p.lacking()
	for name, h := range hosts {
		if diff := cmp.Diff(h.names, lacking[name]); diff != "" {
			t.Errorf("packages of host %s (-want +got):\n%s", name, diff)
		}
	}
	offer := func(name string, h host, packages ...string) error {
		return p.rpmHost(name, append([]string{"offer", h.manager}, packages...)...)
	}

	// A repository that lacks one of them, and has more of Redis than was asked for.
	both(func(name string, h host) error {
		packages := []string{"redis=7.0.14", "redis=7.0.15", "redis=7.0.150"}
		for _, one := range lacking[name] {
			if one != "redis" && one != "logrotate" {
				packages = append(packages, one)
			}
		}
		return offer(name, h, packages...)
	})
	for incomplete := maps.Clone(hosts); len(incomplete) > 0; {
		o := p.hapair("apply", "--auto-approve").exits(1).says(
			"Some of the packages may be installed; the pair was not touched.",
			"See in the log what the package manager wants, put it right on the host, then run hapair apply again: it goes on from there.")
		before := len(incomplete)
		for name, h := range incomplete { // the first to fail ends the other's, too
			if strings.Contains(o.err, "Error: quickstart/"+name+": install ") {
				o.says(h.unknown...)
				if err := offer(name, h, "logrotate"); err != nil {
					t.Fatal(err)
				}
				delete(incomplete, name)
			}
		}
		if len(incomplete) == before {
			t.Fatalf("it does not name a host that cannot be served:\n%s", o)
		}
	}

	p.apply()
	p.settled()
	for name, h := range hosts {
		installed := strings.Fields(p.sh(name, `rpm -q --qf '%{NAME}-%{VERSION}\n' `+strings.Join(h.names, " ")))
		for _, one := range h.names {
			version := "-1"
			if one == "redis" {
				version = "-7.0.15"
			}
			if !slices.Contains(installed, one+version) {
				t.Errorf("host %s has %q, want %s%s", name, installed, one, version)
			}
		}
	}
}

// lacking are the packages that a plan wants, by host, sorted.
func (p *testPair) lacking() map[string][]string {
	p.t.Helper()
	names := map[string][]string{}
	for line := range strings.Lines(p.hapair("plan", "--json").exits(0).out) {
		var e struct {
			Change struct {
				Addr  string
				After struct {
					Attrs []struct{ Name, Value string }
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			p.t.Fatalf("%v: %s", err, line)
		}
		host, _, _ := strings.Cut(strings.TrimPrefix(e.Change.Addr, "quickstart/"), "/")
		for _, attr := range e.Change.After.Attrs {
			if attr.Name == "packages" || attr.Name == "package" {
				names[host] = append(names[host], strings.Fields(attr.Value)...)
			}
		}
	}
	for _, of := range names {
		slices.Sort(of)
	}
	return names
}

// rpmHost runs testdata/rpm-host.sh on a host.
func (p *testPair) rpmHost(host string, args ...string) error {
	script, err := os.Open("testdata/rpm-host.sh")
	if err != nil {
		return err
	}
	defer script.Close()
	var out bytes.Buffer
	if err := p.Exec(p.t.Context(), host, append([]string{"sh", "-s", "--"}, args...), script, &out, &out); err != nil {
		return fmt.Errorf("host %s: rpm-host.sh %s: %w\n%s", host, args[0], err, &out)
	}
	return nil
}

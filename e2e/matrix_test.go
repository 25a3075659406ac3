package e2e

import (
	"fmt"
	"strings"
	"testing"

	"hapair/plan/drill"
	"hapair/remote/lab/sources"
)

// TestMatrix takes pairs of other programs than the quick start's through
// their life: apply, an empty plan, the drills of a dead Redis and a stopped
// keepalived, a rolling change, and in the end what is on the hosts is still
// what the spec says.
func TestMatrix(t *testing.T) {
	valkey := fetched(t, "valkey") // the newest; the archive's unstable suite moves on
	const redis8 = `source {
      version = "8.0.2"
      urls    = ["${var.sources}/redis-8.0.2.tar.gz"]
      sha256  = "caf3c0069f06fc84c5153bd2a348b204c578de80490c73857bee01d9b5d7401f"
    }
    password = var.redis_password`
	const keepalived227 = `source {
      version = "2.2.7"
      urls    = ["${var.sources}/keepalived-2.2.7.tar.gz"]
      sha256  = "c61940d874154a560a54627ecf7ef47adebdf832164368d10bf242a4d9b7d49d"
    }
    auth_password   = var.vrrp_password
    advert_interval = "1s"`
	const keepalived233 = `source {
      version = "2.3.3"
      urls    = ["${var.sources}/keepalived-2.3.3.tar.gz"]
      sha256  = "2288c5c7609fa452782b7acefa19acce742d0204dc17f54d36da46b10f8b590c"
    }
    advert_interval = "100ms"`

	for _, c := range []struct {
		name, redis, keepalived string
		check                   string // its interval
		versions                []string
	}{
		{
			name: "redis8", redis: redis8, keepalived: keepalived227, check: "1s",
			versions: []string{`"version":"8.0.2"`, `"version":"2.2.7"`},
		},
		{
			name: "valkey", keepalived: keepalived233, check: "200ms",
			redis: fmt.Sprintf(`source {
      product = "valkey"
      version = %q
      urls    = [%q]
      sha256  = %q
    }`, valkey.version, valkey.Path, valkey.SHA256),
			versions: []string{fmt.Sprintf(`"version":%q`, valkey.version), `"version":"2.3.3"`},
		},
		{
			name: "packages", redis: "package {}", keepalived: "package {}\n    advert_interval = \"100ms\"", check: "1s",
			versions: []string{`"version":"7.0.15"`, `"version":"2.2.7"`}, // Debian 12's
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, c.name, fmt.Sprintf(`
variable "sources" {
  type = string
}
variable "redis_password" {
  type      = string
  sensitive = true
}
variable "vrrp_password" {
  type      = string
  sensitive = true
}
variable "ops_password" {
  type      = string
  sensitive = true
}

pair "quickstart" {
  vip {
    address = "192.168.1.220/24"
  }
  ssh {
    user            = "ops"
    become_password = var.ops_password
  }
  host "a" {
    address = "192.168.1.218"
  }
  host "b" {
    address = "192.168.1.219"
  }
  account {
    user  = "redis-quick"
    group = "redis-quick"
  }
  redis {
    %s
    config = {
      save = ["900 1", "300 10"]
    }
  }
  keepalived {
    %s
  }
  check {
    interval = %q
  }
}
`, c.redis, c.keepalived, c.check))
			p.env = append(p.env, `HAPAIR_VAR_redis_password=it's "a" \long #password`, "HAPAIR_VAR_vrrp_password=4u8chars", "HAPAIR_VAR_ops_password="+p.OpsPassword())
			for _, host := range []string{"a", "b"} { // a package's version is known from the lists
				p.sh(host, "apt-get -q update")
			}
			p.apply()
			p.settled()
			p.hapair("status", "--json").exits(0).says(c.versions...)
			for _, r := range p.drill("kill-redis", "stop-keepalived") {
				t.Logf("%s: outage: eager %s, ordinary %s (predicted %s), lost %d", r.Drill,
					r.Outage(drill.Eager), r.Outage(drill.Ordinary), predictedBy(r), r.Ledger.Lost)
			}
			p.settled()
			p.edit(`"900 1", "300 10"`, `"900 1"`)
			p.apply()
			p.settled()
		})
	}
}

type tarballOf struct {
	sources.Tarball
	version string
}

// fetched is a tarball from the Debian archive.
func fetched(t *testing.T, name string) tarballOf {
	t.Helper()
	dir, err := sourcesDir()
	if err != nil {
		t.Fatal(err)
	}
	found, err := sources.Fetch(t.Context(), dir, name)
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(found[0].Name, "-")
	return tarballOf{found[0], version}
}

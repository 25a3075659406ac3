package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hapair/remote/lab"
)

// TestBadHosts is apply on hosts that it must not, or cannot, touch. It says
// what is wrong and what to do, and changes nothing on either host.
func TestBadHosts(t *testing.T) {
	t.Parallel()
	p := newPair(t, "badhosts", quickstart(t), "c")
	good, err := os.ReadFile(p.spec)
	if err != nil {
		t.Fatal(err)
	}
	known, err := os.ReadFile(p.KnownHosts())
	if err != nil {
		t.Fatal(err)
	}
	const foreign = "export DEBIAN_FRONTEND=noninteractive; apt-get -q update; apt-get -q -y --no-install-recommends install "

	for _, c := range []struct {
		name     string
		bad      func(p *testPair)
		good     func(p *testPair) // undoes it; may be nil: the spec is
		says     []string
		silently bool // a host is away: nothing can be said of its files
	}{
		{
			name: "unreachable", silently: true,
			bad: func(p *testPair) {
				if err := p.PowerOff(t.Context(), "b"); err != nil {
					t.Fatal(err)
				}
			},
			good: func(p *testPair) {
				if err := p.PowerOn(t.Context(), "b"); err != nil {
					t.Fatal(err)
				}
			},
			says: []string{"Error: b: connect: dial tcp " + addressB + ":22: ", "Is the host up, and does a firewall let port 22 through?"},
		},
		{
			name: "authentication refused",
			bad: func(p *testPair) {
				p.sh("a", "mv /home/deploy/.ssh/authorized_keys /home/deploy/.ssh/away")
			},
			good: func(p *testPair) { p.sh("a", "mv /home/deploy/.ssh/away /home/deploy/.ssh/authorized_keys") },
			says: []string{
				"Error: a: authenticate: " + addressA + ":22 refused user deploy with every key offered: " + p.IdentityFile() + " (ssh-ed25519 SHA256:",
				"Put one of their public keys into ~deploy/.ssh/authorized_keys on the host",
			},
		},
		{
			name: "host key changed",
			bad: func(p *testPair) {
				p.edit(`user = "deploy"`, fmt.Sprintf("user = %q\nknown_hosts = %q", lab.UserSudo, p.dir+"/known_hosts"))
				var swapped string // a has b's key, and the other way round
				lines := strings.Split(string(known), "\n")
				for i := range 2 {
					names, _, _ := strings.Cut(lines[i], " ")
					_, key, _ := strings.Cut(lines[1-i], " ")
					swapped += names + " " + key + "\n"
				}
				if err := os.WriteFile(filepath.Join(p.dir, "known_hosts"), []byte(swapped), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			says: []string{
				"Error: a: verify host key: the host key of " + addressA + " CHANGED: it presents ssh-ed25519 SHA256:",
				"Error: b: verify host key: ", "ssh-keygen -f " + p.dir + "/known_hosts -R " + addressA,
			},
		},
		{
			name: "no right to become root",
			bad:  func(p *testPair) { p.edit(`user = "deploy"`, `user = "guest"`) },
			says: []string{"Error: a: become root: sudo: a password is required", "Error: b: become root: "},
		},
		{
			name: "foreign Redis",
			bad:  func(p *testPair) { p.sh("b", foreign+"redis-server") },
			good: func(p *testPair) { p.sh("b", "systemctl disable --now redis-server") },
			says: []string{
				"Error: quickstart/b: port 6379 is taken", "redis-server (pid ", "redis-server.service", " listens on 127.0.0.1:6379",
				"Stop and disable it, after you have saved its data; or choose another port: redis { port = … }.",
			},
		},
		{
			name: "foreign keepalived",
			bad: func(p *testPair) {
				p.sh("a", foreign+`keepalived
					printf 'vrrp_instance web {\n interface eth3\n virtual_router_id 51\n virtual_ipaddress {\n 192.168.1.99\n }\n}\n' >/etc/keepalived/keepalived.conf
					systemctl restart keepalived`)
			},
			good: func(p *testPair) { p.sh("a", "systemctl disable --now keepalived") },
			says: []string{
				"Error: quickstart/a: virtual_router_id 51 is taken on eth3", "vrrp_instance web of /etc/keepalived/keepalived.conf", "keepalived.service",
				"Stop that keepalived, or choose another number from 1 to 255: keepalived { virtual_router_id = … }.",
			},
		},
		{
			name: "VIP answers",
			bad: func(p *testPair) {
				p.sh("c", "ip address add "+vip+"/32 dev eth0")
				// The looks at them before have asked for it in vain, and the kernel
				// would not ask again so soon.
				p.sh("a", "ip neighbour del "+vip+" dev eth3 || :")
				p.sh("b", "ip neighbour del "+vip+" dev eth5 || :")
			},
			good: func(p *testPair) { p.sh("c", "ip address del "+vip+"/32 dev eth0") },
			says: []string{
				"Error: quickstart/a: VIP " + vip + " answers already", "a machine that is neither of the two hosts answers for it",
				"Find out whose it is", "Error: quickstart/b: VIP " + vip + " answers already",
			},
		},
		{
			name: "VIP configured by hand",
			bad:  func(p *testPair) { p.sh("a", "ip address add "+vip+"/32 dev eth3") },
			good: func(p *testPair) { p.sh("a", "ip address del "+vip+"/32 dev eth3") },
			says: []string{"Error: quickstart/a: VIP " + vip + " is configured already", "ip addr del " + vip + " dev eth3"},
		},
		{
			name: "no room",
			bad: func(p *testPair) {
				p.sh("b", "mkdir /usr/local/redis; mount -t tmpfs -o size=8m tmpfs /usr/local/redis")
			},
			good: func(p *testPair) { p.sh("b", "umount /usr/local/redis; rmdir /usr/local/redis") },
			says: []string{"Error: quickstart/b: too little room for /usr/local/redis", "8 MiB are free, 64 MiB are needed", "Make room, or mount a larger filesystem there."},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := p.in(t)
			p.write(string(good))
			c.bad(p)
			var before [2]string
			if c.good != nil {
				defer c.good(p)
			}
			if !c.silently {
				before = p.footprint()
			}
			for _, command := range [][]string{{"plan"}, {"apply", "--auto-approve"}} {
				p.hapair(command...).exits(1).says(c.says...)
			}
			if !c.silently {
				p.untouched(before)
			}
		})
	}
	// Once all is well, nothing of it stands in the way.
	p.write(string(good))
	p.hapair("plan", "--detailed-exitcode").exits(2)
}

// TestDiskFull is an apply that finds room, and then none when it uploads. It
// says so and stops where nothing is half done: no host serves a part of the
// pair, and with room again the next apply goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	p := newPair(t, "diskfull", quickstart(t))
	// It has bytes to show, but of files only enough for hapair's folders.
	p.sh("b", "mkdir /usr/local/redis; mount -t tmpfs -o size=100m,nr_inodes=8 tmpfs /usr/local/redis")
	p.hapair("apply", "--auto-approve").exits(1).says(
		"Error: quickstart/b: install redis 7.0.15: ", "redis-server: Cannot open: No space left on device",
		"Put right what the host says, then run hapair apply again: it goes on from there.")
	p.hapair("status").exits(2)
	for _, host := range []string{"a", "b"} { // a may be complete by then, but nothing of it runs
		if left := p.sh(host, `
			systemctl list-unit-files --no-legend --state=enabled 'hapair*' || :
			ps -e -o comm= | grep -E '^(redis|keepalived)' || :
			find /usr/local -name '.hapair*'
			[ "$(hostname)" = a ] || find /usr/local/redis ! -type d`); left != "" {
			t.Errorf("on host %s:\n%s", host, left)
		}
	}
	p.sh("b", "umount /usr/local/redis; rmdir /usr/local/redis")
	p.apply()
	p.settled()
}

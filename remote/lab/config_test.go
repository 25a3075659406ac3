package lab

import (
	"net/netip"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	host := func(name, address string) Host { return Host{Name: name, Address: netip.MustParsePrefix(address)} }
	a, b := host("a", "192.168.1.218/24"), host("b", "192.168.1.219/24")
	for _, c := range []struct {
		name string
		cfg  Config
		want string // in the error
	}{
		{"a good one", Config{Name: "x", Hosts: []Host{a, b}}, ""},
		{"no name", Config{Hosts: []Host{a}}, `lab name ""`},
		{"a name that is a path", Config{Name: "../x", Hosts: []Host{a}}, `lab name "../x"`},
		{"no hosts", Config{Name: "x"}, "no hosts"},
		{"a host without an address", Config{Name: "x", Hosts: []Host{{Name: "a"}}}, "no address"},
		{"a host's name", Config{Name: "x", Hosts: []Host{host("A b", "10.0.0.1/8")}}, `host name "A b"`},
		{"two networks", Config{Name: "x", Hosts: []Host{a, host("b", "192.168.2.1/24")}}, "not in the same network"},
		{"the same address", Config{Name: "x", Hosts: []Host{a, host("b", "192.168.1.218/24")}}, "share a name or an address"},
		{"the same name", Config{Name: "x", Hosts: []Host{a, host("a", "192.168.1.219/24")}}, "share a name or an address"},
		{"an interface", Config{Name: "x", Hosts: []Host{{Name: "a", Address: a.Address, Interface: "eth0'; reboot"}}}, "can't name an interface"},
		{"a gateway elsewhere", Config{Name: "x", Hosts: []Host{a}, Gateway: netip.MustParseAddr("10.0.0.1")}, "gateway 10.0.0.1"},
	} {
		cfg, err := c.cfg.withDefaults()
		if c.want == "" {
			if err != nil || cfg.Hosts[0].Interface != "eth0" || cfg.Sources == "" {
				t.Errorf("%s: %+v, %v", c.name, cfg, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestFreeAddress(t *testing.T) {
	for _, c := range []struct {
		host, gateway string
		reserved      []string
		want          string // empty: an error
	}{
		{"192.168.1.218/24", "", nil, "192.168.1.254"},
		{"192.168.1.254/24", "", nil, "192.168.1.253"},
		{"192.168.1.218/24", "192.168.1.254", []string{"192.168.1.253", "10.0.0.1"}, "192.168.1.252"},
		{"10.0.0.1/30", "", nil, "10.0.0.2"},
		{"10.0.0.1/30", "10.0.0.2", nil, ""},
		{"10.0.0.1/32", "", nil, ""},
		{"fd00:1::10/64", "", nil, "fd00:1::ffff:ffff:ffff:ffff"},
		{"fd00:1::/127", "", nil, "fd00:1::1"},
	} {
		cfg := Config{Name: "x", Hosts: []Host{{Name: "a", Address: netip.MustParsePrefix(c.host)}}}
		if c.gateway != "" {
			cfg.Gateway = netip.MustParseAddr(c.gateway)
		}
		for _, r := range c.reserved {
			cfg.Reserved = append(cfg.Reserved, netip.MustParseAddr(r))
		}
		got, err := cfg.freeAddress()
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: got %s, want an error", c.host, got)
			}
		} else if err != nil || got.String() != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.host, got, err, c.want)
		}
	}
}
